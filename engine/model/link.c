/*
 * What a link reads: the files named, -l along the search directories, what linker scripts name
 * (libc.so is one), what shared libraries need.
 */
#include <elf.h>
#include <string.h>

#include "common/io.h"
#include "engine/model/elf_file.h"
#include "engine/model/follow.h"
#include "engine/model/ldcache.h"

struct link {
	struct inputs *in;
	const struct toolchain *t;
	struct strv args;
	struct strv dirs;                /* -L in order, then the linker's own */
	struct strv rpaths, rpath_links; /* directories */
	const char *emulation;
	bool archives_only; /* -static, -Bstatic in force */
	unsigned depth;
};

static int follow_file(struct link *l, const char *path, struct error *err);
static int follow_library(struct link *l, const char *name, struct error *err);

static void link_release(struct link *l)
{
	strv_release(&l->args);
	strv_release(&l->dirs);
	strv_release(&l->rpaths);
	strv_release(&l->rpath_links);
}

static void add_dirs(struct strv *to, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, ":");
		strv_add_take(to, xstrndup(list, len));
		list += len + (list[len] == ':');
	}
}

/* A library's machine, where it is known what is linked for; others the linker passes over. */
static bool fits_emulation(const struct link *l, const struct elf *e)
{
	if (!l->emulation)
		return true;
	if (strcmp(l->emulation, "elf_x86_64") == 0)
		return e->is64 && e->machine == EM_X86_64;
	if (strcmp(l->emulation, "elf_i386") == 0)
		return e->machine == EM_386;
	if (strcmp(l->emulation, "elf32_x86_64") == 0)
		return !e->is64 && e->machine == EM_X86_64;
	if (strcmp(l->emulation, "aarch64linux") == 0)
		return e->is64 && e->machine == EM_AARCH64;
	return true;
}

/* Something to link at path? Lazy files count. */
static bool is_candidate(struct link *l, const char *path)
{
	scoped_free char *full = inputs_path(l->in, path);
	struct view_file f = { 0 };
	if (view_look(l->in->v, full, &f, NULL, NULL) < 0)
		return false;
	bool fits = f.kind == VIEW_LAZY || f.kind == VIEW_FILE;
	if (f.kind == VIEW_FILE) {
		scoped_fd int fd = view_open(l->in->v, full, NULL);
		struct elf e = { 0 };
		if (fd >= 0 && elf_read(fd, &e, NULL) == 0) {
			fits = fits_emulation(l, &e);
			elf_release(&e);
		}
	}
	view_file_release(&f);
	return fits;
}

static char *find_in(struct link *l, const struct strv *dirs, const char *name)
{
	for (size_t i = 0; i < dirs->count; i++) {
		scoped_free char *path = xformat("%s/%s", dirs->items[i], name);
		if (is_candidate(l, path))
			return steal(&path);
	}
	return NULL;
}

/* --- -l -----------------------------------------------------------------------------------------
 */

static int follow_library(struct link *l, const char *name, struct error *err)
{
	scoped_free char *found = NULL;
	scoped_free char *shared = xformat("lib%s.so", name), *archive = xformat("lib%s.a", name);
	if (name[0] == ':')
		found = find_in(l, &l->dirs, name + 1);
	for (size_t i = 0; name[0] != ':' && !found && i < l->dirs.count; i++) {
		scoped_free char *so = xformat("%s/%s", l->dirs.items[i], shared);
		scoped_free char *a = xformat("%s/%s", l->dirs.items[i], archive);
		if (!l->archives_only && is_candidate(l, so))
			found = steal(&so);
		else if (is_candidate(l, a))
			found = steal(&a);
	}
	if (!found)
		return error_set(err, -ENOENT, "-l%s is not to be found", name);
	return follow_file(l, found, err);
}

/* --- scripts ------------------------------------------------------------------------------------
 */

/* One word of a linker script; punctuation stands alone. False at the end. */
static bool next_word(const char **at, const char *end, struct buf *word)
{
	const char *c = *at;
	buf_reset(word);
	for (;;) {
		while (c < end && strchr(" \t\r\n,;", *c))
			c++;
		if (end - c < 2 || c[0] != '/' || c[1] != '*')
			break;
		const char *close = memmem(c + 2, (size_t)(end - c - 2), "*/", 2);
		c = close ? close + 2 : end;
	}
	if (c >= end)
		return false;
	if (*c == '"') {
		const char *close = memchr(c + 1, '"', (size_t)(end - c - 1));
		close = close ? close : end;
		buf_add(word, c + 1, (size_t)(close - c - 1));
		*at = close < end ? close + 1 : end;
		buf_reserve(word, 0);
		return true;
	}
	const char *stop = c;
	while (stop < end && !strchr(" \t\r\n,;(){}\"=", *stop))
		stop++;
	if (stop == c)
		stop++;
	buf_add(word, c, (size_t)(stop - c));
	*at = stop;
	return true;
}

/* A file named in a script: from here, beside the script, along the search directories. */
static int follow_named(struct link *l, const char *script, const char *name, struct error *err)
{
	if (after(name, "-l"))
		return follow_library(l, name + 2, err);
	if (name[0] == '/' || name[0] == '=')
		return follow_file(l, name + (name[0] == '='), err);
	scoped_free char *dir = path_dir_prefix(script);
	scoped_free char *beside = xformat("%s%s", dir, name);
	if (is_candidate(l, name))
		return follow_file(l, name, err);
	if (is_candidate(l, beside))
		return follow_file(l, beside, err);
	scoped_free char *found = find_in(l, &l->dirs, name);
	if (!found)
		return error_set(err, -ENOENT, "%s, named in %s, is not to be found", name, script);
	return follow_file(l, found, err);
}

static bool ends_with(const char *text, const char *suffix)
{
	size_t a = strlen(text), b = strlen(suffix);
	return a > b && strcmp(text + a - b, suffix) == 0;
}

/* INPUT and GROUP name files; INCLUDE another script; in SECTIONS a plain object name is a file
 * as well, if there is one. */
static int follow_script(struct link *l, const char *path, const struct buf *text,
                         struct error *err)
{
	const char *at = text->data, *end = text->data + text->len;
	scoped_buf struct buf word = BUF_INIT;
	unsigned depth = 0, list_depth = 0;
	bool lists = false, includes = false;
	int r = 0;
	while (r == 0 && next_word(&at, end, &word)) {
		const char *w = word.data;
		if (strcmp(w, "(") == 0) {
			depth++;
			list_depth = lists && !list_depth ? depth : list_depth;
		} else if (strcmp(w, ")") == 0) {
			lists = lists && depth != list_depth;
			list_depth = lists ? list_depth : 0;
			depth -= depth > 0;
		} else if (includes || (lists && list_depth)) {
			if (strcmp(w, "AS_NEEDED") != 0)
				r = follow_named(l, path, w, err);
			includes = false;
		} else if (strcmp(w, "INPUT") == 0 || strcmp(w, "GROUP") == 0 ||
		           strcmp(w, "STARTUP") == 0) {
			lists = true;
		} else if (strcmp(w, "INCLUDE") == 0) {
			includes = true;
		} else if (strcmp(w, "OUTPUT") == 0 || strcmp(w, "SEARCH_DIR") == 0) {
			r = error_set(err, -ENODATA, "%s uses %s", path, w);
		} else if ((ends_with(w, ".o") || ends_with(w, ".a")) && !strpbrk(w, "*?[") &&
		           is_candidate(l, w)) {
			r = follow_file(l, w, err);
		}
	}
	return r;
}

/* --- shared libraries ---------------------------------------------------------------------------
 */

/* Libraries that the loader's own configuration finds, as the linker reads it too. */
static int follow_configured(struct link *l, const char *name, bool is64, struct error *err)
{
	scoped_buf struct buf cache = BUF_INIT;
	if (view_read(l->in->v, "/etc/ld.so.cache", LDCACHE_BYTES_MAX, &cache, NULL) < 0)
		return 0;
	scoped_free char *path = ldcache_find(cache.data, cache.len, name, is64);
	if (!path || !is_candidate(l, path))
		return 0;
	return error_set(err, -ENODATA, "%s is found by ld.so.conf only", path);
}

/* ld opens what shared libraries need, to see which symbols that gives; it only warns when it
 * finds none. */
static int follow_needed(struct link *l, const struct elf *e, const char *path, struct error *err)
{
	scoped_strv struct strv run_path = STRV_INIT;
	const char *list = e->runpath ? e->runpath : e->rpath;
	const char *slash = strrchr(path, '/');
	scoped_strv struct strv raw = STRV_INIT;
	if (list)
		add_dirs(&raw, list);
	for (size_t i = 0; i < raw.count; i++) {
		const char *rest = after(raw.items[i], "$ORIGIN");
		rest = rest ? rest : after(raw.items[i], "${ORIGIN}");
		if (rest)
			strv_add_format(&run_path, "%.*s%s", (int)(slash - path), path, rest);
		else
			strv_add(&run_path, raw.items[i]);
	}
	const struct strv *places[] = { &l->rpath_links, &l->rpaths, &run_path, &l->dirs };
	for (size_t i = 0; i < e->needed.count; i++) {
		const char *name = e->needed.items[i];
		scoped_free char *found = strchr(name, '/') ? xstrdup(name) : NULL;
		for (size_t k = 0; !found && k < 4; k++)
			found = find_in(l, places[k], name);
		int r = found ? follow_file(l, found, err)
		              : follow_configured(l, name, e->is64, err);
		if (r < 0 && !(r == -ENOENT && found && strchr(name, '/')))
			return r;
	}
	return 0;
}

static bool is_shared_name(const char *path)
{
	const char *so = strstr(path_base(path), ".so");
	return so && (so[3] == '\0' || so[3] == '.');
}

/* A shared library that is not made yet needs what its own link took in. */
static int follow_lazy_shared(struct link *l, const struct view_file *f, struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	if (f->ref.kind != REF_THUNK || follow_is_object(f))
		return 0;
	if (thunk_load(view_store(l->in->v), &f->ref.digest, &t, NULL) < 0)
		return error_set(err, -ENODATA, "the thunk of %s cannot be read", f->real_path);
	if (!strv_contains(&t.args, "-shared") && !strv_contains(&t.args, "--shared"))
		return 0;
	for (size_t i = 0; i < t.inputs.count; i++)
		if (t.inputs.entries[i].kind == ENTRY_FILE &&
		    is_shared_name(t.inputs.entries[i].path))
			return error_set(err, -ENODATA, "%s, not made yet, is linked with /%s",
			                 f->real_path, t.inputs.entries[i].path);
	for (size_t i = 0; i < t.set_count; i++) {
		scoped_buf struct buf text = BUF_INIT;
		scoped_manifest struct manifest m = MANIFEST_INIT;
		if (store_get_bytes(view_store(l->in->v), &t.sets[i].digest, MANIFEST_BYTES_MAX,
		                    &text, err) < 0 ||
		    manifest_decode(text.data, text.len, &m, err) < 0)
			return error_set(err, -ENODATA, "the inputs of %s cannot be read",
			                 f->real_path);
		for (size_t k = 0; k < m.count; k++) {
			if (m.entries[k].kind != ENTRY_FILE || !is_shared_name(m.entries[k].path))
				continue;
			scoped_free char *path = xformat("/%s", m.entries[k].path);
			int r = follow_file(l, path, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* --- files --------------------------------------------------------------------------------------
 */

static bool is_text(const char *head, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)head[i] < ' ' && !memchr("\t\r\n\f", head[i], 4))
			return false;
	return len > 0;
}

static int follow_contents(struct link *l, const struct view_file *f, struct error *err)
{
	struct view *v = l->in->v;
	scoped_fd int fd = view_open(v, f->real_path, err);
	if (fd < 0)
		return fd;
	struct elf e = { 0 };
	int r = elf_read(fd, &e, NULL);
	if (r == 0 || r == -EBADMSG) {
		r = r == 0 && e.type == ET_DYN ? follow_needed(l, &e, f->real_path, err) : 0;
		elf_release(&e);
		return r;
	}
	char head[64];
	ssize_t n = pread_full(fd, head, sizeof(head), 0);
	if (n < 0)
		return error_set(err, (int)n, "cannot read %s: %s", f->real_path,
		                 strerror((int)-n));
	if (n >= 3 && head[0] == '!' && head[1] == '<')
		return archive_follow(l->in, f, err);
	if (!is_text(head, (size_t)n))
		return 0;
	scoped_buf struct buf text = BUF_INIT;
	r = read_all(fd, &text, SCRIPT_BYTES_MAX);
	if (r < 0)
		return error_set(err, r, "cannot read %s: %s", f->real_path, strerror(-r));
	return follow_script(l, f->real_path, &text, err);
}

static int follow_file(struct link *l, const char *path, struct error *err)
{
	if (l->depth >= LINK_FOLLOW_MAX)
		return error_set(err, -ENODATA, "%s: files that name files without end", path);
	int r = inputs_add(l->in, path, err);
	if (r < 0)
		return r;
	scoped_free char *full = inputs_path(l->in, path);
	struct view_file f = { 0 };
	r = view_look(l->in->v, full, &f, NULL, err);
	if (r == 0 && f.real_path && inputs_first_look(l->in, f.real_path)) {
		l->depth++;
		if (f.kind == VIEW_FILE)
			r = follow_contents(l, &f, err);
		else
			r = archive_follow(l->in, &f, err);
		if (r == 0 && f.kind == VIEW_LAZY)
			r = follow_lazy_shared(l, &f, err);
		l->depth--;
	}
	view_file_release(&f);
	return r;
}

/* --- the command line ------------------------------------------------------------------------- */

static void gather_dirs(struct link *l, const struct plan *p)
{
	strv_copy(&l->dirs, &p->search_dirs);
	for (size_t at = 0; at < l->args.count;) {
		struct ld_arg a = ld_next(&l->args, &at);
		if (a.kind == LD_SEARCH_DIR)
			strv_add(&l->dirs, a.text[0] == '=' ? a.text + 1 : a.text);
		else if (a.kind == LD_RPATH)
			add_dirs(&l->rpaths, a.text);
		else if (a.kind == LD_RPATH_LINK)
			add_dirs(&l->rpath_links, a.text);
		else if (a.kind == LD_EMULATION)
			l->emulation = a.text;
	}
	const char *run_path = env_get(l->t->env, "LD_RUN_PATH");
	if (run_path && l->rpaths.count == 0)
		add_dirs(&l->rpaths, run_path);
}

static int follow_arg(struct link *l, const struct ld_arg *a, struct error *err)
{
	scoped_free char *found = NULL;
	switch (a->kind) {
	case LD_STATIC:
		l->archives_only = true;
		return 0;
	case LD_DYNAMIC:
		l->archives_only = false;
		return 0;
	case LD_FILE:
		return follow_file(l, a->text, err);
	case LD_LIBRARY:
		return follow_library(l, a->text, err);
	case LD_TEXT:
		return inputs_add(l->in, a->text, err);
	case LD_SCRIPT:
		if (is_candidate(l, a->text))
			return follow_file(l, a->text, err);
		found = find_in(l, &l->dirs, a->text);
		if (!found)
			return error_set(err, -ENOENT, "linker script %s is not to be found",
			                 a->text);
		return follow_file(l, found, err);
	case LD_REFUSED:
		return error_set(err, -ENODATA, "linker option %s", a->text);
	default:
		return 0;
	}
}

int link_follow(struct inputs *in, const struct toolchain *t, const struct plan *p,
                struct error *err)
{
	struct link l = { .in = in, .t = t };
	scoped_strv struct strv behind = STRV_INIT;
	scoped_free char *linker = p->direct_ld ? xstrdup(t->tool) : NULL;
	int r = 0;
	if (!p->direct_ld) {
		r = toolchain_link_args(t, p, &l.args, &behind, err);
		if (r == 0)
			r = toolchain_program(t, p->linker, &linker, err);
	}
	strv_copy(&l.args, &p->ld_args);
	strv_copy(&l.args, &behind);
	gather_dirs(&l, p);
	/* others than GNU ld do not print theirs; the driver names all directories to them */
	bool bfd = p->direct_ld || strcmp(p->linker, "ld") == 0 || strcmp(p->linker, "ld.bfd") == 0;
	if (r == 0 && bfd)
		r = toolchain_search_dirs(t, linker, l.emulation, &l.dirs, err);
	for (size_t i = 0; r == 0 && i < l.dirs.count; i++)
		if (l.dirs.items[i][0] != '/')
			r = inputs_add_dir(in, l.dirs.items[i], err);
	for (size_t at = 0; r == 0 && at < l.args.count;) {
		struct ld_arg a = ld_next(&l.args, &at);
		r = follow_arg(&l, &a, err);
	}
	link_release(&l);
	return r;
}
