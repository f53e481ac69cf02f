#include "engine/model/toolchain.h"

#include <string.h>

#include "engine/model/ask.h"
#include "engine/model/infer.h"
#include "engine/model/locale.h"
#include "engine/model/view_impl.h"

/* --- programs ----------------------------------------------------------------------------------
 */

static bool is_there(struct view *v, const char *path)
{
	struct view_file f = { 0 };
	bool there = view_look(v, path, &f, NULL, NULL) == 0 && f.kind == VIEW_FILE;
	view_file_release(&f);
	return there;
}

static bool in_tool_path(const char *dir, size_t len)
{
	for (const char *c = TOOL_PATH; *c;) {
		size_t n = strcspn(c, ":");
		if (n == len && strncmp(c, dir, n) == 0)
			return true;
		c += n + (c[n] == ':');
	}
	return false;
}

/*
 * A program that a driver finds through PATH. A directory before the tool's own that has a
 * program of the tool's name is one of stand-ins: the tool was found past it. What is found must
 * lie where the function's own PATH finds it.
 */
static char *search_caller_path(const struct toolchain *t, const char *name)
{
	const char *base = path_base(t->tool);
	scoped_free char *tool_dir = path_dir_prefix(t->tool);
	size_t tool_dir_len = strlen(tool_dir) > 1 ? strlen(tool_dir) - 1 : strlen(tool_dir);
	bool past_tool = false;
	const char *list = env_get(t->env, "PATH");
	for (const char *c = list && *list ? list : TOOL_PATH; *c;) {
		size_t len = strcspn(c, ":");
		past_tool = past_tool || (len == tool_dir_len && strncmp(c, tool_dir, len) == 0);
		scoped_free char *same = xformat("%.*s/%s", (int)len, c, base);
		scoped_free char *path = xformat("%.*s/%s", (int)len, c, name);
		bool stand_ins = !past_tool && is_there(t->v, same);
		if (len && c[0] == '/' && !stand_ins && is_there(t->v, path))
			return in_tool_path(c, len) ? steal(&path) : NULL;
		c += len + (c[len] == ':');
	}
	return NULL;
}

static int ask_one(const struct toolchain *t, const char *option, const char *name, char **out,
                   struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT;
	strv_add(&argv, t->tool);
	strv_add_format(&argv, "%s%s", option, name);
	int r = ask_lines(t->v, &argv, NULL, &lines, err);
	if (r < 0)
		return r;
	if (lines.count != 1)
		return error_set(err, -EPROTO, "%s %s%s: strange answer", t->tool, option, name);
	*out = xstrdup(lines.items[0]);
	return 0;
}

int toolchain_program(const struct toolchain *t, const char *name, char **out, struct error *err)
{
	scoped_free char *answer = NULL;
	int r = ask_one(t, "-print-prog-name=", name, &answer, err);
	if (r < 0)
		return r;
	if (!strchr(answer, '/')) {
		char *found = search_caller_path(t, answer);
		free(answer);
		answer = found;
	}
	if (!answer)
		return error_set(err, -ENOENT, "%s is not where a function could find it", name);
	*out = steal(&answer);
	return 0;
}

/* --- the set ------------------------------------------------------------------------------------
 */

static const struct {
	unsigned tools;
	const char *name;
	bool optional;
} programs[] = {
	{ TOOLS_C, "cc1", false },           { TOOLS_CXX, "cc1plus", false },
	{ TOOLS_ASSEMBLE, "as", false },     { TOOLS_LINK, "collect2", false },
	{ TOOLS_LINK, "lto-wrapper", true }, { TOOLS_LTO, "lto1", true },
	{ TOOLS_LINK, "as", false },
};

static const struct {
	unsigned tools; /* 0: always */
	const char *name;
	bool program;
} files[] = {
	{ TOOLS_C | TOOLS_CXX | TOOLS_ASSEMBLE | TOOLS_LINK, "specs", false },
	{ TOOLS_LINK, "liblto_plugin.so", true },
	{ TOOLS_LINK, "libgomp.spec", false },
	{ TOOLS_LINK, "libitm.spec", false },
	{ TOOLS_LINK, "libsanitizer.spec", false },
};

static int add_program(const struct toolchain *t, const char *name, bool optional,
                       struct manifest *into, struct error *err)
{
	scoped_free char *path = NULL;
	int r = toolchain_program(t, name, &path, err);
	if (r == 0)
		r = closure_add(t->v, path, into, err);
	return r < 0 && !optional ? r : 0;
}

static int add_file(const struct toolchain *t, const char *name, bool program,
                    struct manifest *into, struct error *err)
{
	scoped_free char *path = NULL;
	int r = ask_one(t, "-print-file-name=", name, &path, err);
	if (r < 0 || !strchr(path, '/'))
		return r;
	return program ? closure_add(t->v, path, into, err) : view_input(t->v, path, into, err);
}

/* The plugin through which binutils look into gcc's LTO objects; found beside the program. */
static int add_plugins(const struct toolchain *t, struct manifest *into, struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(t->v, t->tool, &f, NULL, err);
	if (r < 0 || !f.real_path) {
		view_file_release(&f);
		return r;
	}
	scoped_free char *dir = path_dir_prefix(f.real_path);
	scoped_free char *path = xformat("%s../lib/bfd-plugins/liblto_plugin.so", dir);
	view_file_release(&f);
	return is_there(t->v, path) ? closure_add(t->v, path, into, err) : 0;
}

static int gather(const struct toolchain *t, const struct plan *p, const struct strv *locales,
                  struct manifest *into, struct error *err)
{
	int r = closure_add(t->v, t->tool, into, err);
	for (size_t i = 0; r == 0 && i < sizeof(programs) / sizeof(programs[0]); i++)
		if (p->tools & programs[i].tools)
			r = add_program(t, programs[i].name, programs[i].optional, into, err);
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(files[0]); i++)
		if (p->tools & files[i].tools)
			r = add_file(t, files[i].name, files[i].program, into, err);
	if (r == 0 && (p->tools & TOOLS_LINK))
		r = add_program(t, p->linker, false, into, err);
	if (r == 0 && (p->tools & TOOLS_PLUGINS))
		r = add_plugins(t, into, err);
	for (size_t i = 0; r == 0 && i < locales->count; i++)
		r = locale_add(t->v, locales->items[i], into, err);
	return r;
}

/* A remembered set: its digest, its size, then a fingerprint of each file in it. */
static void describe_set(struct view *v, const struct manifest *m, const struct sized_digest *d,
                         struct strv *out)
{
	strv_add(out, digest_hex(&d->digest).text);
	strv_add_format(out, "%lu", d->size_bytes);
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].kind != ENTRY_FILE)
			continue;
		scoped_free char *path = xformat("/%s", m->entries[i].path);
		struct stat st = { 0 };
		if (view_lstat(v, path, &st) == 0)
			strv_add_take(out, ask_fingerprint(path, &st));
	}
}

static bool recall_set(struct view *v, const char *key, struct sized_digest *out)
{
	scoped_strv struct strv kept = STRV_INIT;
	if (!memory_text_get(view_memory(v), key, &kept) || kept.count < 2)
		return false;
	for (size_t i = 2; i < kept.count; i++) {
		scoped_free char *path = xstrndup(kept.items[i], strcspn(kept.items[i], " "));
		struct stat st;
		if (view_lstat(v, path, &st) < 0)
			return false;
		scoped_free char *now = ask_fingerprint(path, &st);
		if (strcmp(now, kept.items[i]) != 0)
			return false;
	}
	if (!digest_parse(kept.items[0], strlen(kept.items[0]), &out->digest))
		return false;
	out->size_bytes = strtoull(kept.items[1], NULL, 10);
	return store_has(view_store(v), &out->digest, NULL, NULL) == 0;
}

int toolchain_set(const struct toolchain *t, const struct plan *p, struct sized_digest *out,
                  struct error *err)
{
	const char *path = env_get(t->env, "PATH");
	scoped_strv struct strv locales = STRV_INIT;
	locale_names(t->env, &locales);
	scoped_buf struct buf spoken = BUF_INIT;
	for (size_t i = 0; i < locales.count; i++)
		buf_add_format(&spoken, "\1%s", locales.items[i]);
	scoped_free char *key =
	        xformat("set\1%s\1%u\1%s\1%s%s", t->tool, p->tools, p->linker ? p->linker : "",
	                path ? path : "", spoken.data ? spoken.data : "");
	if (recall_set(t->v, key, out))
		return 0;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int r = gather(t, p, &locales, &m, err);
	if (r == 0)
		r = manifest_finish(&m, err);
	if (r < 0)
		return r;
	scoped_buf struct buf text = BUF_INIT;
	manifest_encode(&m, &text);
	r = store_put_bytes(view_store(t->v), text.data, text.len, &out->digest, err);
	if (r < 0)
		return r;
	out->size_bytes = text.len;
	scoped_strv struct strv kept = STRV_INIT;
	describe_set(t->v, &m, out, &kept);
	memory_text_put(view_memory(t->v), key, &kept);
	return 0;
}
