#include "engine/model/scanner_lex.h"

#include <string.h>

#include "engine/model/scanner_cut.h"

/* While a file is cut, texts are offsets and lists are indexes: all move as they grow. */
struct lexer {
	struct cursor cur;
	bool watch; /* the text has words that might be pragmas made by _Pragma */
	struct buf text;
	struct token *tokens;
	size_t token_count, token_capacity;
	struct directive *directives;
	size_t directive_count, directive_capacity;
	struct macro *macros;
	size_t macro_count, macro_capacity;
	uint32_t open[LEX_DEPTH_MAX]; /* the last directive so far of each conditional around */
	unsigned depth;
	size_t first; /* token of the directive being cut */
};

uint32_t lex_hash(const char *text, size_t len)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619u;
	return h;
}

static bool is_word(const struct token *t, const char *word)
{
	return t->kind == TOKEN_NAME && t->len == strlen(word) &&
	       memcmp(t->text, word, t->len) == 0;
}

/* --- words that might become pragmas -----------------------------------------------------------
 */

static bool begins_pragma(const char *c, const char *end)
{
	static const char *const words[] = { "system_header", "poison", "dependency" };
	while (c < end && (*c == ' ' || *c == '\t'))
		c++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((size_t)(end - c) >= strlen(words[i]) &&
		    memcmp(c, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

static bool string_is_pragma(const struct token *t)
{
	if (memmem(t->text, t->len, "push_macro", 10) || memmem(t->text, t->len, "pop_macro", 9))
		return true;
	if (t->len == 6 && memcmp(t->text, "\"once\"", 6) == 0)
		return true;
	const char *gcc = memmem(t->text, t->len, "GCC", 3);
	return gcc && begins_pragma(gcc + 3, t->text + t->len);
}

/* Whether t, as text or in a macro's body, could be or become an operator _Pragma that decides
 * what is included. rest: what follows it on the line. */
static bool may_be_pragma(const struct lexer *lx, const struct token *t, bool after_open,
                          const char *rest, const char *end)
{
	if (!lx->watch)
		return false;
	if (t->kind == TOKEN_STRING)
		return string_is_pragma(t);
	if (t->kind != TOKEN_NAME)
		return false;
	if (is_word(t, "once") && after_open) {
		while (rest < end && *rest == ' ')
			rest++;
		return rest < end && *rest == ')';
	}
	return is_word(t, "push_macro") || is_word(t, "pop_macro") ||
	       (is_word(t, "GCC") && begins_pragma(rest, end));
}

/* --- directives --------------------------------------------------------------------------------
 */

static struct directive *add_directive(struct lexer *lx, enum directive_kind kind)
{
	array_grow(lx->directives, lx->directive_count, lx->directive_capacity);
	struct directive *d = &lx->directives[lx->directive_count++];
	*d = (struct directive){ .kind = kind };
	d->tokens = (const struct token *)lx->first; /* an index until the file is done */
	d->count = (uint32_t)(lx->token_count - lx->first);
	return d;
}

static void add_doubt(struct lexer *lx, const char *why)
{
	add_directive(lx, DIRECTIVE_DOUBT)->doubt = why;
}

static void add_text_doubt(struct lexer *lx)
{
	struct directive *last =
	        lx->directive_count ? &lx->directives[lx->directive_count - 1] : NULL;
	lx->first = lx->token_count;
	if (!last || last->kind != DIRECTIVE_DOUBT)
		add_doubt(lx, "a pragma made by an operator");
}

static void keep_token(struct lexer *lx, const struct token *t)
{
	array_grow(lx->tokens, lx->token_count, lx->token_capacity);
	struct token *kept = &lx->tokens[lx->token_count++];
	*kept = *t;
	kept->text = (const char *)lx->text.len;
	if (kept->kind == TOKEN_NAME)
		kept->id = lex_hash(t->text, t->len);
	buf_add(&lx->text, t->text, t->len);
}

static const char *text_of(const struct lexer *lx, const struct token *t)
{
	return lx->text.data + (size_t)t->text;
}

static bool kept_is(const struct lexer *lx, const struct token *t, const char *word)
{
	return t->kind == TOKEN_NAME && t->len == strlen(word) &&
	       memcmp(text_of(lx, t), word, t->len) == 0;
}

/* Cuts the rest of the directive; its tokens are those from lx->first on. */
static void keep_rest(struct lexer *lx, bool angled)
{
	/* __has_include ( < : where a header's name may stand */
	unsigned asked = 0;
	struct token t, before = { 0 };
	const char *doubt = NULL;
	for (;;) {
		cut_token(&lx->cur, angled || asked == 2, &t);
		if (t.kind == TOKEN_END)
			break;
		asked = is_word(&t, "__has_include") || is_word(&t, "__has_include_next") ? 1
		        : asked == 1 && token_is(&t, '(')                                 ? 2
		                                                                          : 0;
		if (t.kind == TOKEN_STRING && memchr(t.text, '\n', t.len))
			lx->cur.doubt = "a raw string over lines in a directive";
		if (may_be_pragma(lx, &t, token_is(&before, '('), lx->cur.c, lx->cur.eol))
			doubt = "a macro that may be a pragma";
		before = t;
		keep_token(lx, &t);
	}
	if (doubt)
		add_doubt(lx, doubt);
}

static void skip_rest(struct lexer *lx)
{
	struct token t;
	do
		cut_token(&lx->cur, false, &t);
	while (t.kind != TOKEN_END);
}

/* --- #define -----------------------------------------------------------------------------------
 */

static int parameter_of(const struct lexer *lx, const struct token *names, uint32_t count,
                        const struct token *t)
{
	for (uint32_t i = 0; t->kind == TOKEN_NAME && i < count; i++)
		if (names[i].len == t->len && names[i].id == t->id &&
		    memcmp(text_of(lx, &names[i]), text_of(lx, t), t->len) == 0)
			return (int)i;
	return -1;
}

/* The parameter list behind the opening parenthesis at *at, moved to the front of tokens. False
 * when it is broken. */
static bool take_parameters(struct lexer *lx, struct macro *m, size_t *at)
{
	struct token *t = lx->tokens;
	size_t names = lx->first + 1, end = lx->token_count, c = *at + 1;
	bool want_name = false;
	for (; c < end; c++) {
		if (token_is(&t[c], ')')) {
			*at = c + 1;
			return !want_name;
		}
		if (m->parameters && !want_name) {
			if (!token_is(&t[c], ',') || m->variadic)
				return false;
			want_name = true;
			continue;
		}
		bool dots = token_is(&t[c], MARK('.', '.', '.'));
		if ((!dots && t[c].kind != TOKEN_NAME) || m->variadic)
			return false;
		struct token name = t[c];
		if (dots) {
			static const char variadic[] = "__VA_ARGS__";
			name = (struct token){ .kind = TOKEN_NAME, .len = sizeof(variadic) - 1 };
			name.id = lex_hash(variadic, name.len);
			name.text = (const char *)lx->text.len;
			buf_add_str(&lx->text, variadic);
		} else if (c + 1 < end && token_is(&t[c + 1], MARK('.', '.', '.'))) {
			dots = true;
			c++;
		}
		if (parameter_of(lx, &t[names], m->parameters, &name) >= 0)
			return false;
		m->variadic = dots;
		t[names + m->parameters++] = name;
		want_name = false;
	}
	return false;
}

/* Parameters, # and ## in the body. False when it is broken. */
static bool take_body(struct lexer *lx, struct macro *m, size_t from)
{
	const struct token *names = &lx->tokens[lx->first + 1];
	size_t to = from;
	bool comma = false;
	for (size_t c = from; c < lx->token_count; c++) {
		struct token t = lx->tokens[c];
		int parameter = parameter_of(lx, names, m->parameters, &t);
		if (token_is(&t, MARK('#', '#', 0))) {
			if (to == from || c + 1 == lx->token_count)
				return false;
			lx->tokens[to - 1].flags |= TOKEN_PASTE;
			comma = token_is(&lx->tokens[to - 1], ',');
			continue;
		}
		if (m->function && token_is(&t, '#') && c + 1 < lx->token_count) {
			uint8_t white = t.flags & TOKEN_WHITE;
			t = lx->tokens[c + 1];
			parameter = parameter_of(lx, names, m->parameters, &t);
			if (parameter < 0 && !(lx->cur.mode & LEX_ASSEMBLER))
				return false;
			if (parameter < 0) {
				t = lx->tokens[c];
			} else {
				t.flags = TOKEN_STRINGIFY | white;
				c++;
			}
		}
		if (parameter >= 0) {
			t.kind = TOKEN_PARAMETER;
			t.id = (uint32_t)parameter;
		}
		bool rest = m->variadic && parameter == (int)m->parameters - 1;
		m->doubtful = m->doubtful || (comma && rest) || kept_is(lx, &t, "__VA_OPT__");
		comma = false;
		lx->tokens[to++] = t;
	}
	lx->token_count = to;
	if (to > from)
		lx->tokens[from].flags &= (uint8_t)~TOKEN_WHITE;
	m->body = (const struct token *)from;
	m->count = (uint32_t)(to - from);
	return true;
}

static void take_define(struct lexer *lx)
{
	keep_rest(lx, false);
	const struct token *t = &lx->tokens[lx->first];
	size_t count = lx->token_count - lx->first;
	struct macro m = { 0 };
	if (count == 0 || t->kind != TOKEN_NAME || kept_is(lx, t, "defined") ||
	    kept_is(lx, t, "__VA_OPT__") || kept_is(lx, t, "__VA_ARGS__")) {
		add_doubt(lx, "a #define without a proper name");
		return;
	}
	m.name = *t;
	size_t body = lx->first + 1;
	m.function = count > 1 && token_is(&t[1], '(') && !(t[1].flags & TOKEN_WHITE);
	if ((m.function && !take_parameters(lx, &m, &body)) || !take_body(lx, &m, body)) {
		add_doubt(lx, "a broken #define");
		return;
	}
	array_grow(lx->macros, lx->macro_count, lx->macro_capacity);
	lx->macros[lx->macro_count++] = m;
	struct directive *d = add_directive(lx, DIRECTIVE_DEFINE);
	d->macro = (const struct macro *)(lx->macro_count - 1);
}

/* --- conditionals ------------------------------------------------------------------------------
 */

static void open_conditional(struct lexer *lx, enum directive_kind kind)
{
	keep_rest(lx, false);
	add_directive(lx, kind);
	if (lx->depth == LEX_DEPTH_MAX)
		lx->cur.doubt = "too many conditionals in one another";
	else
		lx->open[lx->depth++] = (uint32_t)lx->directive_count - 1;
}

static void go_on_conditional(struct lexer *lx, enum directive_kind kind)
{
	if (kind == DIRECTIVE_ELIF || kind == DIRECTIVE_ELIFDEF)
		keep_rest(lx, false);
	else
		skip_rest(lx);
	add_directive(lx, kind);
	if (lx->depth == 0) {
		lx->cur.doubt = "a conditional that was not begun";
		return;
	}
	uint32_t *last = &lx->open[lx->depth - 1];
	if (kind != DIRECTIVE_ENDIF && lx->directives[*last].kind == DIRECTIVE_ELSE)
		lx->cur.doubt = "something after #else";
	lx->directives[*last].next = (uint32_t)lx->directive_count - 1;
	*last = (uint32_t)lx->directive_count - 1;
	lx->depth -= kind == DIRECTIVE_ENDIF;
}

/* --- #pragma -----------------------------------------------------------------------------------
 */

/* ( "NAME" ): leaves the name as the directive's one token. */
static bool take_macro_name(struct lexer *lx)
{
	const struct token *t = &lx->tokens[lx->first + 1];
	size_t count = lx->token_count - lx->first - 1;
	if (count < 3 || !token_is(&t[0], '(') || t[1].kind != TOKEN_STRING ||
	    !token_is(&t[2], ')'))
		return false;
	struct token name = t[1];
	name.text++;
	name.len -= 2;
	const char *text = text_of(lx, &name);
	if (text_of(lx, &t[1])[0] != '"' || name.len == 0)
		return false;
	for (uint32_t i = 0; i < name.len; i++)
		if (strchr(" \t\\\"", text[i]) || (unsigned char)text[i] >= 0x80)
			return false;
	name.kind = TOKEN_NAME;
	name.id = lex_hash(text, name.len);
	lx->tokens[lx->first] = name;
	lx->token_count = lx->first + 1;
	return true;
}

static void take_pragma(struct lexer *lx)
{
	bool watch = lx->watch;
	lx->watch = false; /* these are plain */
	keep_rest(lx, false);
	lx->watch = watch;
	const struct token *t = &lx->tokens[lx->first];
	size_t count = lx->token_count - lx->first;
	if (count == 0)
		return;
	bool push = kept_is(lx, t, "push_macro");
	if (kept_is(lx, t, "once")) {
		add_directive(lx, DIRECTIVE_ONCE);
	} else if (push || kept_is(lx, t, "pop_macro")) {
		if (take_macro_name(lx))
			add_directive(lx, push ? DIRECTIVE_PUSH_MACRO : DIRECTIVE_POP_MACRO);
		else
			add_doubt(lx, "a broken push_macro or pop_macro");
	} else if (count > 1 && kept_is(lx, t, "GCC")) {
		if (kept_is(lx, &t[1], "system_header"))
			add_directive(lx, DIRECTIVE_SYSTEM_HEADER);
		else if (kept_is(lx, &t[1], "poison") || kept_is(lx, &t[1], "dependency") ||
		         kept_is(lx, &t[1], "error") || kept_is(lx, &t[1], "pch_preprocess"))
			add_doubt(lx, "a pragma that is gcc's own");
	}
}

/* --- the file ----------------------------------------------------------------------------------
 */

enum { KEYWORD_SKIP = -1, KEYWORD_PRAGMA = -2, KEYWORD_REFUSED = -3 };

static const struct {
	const char *word;
	int kind;
} keywords[] = {
	{ "define", DIRECTIVE_DEFINE },
	{ "include", DIRECTIVE_INCLUDE },
	{ "endif", DIRECTIVE_ENDIF },
	{ "ifdef", DIRECTIVE_IFDEF },
	{ "if", DIRECTIVE_IF },
	{ "else", DIRECTIVE_ELSE },
	{ "ifndef", DIRECTIVE_IFNDEF },
	{ "undef", DIRECTIVE_UNDEF },
	{ "elif", DIRECTIVE_ELIF },
	{ "elifdef", DIRECTIVE_ELIFDEF },
	{ "elifndef", DIRECTIVE_ELIFDEF },
	{ "include_next", DIRECTIVE_INCLUDE_NEXT },
	{ "pragma", KEYWORD_PRAGMA },
	{ "warning", KEYWORD_SKIP },
	{ "ident", KEYWORD_SKIP },
	{ "sccs", KEYWORD_SKIP },
	{ "line", KEYWORD_SKIP },
};

static int keyword(const struct token *t)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (is_word(t, keywords[i].word))
			return keywords[i].kind;
	return KEYWORD_REFUSED; /* error, import, assert, embed, line markers, ... */
}

static void take_directive(struct lexer *lx)
{
	struct token t;
	cut_token(&lx->cur, false, &t); /* # */
	cut_token(&lx->cur, false, &t);
	lx->first = lx->token_count;
	if (t.kind == TOKEN_END)
		return;
	int kind = keyword(&t);
	switch (kind) {
	case KEYWORD_SKIP:
		skip_rest(lx);
		break;
	case KEYWORD_PRAGMA:
		take_pragma(lx);
		break;
	case KEYWORD_REFUSED:
		/* comments of an assembler begin with # as well */
		if (!(lx->cur.mode & LEX_ASSEMBLER) || is_word(&t, "error") ||
		    is_word(&t, "import"))
			add_doubt(lx, "a directive that is gcc's own");
		skip_rest(lx);
		break;
	case DIRECTIVE_DEFINE:
		take_define(lx);
		break;
	case DIRECTIVE_IF:
	case DIRECTIVE_IFDEF:
	case DIRECTIVE_IFNDEF:
		open_conditional(lx, (enum directive_kind)kind);
		break;
	case DIRECTIVE_ELIF:
	case DIRECTIVE_ELIFDEF:
	case DIRECTIVE_ELSE:
	case DIRECTIVE_ENDIF:
		go_on_conditional(lx, (enum directive_kind)kind);
		break;
	default:
		keep_rest(lx, kind != DIRECTIVE_UNDEF);
		add_directive(lx, (enum directive_kind)kind);
		break;
	}
}

static bool at_directive(const struct cursor *cur)
{
	size_t left = (size_t)(cur->eol - cur->c);
	return left && (*cur->c == '#' ||
	                (left > 1 && (cur->mode & LEX_DIGRAPHS) && memcmp(cur->c, "%:", 2) == 0));
}

static void take_text(struct lexer *lx)
{
	struct token t, before = { 0 };
	for (;;) {
		cut_token(&lx->cur, false, &t);
		if (t.kind == TOKEN_END)
			return;
		if (may_be_pragma(lx, &t, token_is(&before, '('), lx->cur.c, lx->cur.eol))
			add_text_doubt(lx);
		before = t;
	}
}

/* Bytes that libcpp has rules of its own for. */
static const char *odd_bytes(const char *text, size_t len)
{
	const char *end = text + len;
	if (memchr(text, '\0', len))
		return "a NUL";
	for (const char *c = text; (c = memchr(c, '\r', (size_t)(end - c))); c++)
		if (c + 1 == end || c[1] != '\n')
			return "a carriage return in a line";
	return NULL;
}

/* Turns offsets and indexes into pointers. */
static struct lexed *finish(struct lexer *lx)
{
	struct lexed *l = xcalloc(1, sizeof(*l));
	l->references = 1;
	l->doubt = lx->cur.doubt;
	l->memory_bytes = sizeof(*l) + lx->text.capacity + lx->token_capacity * sizeof(*l->tokens) +
	                  lx->macro_capacity * sizeof(*l->macros) +
	                  lx->directive_capacity * sizeof(*l->directives);
	l->text = buf_steal(&lx->text, NULL);
	l->tokens = lx->tokens;
	l->macros = lx->macros;
	l->directives = lx->directives;
	l->directive_count = (uint32_t)lx->directive_count;
	for (size_t i = 0; i < lx->token_count; i++)
		l->tokens[i].text = l->text + (size_t)l->tokens[i].text;
	for (size_t i = 0; i < lx->macro_count; i++) {
		l->macros[i].name.text = l->text + (size_t)l->macros[i].name.text;
		l->macros[i].body = l->tokens + (size_t)l->macros[i].body;
	}
	for (size_t i = 0; i < lx->directive_count; i++) {
		struct directive *d = &l->directives[i];
		d->tokens = l->tokens + (size_t)d->tokens;
		if (d->kind == DIRECTIVE_DEFINE)
			d->macro = l->macros + (size_t)d->macro;
	}
	return l;
}

struct lexed *lex_file(const char *text, size_t len, unsigned mode)
{
	struct lexer *lx = xcalloc(1, sizeof(*lx));
	/* What has no tokens still points to where they would be. */
	array_grow(lx->tokens, lx->token_count, lx->token_capacity);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	buf_add_char(&lx->text, '\n'); /* so that there is a text to point into */
	lx->cur = (struct cursor){ .mode = mode, .next = text, .end = text + len };
	const char *odd = len > LEX_BYTES_MAX ? "a file too large" : odd_bytes(text, len);
	lx->watch = memmem(text, len, "_macro", 6) || memmem(text, len, "GCC", 3) ||
	            memmem(text, len, "once", 4);
	while (!odd && !lx->cur.doubt && cut_line(&lx->cur)) {
		cut_blank(&lx->cur);
		if (at_directive(&lx->cur))
			take_directive(lx);
		else
			take_text(lx);
	}
	if (odd)
		lx->cur.doubt = odd;
	else if (lx->depth && !lx->cur.doubt)
		lx->cur.doubt = "a conditional without an end";
	struct lexed *l = finish(lx);
	cursor_release(&lx->cur);
	free(lx);
	return l;
}

struct lexed *lexed_ref(struct lexed *l)
{
	atomic_fetch_add(&l->references, 1);
	return l;
}

void lexed_unref(struct lexed *l)
{
	if (!l || atomic_fetch_sub(&l->references, 1) > 1)
		return;
	free(l->text);
	free(l->tokens);
	free(l->macros);
	free(l->directives);
	free(l);
}

bool lex_one(const char *text, size_t len, unsigned mode, struct token *out)
{
	struct cursor cur = { .mode = mode, .c = text, .eol = text + len };
	cur.next = cur.end = cur.eol;
	cut_token(&cur, false, out);
	bool whole = out->kind != TOKEN_END && out->len == len && !cur.doubt && cur.c == cur.eol;
	if (out->kind == TOKEN_NAME)
		out->id = lex_hash(out->text, out->len);
	cursor_release(&cur);
	return whole;
}
