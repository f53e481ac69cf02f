/* What a driver, a linker, an archiver tells about itself. */
#include <string.h>

#include "engine/model/ask.h"
#include "engine/model/toolchain.h"

/* The words of a command as `gcc -###` prints it: quoted, with backslashes. */
static void split_command(const char *line, struct strv *out)
{
	const char *c = line;
	for (;;) {
		c += strspn(c, " ");
		if (!*c)
			return;
		scoped_buf struct buf word = BUF_INIT;
		bool quoted = false;
		for (; *c && (quoted || *c != ' '); c++) {
			if (*c == '"')
				quoted = !quoted;
			else if (*c == '\\' && c[1])
				buf_add_char(&word, *++c);
			else
				buf_add_char(&word, *c);
		}
		strv_add(out, word.data ? word.data : "");
	}
}

static bool has_relative_part(const char *list)
{
	for (const char *c = list; *c;) {
		if (*c != '/')
			return true;
		c += strcspn(c, ":");
		c += *c == ':';
	}
	return false;
}

static const char *command_of(const struct strv *lines, const char *program)
{
	for (size_t i = 0; i < lines->count; i++) {
		if (lines->items[i][0] != ' ')
			continue;
		scoped_free char *first =
		        xstrndup(lines->items[i] + 1, strcspn(lines->items[i] + 1, " "));
		if (strcmp(path_base(first), program) == 0)
			return lines->items[i];
	}
	return NULL;
}

int toolchain_link_args(const struct toolchain *t, const struct plan *p, struct strv *before,
                        struct strv *behind, struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, env = STRV_INIT, lines = STRV_INIT;
	strv_add(&argv, t->tool);
	strv_copy(&argv, &p->driver_flags);
	/* /dev/null stands for whatever the caller links */
	strv_add(&argv, "-###");
	strv_add(&argv, "/dev/null");
	strv_add(&argv, "-o");
	strv_add(&argv, "x");
	const char *libraries = env_get(t->env, "LIBRARY_PATH");
	if (libraries && has_relative_part(libraries))
		return error_set(err, -EPROTO, "LIBRARY_PATH holds a relative directory");
	if (libraries)
		strv_add_format(&env, "LIBRARY_PATH=%s", libraries);
	int r = ask_lines(t->v, &argv, &env, &lines, err);
	if (r < 0)
		return r;
	const char *command = command_of(&lines, "collect2");
	if (!command)
		return error_set(err, -EPROTO, "%s -### shows no linker", t->tool);
	scoped_strv struct strv words = STRV_INIT;
	split_command(command, &words);
	struct strv *to = before;
	for (size_t i = 1; i < words.count; i++) {
		if (strcmp(words.items[i], "/dev/null") == 0)
			to = behind;
		else
			strv_add(to, words.items[i]);
	}
	return to == behind ? 0
	                    : error_set(err, -EPROTO, "%s -### does not link its input", t->tool);
}

int toolchain_search_dirs(const struct toolchain *t, const char *linker, const char *emulation,
                          struct strv *dirs, struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT;
	strv_add(&argv, linker);
	if (emulation) {
		strv_add(&argv, "-m");
		strv_add(&argv, emulation);
	}
	strv_add(&argv, "--verbose");
	int r = ask_lines(t->v, &argv, NULL, &lines, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < lines.count; i++) {
		for (const char *c = lines.items[i]; (c = strstr(c, "SEARCH_DIR(\""));) {
			c += strlen("SEARCH_DIR(\"");
			c += *c == '='; /* the system root: none */
			strv_add_take(dirs, xstrndup(c, strcspn(c, "\"")));
		}
	}
	return 0;
}

static int include_dirs_of(const struct toolchain *t, const char *language, struct strv *dirs,
                           struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT;
	const char *const words[] = { t->tool, "-E", "-v", "-x", language, "/dev/null" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		strv_add(&argv, words[i]);
	int r = ask_lines(t->v, &argv, NULL, &lines, err);
	bool listing = false;
	for (size_t i = 0; r == 0 && i < lines.count; i++) {
		const char *line = lines.items[i];
		if (after(line, "#include <"))
			listing = true;
		else if (after(line, "End of search"))
			listing = false;
		else if (listing && line[0] == ' ' && !strv_contains(dirs, line + 1))
			strv_add(dirs, line + 1);
	}
	return r;
}

int toolchain_include_dirs(const struct toolchain *t, struct strv *dirs, struct error *err)
{
	int r = include_dirs_of(t, "c", dirs, err);
	if (r == 0)
		include_dirs_of(t, "c++", dirs, NULL); /* a driver may have no C++ */
	return r;
}

static bool is_native(const char *arg)
{
	return strcmp(arg, "-march=native") == 0 || strcmp(arg, "-mtune=native") == 0 ||
	       strcmp(arg, "-mcpu=native") == 0;
}

/* The -m and --param words that the driver gives cc1 for these flags. */
static int machine_words(const struct toolchain *t, const struct strv *flags, struct strv *out,
                         struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT, words = STRV_INIT;
	strv_add(&argv, t->tool);
	strv_copy(&argv, flags);
	const char *const rest[] = { "-###", "-E", "-x", "c", "/dev/null" };
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		strv_add(&argv, rest[i]);
	int r = ask_lines(t->v, &argv, NULL, &lines, err);
	if (r < 0)
		return r;
	const char *command = command_of(&lines, "cc1");
	if (!command)
		return error_set(err, -EPROTO, "%s -### shows no compiler", t->tool);
	split_command(command, &words);
	for (size_t i = 0; i < words.count; i++) {
		if (after(words.items[i], "-m")) {
			strv_add(out, words.items[i]);
		} else if (strcmp(words.items[i], "--param") == 0 && i + 1 < words.count) {
			strv_add(out, words.items[i]);
			strv_add(out, words.items[++i]);
		}
	}
	return 0;
}

int toolchain_spell_native(const struct toolchain *t, const struct strv *args, struct strv *out,
                           struct error *err)
{
	scoped_strv struct strv flags = STRV_INIT, words = STRV_INIT;
	for (size_t i = 1; i < args->count; i++)
		if (is_native(args->items[i]) || after(args->items[i], "-march=") ||
		    after(args->items[i], "-mtune=") || after(args->items[i], "-mcpu="))
			strv_add(&flags, args->items[i]);
	int r = machine_words(t, &flags, &words, err);
	if (r < 0)
		return r;
	bool done = false;
	for (size_t i = 0; i < args->count; i++) {
		bool chooses = i > 0 && strv_contains(&flags, args->items[i]);
		if (!chooses)
			strv_add(out, args->items[i]);
		else if (!done)
			strv_copy(out, &words);
		done = done || chooses;
	}
	return 0;
}

int toolchain_is_deterministic(const struct toolchain *t, bool *out, struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT;
	strv_add(&argv, t->tool);
	strv_add(&argv, "--help");
	int r = ask_lines(t->v, &argv, NULL, &lines, err);
	if (r < 0)
		return r;
	/* "[D] - use zero for timestamps and uids/gids (default)", strip: "... (default)" behind
	 * -D, on the next line */
	*out = false;
	for (size_t i = 0; i < lines.count; i++) {
		const char *line = lines.items[i];
		bool option = strstr(line, "[D] ") || strstr(line, "-D --enable-deterministic") ||
		              strstr(line, "-D  ");
		const char *next = i + 1 < lines.count ? lines.items[i + 1] : "";
		bool default_next = strstr(next, "(default)") && !strstr(next, "--disable");
		if (option && (strstr(line, "(default)") || default_next))
			*out = true;
	}
	return 0;
}
