#include "engine/model/scanner_predefined.h"

#include <string.h>

#include "engine/model/ask.h"
#include "engine/model/memory.h"
#include "engine/model/scanner_cache.h"
#include "engine/model/view_impl.h"

static const struct {
	const char *name;
	enum builtin builtin;
} builtins[] = {
	{ "__FILE__", BUILTIN_CHANGING },
	{ "__FILE_NAME__", BUILTIN_CHANGING },
	{ "__BASE_FILE__", BUILTIN_CHANGING },
	{ "__LINE__", BUILTIN_CHANGING },
	{ "__INCLUDE_LEVEL__", BUILTIN_CHANGING },
	{ "__COUNTER__", BUILTIN_CHANGING },
	{ "__DATE__", BUILTIN_CHANGING },
	{ "__TIME__", BUILTIN_CHANGING },
	{ "__TIMESTAMP__", BUILTIN_CHANGING },
	{ "_Pragma", BUILTIN_CHANGING },
	{ "__has_embed", BUILTIN_CHANGING },
	{ "__has_include", BUILTIN_HAS_INCLUDE },
	{ "__has_include_next", BUILTIN_HAS_INCLUDE_NEXT },
	{ "__has_attribute", BUILTIN_HAS_FEATURE },
	{ "__has_cpp_attribute", BUILTIN_HAS_FEATURE },
	{ "__has_c_attribute", BUILTIN_HAS_FEATURE },
	{ "__has_builtin", BUILTIN_HAS_FEATURE },
	{ "__has_feature", BUILTIN_HAS_FEATURE },
	{ "__has_extension", BUILTIN_HAS_FEATURE },
};

/* Each line that comes back says that its name holds. The last one shows whether R"(a)" is a raw
 * string: then R is no macro in it. */
static const char probe[] = "#ifdef __cplusplus\nggfs cxx\n#endif\n"
                            "#if 1 //**/ 2\nggfs slashes\n#endif\n"
                            "#if '?\?=' == '#'\nggfs trigraphs\n#endif\n"
                            "%:define ggfs_digraphs\n"
                            "#ifdef ggfs_digraphs\nggfs digraphs\n#endif\n"
                            "#define ggfs_dollar$ 1\n"
                            "#ifndef ggfs_dollar\nggfs dollars\n#endif\n"
                            "#if __cplusplus > 201103L || __STDC_VERSION__ > 201710L\n"
                            "ggfs separators\n#endif\n"
                            "#ifdef __ASSEMBLER__\nggfs assembler\n#endif\n"
                            "#if __STDC_HOSTED__\nggfs hosted\n#endif\n"
                            "#define R\n"
                            "ggfs raw R\"(a)\"\n";

static const struct {
	const char *line;
	unsigned mode;
} modes[] = {
	{ "ggfs cxx", LEX_CXX },
	{ "ggfs slashes", LEX_SLASHES },
	{ "ggfs trigraphs", LEX_TRIGRAPHS },
	{ "ggfs digraphs", LEX_DIGRAPHS },
	{ "ggfs dollars", LEX_DOLLARS },
	{ "ggfs separators", LEX_SEPARATORS },
	{ "ggfs assembler", LEX_ASSEMBLER },
	{ "ggfs raw R\"(a)\"", LEX_RAW },
};

enum builtin predefined_builtin(const char *name)
{
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return builtins[i].builtin;
	return BUILTIN_NONE;
}

void predefined_unref(struct predefined *p)
{
	if (!p || atomic_fetch_sub(&p->references, 1) > 1)
		return;
	lexed_unref(p->macros);
	strv_release(&p->builtins);
	strv_release(&p->dirs);
	strv_release(&p->absent);
	strv_release(&p->ask);
	free(p);
}

/* --- reading the answer ------------------------------------------------------------------------
 */

struct reading {
	struct predefined *p;
	struct buf macros;
	bool own;       /* the lines are the compiler's own macros */
	bool searching; /* the lines are directories */
	bool complete;
};

static void read_marker(struct reading *r, const char *name)
{
	r->own = after(name, "<built-in>") || after(name, "<command-line>");
	if (!r->own && strstr(name, "stdc-predef.h\""))
		r->p->preincludes = true;
}

static void read_word(struct reading *r, const char *line)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(line, modes[i].line) == 0)
			r->p->mode |= modes[i].mode;
	if (strcmp(line, "ggfs hosted") == 0)
		r->p->hosted = true;
	const char *builtin = after(line, "ggfs builtin ");
	size_t i = builtin ? strtoul(builtin, NULL, 10) : SIZE_MAX;
	if (i < sizeof(builtins) / sizeof(builtins[0]))
		strv_add(&r->p->builtins, builtins[i].name);
}

/* A line of what -v says. */
static void read_search(struct reading *r, const char *line)
{
	static const char absent[] = "ignoring nonexistent directory \"";
	const char *rest;
	if (strcmp(line, "End of search list.") == 0) {
		r->complete = true;
		r->searching = false;
	} else if (r->searching) {
		if (line[0] == ' ')
			strv_add(&r->p->dirs, line + 1);
	} else if (strcmp(line, "#include <...> search starts here:") == 0) {
		r->searching = true;
	} else if ((rest = after(line, absent)) != NULL) {
		strv_add_take(&r->p->absent, xstrndup(rest, strcspn(rest, "\"")));
	}
}

/* A line of the preprocessed text. */
static void read_text(struct reading *r, const char *line)
{
	const char *rest;
	if ((rest = after(line, "# ")) != NULL && strchr(rest, '"')) {
		read_marker(r, strchr(rest, '"') + 1);
	} else if (r->own && (after(line, "#define ") || after(line, "#undef "))) {
		buf_add_format(&r->macros, "%s\n", line);
	} else if (after(line, "ggfs ")) {
		read_word(r, line);
	}
}

static void read_lines(struct buf *text, void (*read)(struct reading *r, const char *line),
                       struct reading *r)
{
	for (char *line = text->data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		read(r, line);
	}
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void question_text(struct buf *b)
{
	buf_add_str(b, probe);
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		buf_add_format(b, "#ifdef %s\nggfs builtin %zu\n#endif\n", builtins[i].name, i);
}

static int learn(const struct toolchain *t, struct predefined *p, struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT;
	scoped_buf struct buf text = BUF_INIT, answer = BUF_INIT, said = BUF_INIT;
	strv_copy(&argv, &p->ask);
	strv_add(&argv, "-v");
	strv_add(&argv, "-dD");
	question_text(&text);
	int r = ask_text(t->v, &argv, &text, &answer, &said, err);
	if (r < 0)
		return r;
	struct reading reading = { .p = p };
	read_lines(&said, read_search, &reading);
	read_lines(&answer, read_text, &reading);
	buf_reserve(&reading.macros, 0);
	p->macros = lex_file(reading.macros.data, reading.macros.len, p->mode);
	buf_release(&reading.macros);
	if (!reading.complete || p->macros->doubt || p->macros->directive_count < 20)
		return error_set(err, -EPROTO, "%s told something odd about its macros", t->tool);
	return 0;
}

static void make_arguments(const struct toolchain *t, const char *language,
                           const struct strv *flags, struct strv *argv)
{
	strv_add(argv, t->tool);
	strv_copy(argv, flags);
	strv_add(argv, "-w");
	strv_add(argv, "-E");
	strv_add(argv, "-x");
	strv_add(argv, language);
	strv_add(argv, "-");
}

int predefined_get(const struct toolchain *t, const char *language, const struct strv *flags,
                   struct predefined **out, struct error *err)
{
	struct scanner_cache *cache = memory_scanner(view_memory(t->v));
	struct predefined *p = xcalloc(1, sizeof(*p));
	p->references = 1;
	make_arguments(t, language, flags, &p->ask);
	scoped_free char *key = NULL;
	int r = ask_key(t->v, &p->ask, &key, err);
	struct predefined *known = r == 0 ? scanner_cache_compiler(cache, key) : NULL;
	if (r == 0 && !known)
		r = learn(t, p, err);
	if (r < 0 || known) {
		predefined_unref(p);
		*out = known;
		return r;
	}
	scanner_cache_put_compiler(cache, key, p);
	*out = p;
	return 0;
}

int predefined_feature(const struct toolchain *t, const struct predefined *p, const char *question,
                       const char *of, uint64_t *value, struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT, lines = STRV_INIT;
	scoped_buf struct buf text = BUF_INIT, answer = BUF_INIT, said = BUF_INIT;
	scoped_free char *own = NULL, *key = NULL;
	int r = ask_key(t->v, &p->ask, &own, err);
	if (r < 0)
		return r;
	key = xformat("%s\1%s\1%s", own, question, of);
	if (!memory_text_get(view_memory(t->v), key, &lines)) {
		strv_copy(&argv, &p->ask);
		strv_add(&argv, "-P");
		buf_add_format(&text, "ggfs %s(%s)\n", question, of);
		r = ask_text(t->v, &argv, &text, &answer, &said, err);
		if (r < 0)
			return r;
		const char *line = answer.data ? strstr(answer.data, "ggfs ") : NULL;
		strv_add_take(&lines,
		              line ? xstrndup(line + 5, strcspn(line + 5, "\n")) : xstrdup(""));
		memory_text_put(view_memory(t->v), key, &lines);
	}
	char *end = NULL;
	*value = lines.count ? strtoull(lines.items[0], &end, 10) : 0;
	if (!end || end == lines.items[0] || *end)
		return error_set(err, -EPROTO, "%s says nothing clear about %s(%s)", t->tool,
		                 question, of);
	return 0;
}
