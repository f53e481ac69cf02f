#include "engine/model/scan.h"

#include <ctype.h>
#include <string.h>

enum { ASKED_MAX = 1000 };

void facts_release(struct facts *f)
{
	strv_release(&f->asked);
	strv_release(&f->dotted);
	*f = (struct facts){ 0 };
}

void facts_copy(struct facts *to, const struct facts *from)
{
	*to = *from;
	to->asked = to->dotted = STRV_INIT;
	strv_copy(&to->asked, &from->asked);
	strv_copy(&to->dotted, &from->dotted);
}

static bool has(const char *text, size_t len, const char *word)
{
	return text && memmem(text, len, word, strlen(word)) != NULL;
}

static const char *skip_blank(const char *c, const char *end)
{
	while (c < end && (*c == ' ' || *c == '\t' || (*c == '\\' && c + 1 < end && c[1] == '\n')))
		c += *c == '\\' ? 2 : 1;
	return c;
}

/* c stands after "has_include"; notes what is asked for. A use has parentheses; a mention, as in
 * #ifdef, has none. */
static void note_asked(const char *c, const char *end, struct facts *out)
{
	if (end - c >= 5 && memcmp(c, "_next", 5) == 0)
		c += 5;
	if (c < end && (isalnum((unsigned char)*c) || *c == '_')) {
		/* __has_include__, and whatever else continues the word */
		while (c < end && (isalnum((unsigned char)*c) || *c == '_'))
			c++;
	}
	c = skip_blank(c, end);
	if (c >= end || *c != '(')
		return;
	c = skip_blank(c + 1, end);
	char close = c < end && *c == '<' ? '>' : '"';
	if (c >= end || (*c != '<' && *c != '"')) {
		out->asks_computed = true;
		return;
	}
	const char *stop = c + 1;
	while (stop < end && *stop != close && *stop != '\n')
		stop++;
	if (stop >= end || *stop != close || out->asked.count >= ASKED_MAX) {
		out->asks_computed = true;
		return;
	}
	char *name = xstrndup(c, (size_t)(stop - c));
	if (strv_contains(&out->asked, name))
		free(name);
	else
		strv_add_take(&out->asked, name);
}

static const char *line_start(const char *text, const char *c)
{
	while (c > text && c[-1] != '\n')
		c--;
	return c;
}

/* push_macro and pop_macro other than in a #pragma of their own line. */
static bool push_by_operator(const char *text, size_t len)
{
	const char *end = text + len;
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), "_macro", 6)); c++) {
		if (!(c - text >= 4 && memcmp(c - 4, "push", 4) == 0) &&
		    !(c - text >= 3 && memcmp(c - 3, "pop", 3) == 0))
			continue;
		const char *line = skip_blank(line_start(text, c), end);
		size_t before = line < c ? (size_t)(c - line) : 0;
		bool directive = *line == '#' || (before > 1 && line[0] == '%' && line[1] == ':');
		if (!directive || !has(line, before, "pragma") || has(line, before, "_Pragma"))
			return true;
	}
	return false;
}

/* #include "a/../b.h": the directories on the way must be there, even when the file, under
 * another name, was included already and -M lists it once. */
static void note_dotted(const char *text, size_t len, struct facts *out)
{
	const char *end = text + len;
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), "../", 3)); c++) {
		const char *line = line_start(text, c);
		const char *eol = memchr(c, '\n', (size_t)(end - c));
		eol = eol ? eol : end;
		const char *open = c;
		while (open > line && *open != '"' && *open != '<')
			open--;
		const char *close = memchr(c, *open == '<' ? '>' : '"', (size_t)(eol - c));
		if (open == line || !close || !has(line, (size_t)(open - line), "include") ||
		    out->dotted.count >= ASKED_MAX)
			continue;
		char *name = xstrndup(open + 1, (size_t)(close - open - 1));
		if (strv_contains(&out->dotted, name))
			free(name);
		else
			strv_add_take(&out->dotted, name);
	}
}

/* ".include" where an assembler statement may begin, not as in options.include. */
static bool has_include_directive(const char *text, size_t len)
{
	const char *end = text + len;
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), ".include", 8)); c += 8) {
		char before = c > text ? c[-1] : '\n', behind = end - c > 8 ? c[8] : ' ';
		bool escape = c - text > 1 && c[-2] == '\\' && (before == 'n' || before == 't');
		if ((strchr("\" \t\n;:", before) || escape) && strchr(" \t\\\"\n", behind))
			return true;
	}
	return false;
}

void scan_text(const char *text, size_t len, struct facts *out)
{
	const char *end = text + len;
	out->includes_binary = has(text, len, ".incbin") || has_include_directive(text, len);
	/* one pass for all words that begin with two underscores and are rare after them */
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), "__", 2)); c++) {
		size_t left = (size_t)(end - c);
		if (left >= 8 && (memcmp(c, "__DATE__", 8) == 0 || memcmp(c, "__TIME__", 8) == 0))
			out->dates = true;
		else if (left >= 13 && memcmp(c, "__TIMESTAMP__", 13) == 0)
			out->timestamp = true;
		else if (left >= 11 && memcmp(c, "__COUNTER__", 11) == 0)
			out->text_matters = true;
	}
	out->text_matters = out->text_matters || push_by_operator(text, len);
	note_dotted(text, len, out);
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), "has_include", 11)); c++)
		note_asked(c + 11, end, out);
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), "dependency", 10)); c++) {
		const char *line = line_start(text, c);
		if (has(line, (size_t)(c - line), "GCC"))
			out->file_dates = true;
	}
}

/* --- assembler ------------------------------------------------------------------------------- */

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$';
}

/* The quoted name at c; false when there is none or it holds an escape. */
static bool quoted_name(const char *c, const char *end, struct strv *names)
{
	while (c < end && (*c == ' ' || *c == '\t'))
		c++;
	if (c >= end || *c != '"')
		return false;
	const char *stop = ++c;
	while (stop < end && *stop != '"' && *stop != '\n' && *stop != '\\')
		stop++;
	if (stop >= end || *stop != '"' || stop == c)
		return false;
	strv_add_take(names, xstrndup(c, (size_t)(stop - c)));
	return true;
}

static bool scan_directive(const char *text, size_t len, const char *word, struct strv *names)
{
	const char *end = text + len;
	size_t word_len = strlen(word);
	for (const char *c = text; (c = memmem(c, (size_t)(end - c), word, word_len));
	     c += word_len) {
		if (c > text && word_char(c[-1]))
			continue;
		if (c + word_len < end && word_char(c[word_len]))
			continue;
		if (!quoted_name(c + word_len, end, names))
			return false;
	}
	return true;
}

bool scan_assembler(const char *text, size_t len, struct strv *names)
{
	return scan_directive(text, len, ".include", names) &&
	       scan_directive(text, len, ".incbin", names);
}
