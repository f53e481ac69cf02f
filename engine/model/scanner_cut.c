#include "engine/model/scanner_cut.h"

#include <string.h>

void cursor_release(struct cursor *cur)
{
	buf_release(&cur->joined);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

/* The end of a physical line's own text: without the splice that ends it, if one does. */
static const char *splice_at(const struct cursor *cur, const char *begin, const char *end)
{
	while (end > begin && is_blank(end[-1]))
		end--;
	if (end > begin && end[-1] == '\\')
		return end - 1;
	if ((cur->mode & LEX_TRIGRAPHS) && end - begin >= 3 && memcmp(end - 3, "?\?/", 3) == 0)
		return end - 3;
	return NULL;
}

static void join_with_trigraphs(struct cursor *cur, const char *begin, const char *end)
{
	static const char from[] = "=/'()!<>-", to[] = "#\\^[]|{}~";
	for (const char *c = begin; c < end; c++) {
		const char *found = NULL;
		if ((cur->mode & LEX_TRIGRAPHS) && end - c >= 3 && c[0] == '?' && c[1] == '?')
			found = memchr(from, c[2], sizeof(from) - 1);
		buf_add_char(&cur->joined, found ? to[found - from] : *c);
		c += found ? 2 : 0;
	}
}

/* Makes the text from begin to the end of its physical line, spliced with what follows, the logical
 * line. */
static void take_line(struct cursor *cur, const char *begin)
{
	buf_reset(&cur->joined);
	cur->joined_line = false;
	for (const char *at = begin;;) {
		const char *newline = memchr(at, '\n', (size_t)(cur->end - at));
		const char *end = newline ? newline : cur->end;
		if (end > at && end[-1] == '\r')
			end--;
		cur->next = newline ? newline + 1 : cur->end;
		const char *splice = splice_at(cur, at, end);
		bool trigraphs = (cur->mode & LEX_TRIGRAPHS) &&
		                 memmem(at, (size_t)(end - at), "??", 2) != NULL;
		if (!splice && !trigraphs && !cur->joined_line) {
			cur->c = at;
			cur->eol = end;
			return;
		}
		cur->joined_line = true;
		join_with_trigraphs(cur, at, splice ? splice : end);
		if (!splice || cur->next == cur->end)
			break;
		at = cur->next;
	}
	cur->c = cur->joined.data ? cur->joined.data : "";
	cur->eol = cur->c + cur->joined.len;
}

bool cut_line(struct cursor *cur)
{
	if (cur->next >= cur->end)
		return false;
	take_line(cur, cur->next);
	return true;
}

/* --- white space ---------------------------------------------------------------------------- */

static void skip_block_comment(struct cursor *cur)
{
	cur->c += 2;
	for (;;) {
		const char *end = memmem(cur->c, (size_t)(cur->eol - cur->c), "*/", 2);
		if (end) {
			cur->c = end + 2;
			return;
		}
		if (!cut_line(cur)) {
			cur->c = cur->eol;
			cur->doubt = "a comment without an end";
			return;
		}
	}
}

bool cut_blank(struct cursor *cur)
{
	bool any = false;
	while (cur->c < cur->eol) {
		if (is_blank(*cur->c)) {
			cur->c++;
		} else if (*cur->c == '/' && cur->eol - cur->c > 1 && cur->c[1] == '*') {
			skip_block_comment(cur);
		} else if (*cur->c == '/' && cur->eol - cur->c > 1 && cur->c[1] == '/' &&
		           (cur->mode & LEX_SLASHES)) {
			cur->c = cur->eol;
		} else {
			break;
		}
		any = true;
	}
	return any;
}

/* --- tokens ------------------------------------------------------------------------------------
 */

enum { NAME_START = 1, DIGIT = 2 };

static const uint8_t classes[256] = {
	['a' ... 'z'] = NAME_START, ['A' ... 'Z'] = NAME_START,   ['_'] = NAME_START,
	['0' ... '9'] = DIGIT,      [0x80 ... 0xff] = NAME_START,
};

static unsigned class_of(const struct cursor *cur, char c)
{
	return c == '$' && (cur->mode & LEX_DOLLARS) ? NAME_START : classes[(unsigned char)c];
}

static void set(struct token *t, enum token_kind kind, const char *begin, const char *end)
{
	t->kind = kind;
	t->text = begin;
	t->len = (uint32_t)(end - begin);
}

/* After the opening quote at c: behind the closing one, or the line's end. An unmatched quote takes
 * all of the line, as in libcpp. */
static void cut_quoted(struct cursor *cur, const char *begin, const char *quote, bool escapes,
                       struct token *out)
{
	const char *c = quote + 1;
	while (c < cur->eol && *c != *quote)
		c += escapes && *c == '\\' && cur->eol - c > 1 ? 2 : 1;
	bool closed = c < cur->eol;
	cur->c = closed ? c + 1 : cur->eol;
	set(out, *quote == '"' ? TOKEN_STRING : TOKEN_CHARACTER, begin, cur->c);
	if (!closed) {
		out->kind = TOKEN_MARK;
		out->id = (unsigned char)*quote;
	}
	/* where it is skipped, it is cut with escapes after all */
	if (!escapes && memchr(begin, '\\', out->len))
		cur->doubt = "a backslash in a header's name";
}

static void cut_header(struct cursor *cur, struct token *out)
{
	const char *close = memchr(cur->c, '>', (size_t)(cur->eol - cur->c));
	if (!close) {
		set(out, TOKEN_MARK, cur->c, cur->c + 1);
		out->id = '<';
		cur->c++;
		return;
	}
	set(out, TOKEN_HEADER, cur->c + 1, close);
	cur->c = close + 1;
	/* where it is skipped, it is cut as any text */
	if (memmem(out->text, out->len, "/*", 2) || memchr(out->text, '"', out->len) ||
	    memchr(out->text, '\'', out->len))
		cur->doubt = "a comment or quote in a header's name";
}

/* quote: behind the R. A raw string goes on over lines as they are, splices and all. */
static void cut_raw(struct cursor *cur, const char *begin, const char *quote, struct token *out)
{
	const char *open = quote + 1;
	while (open < cur->eol && *open != '(' && !strchr(" )\\\"\t\v\f", *open))
		open++;
	size_t delimiter = (size_t)(open - quote - 1);
	if (cur->joined_line || open >= cur->eol || *open != '(' || delimiter > 16) {
		cur->doubt = "a raw string beside a splice, or a broken one";
		cur->c = cur->eol;
		set(out, TOKEN_STRING, begin, cur->eol);
		return;
	}
	for (const char *c = open + 1; (c = memchr(c, ')', (size_t)(cur->end - c))); c++) {
		size_t left = (size_t)(cur->end - c) - 1;
		if (left <= delimiter || memcmp(c + 1, quote + 1, delimiter) != 0 ||
		    c[1 + delimiter] != '"')
			continue;
		const char *behind = c + delimiter + 2;
		set(out, TOKEN_STRING, begin, behind);
		if (behind > cur->eol)
			take_line(cur, behind);
		else
			cur->c = behind;
		return;
	}
	cur->doubt = "a raw string without an end";
	cur->c = cur->eol;
	set(out, TOKEN_STRING, begin, cur->eol);
}

static bool is_word(const struct token *t, const char *word)
{
	return t->len == strlen(word) && memcmp(t->text, word, t->len) == 0;
}

static bool is_prefix(const struct token *t)
{
	return is_word(t, "L") || is_word(t, "u") || is_word(t, "U") || is_word(t, "u8");
}

static bool is_raw_prefix(const struct token *t)
{
	return is_word(t, "R") || is_word(t, "LR") || is_word(t, "uR") || is_word(t, "UR") ||
	       is_word(t, "u8R");
}

static const struct {
	char name[7];
	uint32_t mark;
} operators[] = {
	{ "and", MARK('&', '&', 0) },
	{ "and_eq", MARK('&', '=', 0) },
	{ "bitand", '&' },
	{ "bitor", '|' },
	{ "compl", '~' },
	{ "not", '!' },
	{ "not_eq", MARK('!', '=', 0) },
	{ "or", MARK('|', '|', 0) },
	{ "or_eq", MARK('|', '=', 0) },
	{ "xor", '^' },
	{ "xor_eq", MARK('^', '=', 0) },
};

static void cut_name(struct cursor *cur, bool angled, struct token *out)
{
	const char *begin = cur->c, *c = begin;
	bool ascii = true;
	for (; c < cur->eol && class_of(cur, *c); c++)
		ascii = ascii && (unsigned char)*c < 0x80;
	set(out, TOKEN_NAME, begin, c);
	cur->c = c;
	if (!ascii) {
		/* which of them are one name depends on the characters: no directive uses it */
		out->kind = TOKEN_MARK;
		out->id = 0x80;
	}
	if (c < cur->eol && (*c == '"' || *c == '\'') && out->len <= 3) {
		if (*c == '"' && (cur->mode & LEX_RAW) && is_raw_prefix(out))
			cut_raw(cur, begin, c, out);
		else if (is_prefix(out))
			cut_quoted(cur, begin, c, !angled, out);
		return;
	}
	for (size_t i = 0; (cur->mode & LEX_CXX) && i < sizeof(operators) / sizeof(operators[0]);
	     i++) {
		if (operators[i].name[0] != *begin ||
		    strnlen(operators[i].name, sizeof(operators[i].name)) != out->len ||
		    memcmp(operators[i].name, begin, out->len) != 0)
			continue;
		out->kind = TOKEN_MARK;
		out->id = operators[i].mark;
	}
}

static void cut_number(struct cursor *cur, struct token *out)
{
	const char *begin = cur->c, *c = begin + 1;
	for (; c < cur->eol; c++) {
		bool separator = *c == '\'' && (cur->mode & LEX_SEPARATORS);
		bool sign = (*c == '+' || *c == '-') && strchr("eEpP", c[-1]) && c[-1];
		bool plain = (classes[(unsigned char)*c] && (unsigned char)*c < 0x80) || *c == '.';
		if (!separator && !sign && !plain)
			break;
	}
	while (c[-1] == '\'')
		c--;
	cur->c = c;
	set(out, TOKEN_NUMBER, begin, c);
}

/* Longer ones first. */
static const struct {
	char text[5];
	unsigned mode; /* needed for it */
	uint32_t mark;
} marks[] = {
	{ "%:%:", LEX_DIGRAPHS, MARK('#', '#', 0) },
	{ "...", 0, MARK('.', '.', '.') },
	{ "<<=", 0, MARK('<', '<', '=') },
	{ ">>=", 0, MARK('>', '>', '=') },
	{ "->*", LEX_CXX, MARK('-', '>', '*') },
	{ "<:", LEX_DIGRAPHS, '[' },
	{ ":>", LEX_DIGRAPHS, ']' },
	{ "<%", LEX_DIGRAPHS, '{' },
	{ "%>", LEX_DIGRAPHS, '}' },
	{ "%:", LEX_DIGRAPHS, '#' },
};

static void cut_mark(struct cursor *cur, struct token *out)
{
	size_t left = (size_t)(cur->eol - cur->c);
	out->kind = TOKEN_MARK;
	out->text = cur->c;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		size_t len = strlen(marks[i].text);
		if (left < len || memcmp(cur->c, marks[i].text, len) != 0 ||
		    (marks[i].mode & cur->mode) != marks[i].mode)
			continue;
		out->len = (uint32_t)len;
		out->id = marks[i].mark;
		cur->c += len;
		return;
	}
	char a = *cur->c, b = left > 1 ? cur->c[1] : '\0';
	bool doubled = a == b && strchr("+-<>=&|#:", a) && a;
	bool assigned = b == '=' && strchr("<>!=+-*/%&|^", a) && a;
	bool two = doubled || assigned || (a == '-' && b == '>');
	out->len = two ? 2 : 1;
	out->id = two ? MARK((unsigned char)a, (unsigned char)b, 0) : (unsigned char)a;
	cur->c += out->len;
}

void cut_token(struct cursor *cur, bool angled, struct token *out)
{
	*out = (struct token){ .flags = cut_blank(cur) ? TOKEN_WHITE : 0 };
	if (cur->c >= cur->eol) {
		out->kind = TOKEN_END;
		out->text = "";
		return;
	}
	char c = *cur->c;
	unsigned class = class_of(cur, c);
	if (class == NAME_START)
		cut_name(cur, angled, out);
	else if (class == DIGIT ||
	         (c == '.' && cur->eol - cur->c > 1 && classes[(unsigned char)cur->c[1]] == DIGIT))
		cut_number(cur, out);
	else if (c == '"' || (c == '\'' && !angled))
		cut_quoted(cur, cur->c, cur->c, !angled, out);
	else if (c == '<' && angled)
		cut_header(cur, out);
	else
		cut_mark(cur, out);
}
