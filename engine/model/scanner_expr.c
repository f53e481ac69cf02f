#include "engine/model/scanner_expr.h"

#include <string.h>

struct value {
	uint64_t bits;
	bool is_unsigned;
};

struct parser {
	struct macros *m;
	const struct questions *q;
	struct token t;   /* the one looked at */
	unsigned skipped; /* above 0: what is read decides nothing */
	unsigned depth;
};

static void advance(struct parser *p)
{
	macros_next(p->m, &p->t);
}

static struct value doubt(struct parser *p, const char *why)
{
	if (!p->m->doubt)
		p->m->doubt = why;
	p->t = (struct token){ .kind = TOKEN_END, .text = "" };
	return (struct value){ 0 };
}

static bool expect(struct parser *p, uint32_t mark)
{
	if (!token_is(&p->t, mark)) {
		doubt(p, "a condition that is broken");
		return false;
	}
	advance(p);
	return true;
}

static bool word_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_NAME && t->len == strlen(word) &&
	       memcmp(t->text, word, t->len) == 0;
}

/* --- constants ---------------------------------------------------------------------------------
 */

static int digit_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : 99;
}

/* u, l, ll and their mixes; false for anything else. */
static bool read_suffix(const char *c, const char *end, bool *is_unsigned)
{
	unsigned u = 0, l = 0;
	while (c < end) {
		if (*c == 'u' || *c == 'U') {
			u++;
			c++;
		} else if ((*c == 'l' || *c == 'L') && l == 0) {
			l = c + 1 < end && c[1] == *c ? 2 : 1;
			c += l;
		} else {
			return false;
		}
	}
	*is_unsigned = u > 0;
	return u <= 1;
}

static struct value number(struct parser *p)
{
	const char *c = p->t.text, *end = c + p->t.len;
	int base = 10;
	if (p->t.len > 1 && *c == '0') {
		bool hex = c[1] == 'x' || c[1] == 'X', binary = c[1] == 'b' || c[1] == 'B';
		base = hex ? 16 : binary ? 2 : 8;
		c += hex || binary ? 2 : 1;
		if ((hex || binary) && (c == end || digit_of(*c) >= base))
			return doubt(p, "a number that is broken");
	}
	struct value v = { 0 };
	for (; c < end && (digit_of(*c) < base || *c == '\''); c++) {
		if (*c == '\'')
			continue;
		uint64_t more;
		if (__builtin_mul_overflow(v.bits, (uint64_t)base, &more) ||
		    __builtin_add_overflow(more, (uint64_t)digit_of(*c), &v.bits))
			return doubt(p, "a number too large");
	}
	if (!read_suffix(c, end, &v.is_unsigned))
		return doubt(p, "a number that is no integer");
	v.is_unsigned = v.is_unsigned || (int64_t)v.bits < 0;
	advance(p);
	return v;
}

/* What is behind a backslash at *at. */
static int escape(const char **at, const char *end)
{
	static const char from[] = "abfnrtv\\'\"?e", to[] = "\a\b\f\n\r\t\v\\'\"?\33";
	const char *c = *at;
	if (c == end)
		return -1;
	int value = 0;
	const char *plain = memchr(from, *c, sizeof(from) - 1);
	if (plain) {
		*at = c + 1;
		return to[plain - from];
	}
	if (*c == 'x') {
		const char *begin = ++c;
		for (; c < end && digit_of(*c) < 16 && c - begin < 3; c++)
			value = value * 16 + digit_of(*c);
		*at = c;
		return c == begin || value > 255 ? -1 : value;
	}
	const char *begin = c;
	for (; c < end && c - begin < 3 && *c >= '0' && *c <= '7'; c++)
		value = value * 8 + (*c - '0');
	*at = c;
	return c == begin || value > 255 ? -1 : value;
}

static struct value character(struct parser *p)
{
	static const char name[] = "__CHAR_UNSIGNED__";
	const char *c = p->t.text, *end = c + p->t.len - 1;
	if (p->t.len < 3 || *c++ != '\'')
		return doubt(p, "a wide or empty character");
	int value = (unsigned char)*c++;
	if (value == '\\')
		value = escape(&c, end);
	if (c != end || value < 0 || (value >= 0x80 && p->t.text[1] != '\\'))
		return doubt(p, "a character of several bytes");
	struct token flag = { .kind = TOKEN_NAME, .text = name, .len = sizeof(name) - 1 };
	flag.id = lex_hash(name, flag.len);
	int64_t wide = macros_defined(p->m, &flag) ? value : (int8_t)value;
	advance(p);
	return (struct value){ .bits = (uint64_t)wide };
}

/* --- names -------------------------------------------------------------------------------------
 */

static struct value defined(struct parser *p)
{
	p->m->kept_back++;
	advance(p);
	bool parenthesis = token_is(&p->t, '(');
	if (parenthesis)
		advance(p);
	if (p->t.kind != TOKEN_NAME) {
		p->m->kept_back--;
		return doubt(p, "defined without a name");
	}
	struct value v = { .bits = macros_defined(p->m, &p->t) };
	if (parenthesis) {
		advance(p);
		if (!token_is(&p->t, ')'))
			doubt(p, "defined without its end");
	}
	p->m->kept_back--;
	advance(p);
	return v;
}

void header_name(struct macros *m, struct token *t)
{
	if (t->kind == TOKEN_HEADER || (t->kind == TOKEN_STRING && t->text[0] == '"'))
		return;
	if (!token_is(t, '<')) {
		m->doubt = m->doubt ? m->doubt : "an include of something odd";
		return;
	}
	scoped_buf struct buf name = BUF_INIT;
	for (;;) {
		struct token part;
		macros_next(m, &part);
		if (token_is(&part, '>'))
			break;
		/* how white space counts here depends on what was expanded where */
		if (part.kind == TOKEN_END || (part.flags & TOKEN_WHITE) ||
		    part.kind == TOKEN_HEADER) {
			m->doubt = m->doubt ? m->doubt : "a computed include with spaces or no end";
			return;
		}
		buf_add(&name, part.text, part.len);
	}
	*t = (struct token){ .kind = TOKEN_HEADER, .len = (uint32_t)name.len };
	t->text = memcpy(macros_alloc(m, name.len + 1), name.data ? name.data : "", name.len);
}

static struct value has_include(struct parser *p, bool next)
{
	advance(p);
	if (!token_is(&p->t, '('))
		return doubt(p, "__has_include without parentheses");
	advance(p);
	header_name(p->m, &p->t);
	struct value v = { 0 };
	if (!p->m->doubt && !p->skipped)
		v.bits = p->q->has_include(p->q->arg, &p->t, next);
	advance(p);
	expect(p, ')');
	return v;
}

/* __has_attribute ( NAME ), ( NAME :: NAME ) */
static struct value has_feature(struct parser *p)
{
	struct token question = p->t;
	scoped_buf struct buf of = BUF_INIT;
	advance(p);
	if (!expect(p, '('))
		return (struct value){ 0 };
	while (p->t.kind == TOKEN_NAME || token_is(&p->t, MARK(':', ':', 0))) {
		buf_add(&of, p->t.text, p->t.len);
		advance(p);
	}
	if (!expect(p, ')') || !of.len)
		return doubt(p, "a question about something odd");
	struct value v = { 0 };
	if (!p->skipped)
		v.bits = p->q->has_feature(p->q->arg, &question, of.data);
	return v;
}

static struct value name(struct parser *p)
{
	if (word_is(&p->t, "defined"))
		return defined(p);
	const struct macro_entry *e = macros_find(p->m, &p->t);
	if (e && !e->macro && e->builtin) {
		if (e->builtin == BUILTIN_HAS_INCLUDE || e->builtin == BUILTIN_HAS_INCLUDE_NEXT)
			return has_include(p, e->builtin == BUILTIN_HAS_INCLUDE_NEXT);
		if (e->builtin == BUILTIN_HAS_FEATURE)
			return has_feature(p);
		return doubt(p, "a name that gcc keeps changing");
	}
	struct value v = { 0 };
	bool truth = word_is(&p->t, "true");
	if (truth || word_is(&p->t, "false")) {
		if (!(p->m->mode & LEX_CXX) && (p->m->mode & LEX_SEPARATORS))
			return doubt(p, "true or false in a new C");
		v.bits = truth && (p->m->mode & LEX_CXX);
	}
	if (word_is(&p->t, "__VA_ARGS__") || word_is(&p->t, "__VA_OPT__"))
		return doubt(p, "a name that is no name");
	advance(p);
	return v;
}

/* --- operators ---------------------------------------------------------------------------------
 */

static struct value conditional(struct parser *p);

static struct value unary(struct parser *p)
{
	if (++p->depth > EXPRESSION_DEPTH_MAX)
		return doubt(p, "a condition too deep");
	struct value v = { 0 };
	uint32_t mark = p->t.kind == TOKEN_MARK ? p->t.id : 0;
	if (p->t.kind == TOKEN_NUMBER) {
		v = number(p);
	} else if (p->t.kind == TOKEN_CHARACTER) {
		v = character(p);
	} else if (p->t.kind == TOKEN_NAME) {
		v = name(p);
	} else if (mark == '(') {
		advance(p);
		v = conditional(p);
		expect(p, ')');
	} else if (mark == '+' || mark == '-' || mark == '~' || mark == '!') {
		advance(p);
		v = unary(p);
		v.bits = mark == '-'   ? -v.bits
		         : mark == '~' ? ~v.bits
		         : mark == '!' ? !v.bits
		                       : v.bits;
		v.is_unsigned = v.is_unsigned && mark != '!';
	} else {
		v = doubt(p, "a condition that is broken");
	}
	p->depth--;
	return v;
}

/* 0: no binary operator. */
static int precedence(const struct token *t)
{
	if (t->kind != TOKEN_MARK)
		return 0;
	switch (t->id) {
	case MARK('|', '|', 0):
		return 1;
	case MARK('&', '&', 0):
		return 2;
	case '|':
		return 3;
	case '^':
		return 4;
	case '&':
		return 5;
	case MARK('=', '=', 0):
	case MARK('!', '=', 0):
		return 6;
	case '<':
	case '>':
	case MARK('<', '=', 0):
	case MARK('>', '=', 0):
		return 7;
	case MARK('<', '<', 0):
	case MARK('>', '>', 0):
		return 8;
	case '+':
	case '-':
		return 9;
	case '*':
	case '/':
	case '%':
		return 10;
	default:
		return 0;
	}
}

static uint64_t divide(struct parser *p, uint32_t mark, struct value a, struct value b, bool uns)
{
	if (b.bits == 0) {
		if (!p->skipped)
			doubt(p, "a division by zero");
		return 0;
	}
	if (uns)
		return mark == '/' ? a.bits / b.bits : a.bits % b.bits;
	if (b.bits == UINT64_MAX)
		return mark == '/' ? -a.bits : 0;
	int64_t x = (int64_t)a.bits, y = (int64_t)b.bits;
	return (uint64_t)(mark == '/' ? x / y : x % y);
}

static uint64_t shift(struct parser *p, uint32_t mark, struct value a, struct value b)
{
	if (b.bits > 63) {
		if (!p->skipped)
			doubt(p, "a shift too far");
		return 0;
	}
	if (mark == MARK('<', '<', 0))
		return a.bits << b.bits;
	return a.is_unsigned ? a.bits >> b.bits : (uint64_t)((int64_t)a.bits >> b.bits);
}

static bool compare(uint32_t mark, struct value a, struct value b, bool uns)
{
	bool less = uns ? a.bits < b.bits : (int64_t)a.bits < (int64_t)b.bits;
	switch (mark) {
	case '<':
		return less;
	case '>':
		return !less && a.bits != b.bits;
	case MARK('<', '=', 0):
		return less || a.bits == b.bits;
	case MARK('>', '=', 0):
		return !less;
	case MARK('=', '=', 0):
		return a.bits == b.bits;
	default:
		return a.bits != b.bits;
	}
}

static struct value combine(struct parser *p, uint32_t mark, struct value a, struct value b)
{
	bool uns = a.is_unsigned || b.is_unsigned;
	switch (mark) {
	case '|':
		return (struct value){ a.bits | b.bits, uns };
	case '^':
		return (struct value){ a.bits ^ b.bits, uns };
	case '&':
		return (struct value){ a.bits & b.bits, uns };
	case '+':
		return (struct value){ a.bits + b.bits, uns };
	case '-':
		return (struct value){ a.bits - b.bits, uns };
	case '*':
		return (struct value){ a.bits * b.bits, uns };
	case '/':
	case '%':
		return (struct value){ divide(p, mark, a, b, uns), uns };
	case MARK('<', '<', 0):
	case MARK('>', '>', 0):
		return (struct value){ shift(p, mark, a, b), a.is_unsigned };
	default:
		return (struct value){ compare(mark, a, b, uns), false };
	}
}

static struct value binary(struct parser *p, int least)
{
	struct value left = unary(p);
	for (int level; !p->m->doubt && (level = precedence(&p->t)) >= least && level;) {
		uint32_t mark = p->t.id;
		bool either = level == 1, both = level == 2;
		bool decided = (either && left.bits) || (both && !left.bits);
		advance(p);
		p->skipped += decided;
		struct value right = binary(p, level + 1);
		p->skipped -= decided;
		if (either || both)
			left = (struct value){ either ? left.bits || right.bits
				                      : left.bits && right.bits };
		else
			left = combine(p, mark, left, right);
	}
	return left;
}

static struct value conditional(struct parser *p)
{
	if (++p->depth > EXPRESSION_DEPTH_MAX)
		return doubt(p, "a condition too deep");
	struct value v = binary(p, 1);
	if (token_is(&p->t, '?')) {
		bool first = v.bits != 0;
		advance(p);
		p->skipped += !first;
		struct value a = conditional(p);
		p->skipped -= !first;
		expect(p, ':');
		p->skipped += first;
		struct value b = conditional(p);
		p->skipped -= first;
		v = (struct value){ first ? a.bits : b.bits, a.is_unsigned || b.is_unsigned };
	}
	p->depth--;
	return v;
}

bool condition(struct macros *m, const struct questions *q, const struct directive *d)
{
	struct parser p = { .m = m, .q = q };
	macros_begin(m, d->tokens, d->count);
	advance(&p);
	struct value v = conditional(&p);
	if (!m->doubt && p.t.kind != TOKEN_END)
		m->doubt = "a condition that is broken";
	macros_end(m);
	return v.bits != 0;
}
