#include "engine/model/scanner_macro.h"

#include <string.h>

/* --- the table ---------------------------------------------------------------------------------
 */

static struct macro_entry **slot_of(struct macro_entry **slots, size_t size,
                                    const struct token *name)
{
	for (size_t at = name->id;; at++) {
		struct macro_entry **slot = &slots[at & (size - 1)];
		if (!*slot || ((*slot)->name.id == name->id && (*slot)->name.len == name->len &&
		               memcmp((*slot)->name.text, name->text, name->len) == 0))
			return slot;
	}
}

struct macro_entry *macros_find(const struct macros *m, const struct token *name)
{
	return m->size ? *slot_of(m->slots, m->size, name) : NULL;
}

bool macros_defined(const struct macros *m, const struct token *name)
{
	const struct macro_entry *e = macros_find(m, name);
	return e && (e->macro || e->builtin);
}

static struct macro_entry *entry_of(struct macros *m, const struct token *name)
{
	if (2 * (m->count + 1) > m->size) {
		size_t size = m->size ? 2 * m->size : 2048;
		struct macro_entry **slots = xcalloc(size, sizeof(*slots));
		for (size_t i = 0; i < m->size; i++)
			if (m->slots[i])
				*slot_of(slots, size, &m->slots[i]->name) = m->slots[i];
		free(m->slots);
		m->slots = slots;
		m->size = size;
	}
	struct macro_entry **slot = slot_of(m->slots, m->size, name);
	if (!*slot) {
		*slot = xcalloc(1, sizeof(**slot));
		(*slot)->name = *name;
		m->count++;
	}
	return *slot;
}

bool macros_define(struct macros *m, const struct macro *macro)
{
	struct macro_entry *e = entry_of(m, &macro->name);
	e->macro = macro;
	return !e->builtin;
}

bool macros_undefine(struct macros *m, const struct token *name)
{
	struct macro_entry *e = macros_find(m, name);
	if (e)
		e->macro = NULL;
	return !e || !e->builtin;
}

void macros_add_builtin(struct macros *m, const struct token *name, enum builtin builtin)
{
	entry_of(m, name)->builtin = builtin;
}

bool macros_push(struct macros *m, const struct token *name)
{
	struct macro_entry *e = entry_of(m, name);
	if (e->builtin || m->pushed_count == PUSHED_MAX)
		return false;
	array_grow(m->pushed, m->pushed_count, m->pushed_capacity);
	m->pushed[m->pushed_count++] = (struct pushed_macro){ e, e->macro };
	return true;
}

bool macros_pop(struct macros *m, const struct token *name)
{
	struct macro_entry *e = entry_of(m, name);
	for (size_t i = m->pushed_count; i > 0; i--) {
		if (m->pushed[i - 1].entry != e)
			continue;
		e->macro = m->pushed[i - 1].macro;
		memmove(&m->pushed[i - 1], &m->pushed[i],
		        (m->pushed_count - i) * sizeof(*m->pushed));
		m->pushed_count--;
		break;
	}
	return !e->builtin;
}

/* --- memory of a directive ------------------------------------------------------------------- */

enum { CHUNK_SIZE = 16 << 10 };

struct chunk {
	struct chunk *next;
	size_t used, size;
	char bytes[] __attribute__((aligned(16)));
};

void *macros_alloc(struct macros *m, size_t len)
{
	len = (len + 15) & ~(size_t)15;
	struct chunk *c = m->chunks;
	if (!c || c->size - c->used < len) {
		size_t size = len > CHUNK_SIZE ? len : CHUNK_SIZE;
		c = xmalloc(sizeof(*c) + size);
		*c = (struct chunk){ .next = m->chunks, .size = size };
		m->chunks = c;
	}
	void *p = c->bytes + c->used;
	c->used += len;
	return p;
}

static void free_chunks(struct macros *m, struct chunk *keep)
{
	while (m->chunks && m->chunks != keep) {
		struct chunk *c = m->chunks;
		m->chunks = c->next;
		free(c);
	}
}

void macros_release(struct macros *m)
{
	free_chunks(m, NULL);
	for (size_t i = 0; i < m->size; i++)
		free(m->slots[i]);
	free(m->slots);
	free(m->pushed);
}

/* --- lists of tokens ------------------------------------------------------------------------- */

struct list {
	struct token *tokens;
	uint32_t count, capacity;
};

static void list_add(struct macros *m, struct list *l, const struct token *t)
{
	if (m->budget == 0) {
		m->doubt = "an expansion too large";
		return;
	}
	m->budget--;
	if (l->count == l->capacity) {
		uint32_t capacity = l->capacity ? 2 * l->capacity : 8;
		struct token *tokens = macros_alloc(m, capacity * sizeof(*tokens));
		if (l->count)
			memcpy(tokens, l->tokens, l->count * sizeof(*tokens));
		l->tokens = tokens;
		l->capacity = capacity;
	}
	l->tokens[l->count++] = *t;
}

/* --- reading -----------------------------------------------------------------------------------
 */

struct context {
	struct context *below;
	const struct token *at, *end;
	struct macro_entry *macro; /* enabled again when this is read */
	bool barrier;              /* what is below is not read on */
};

static void push_context(struct macros *m, const struct token *tokens, uint32_t count,
                         struct macro_entry *macro, bool barrier)
{
	struct context *c = macros_alloc(m, sizeof(*c));
	/* An argument of no tokens is a NULL of none. */
	*c = (struct context){ m->context, tokens, count ? tokens + count : tokens, macro,
		               barrier };
	m->context = c;
}

static void pop_context(struct macros *m)
{
	if (m->context->macro)
		m->context->macro->disabled = false;
	m->context = m->context->below;
}

static bool enter(struct macros *m, struct macro_entry *e, const struct token *name);

void macros_next(struct macros *m, struct token *out)
{
	for (;;) {
		struct context *c = m->context;
		*out = (struct token){ .kind = TOKEN_END, .text = "" };
		if (m->doubt)
			return;
		if (c->at == c->end) {
			if (c->barrier)
				return;
			pop_context(m);
			continue;
		}
		*out = *c->at++;
		if (out->kind != TOKEN_NAME || (out->flags & TOKEN_PAINTED))
			return;
		struct macro_entry *e = macros_find(m, out);
		if (!e)
			return;
		if (e->macro && e->disabled) {
			out->flags |= TOKEN_PAINTED;
			return;
		}
		if (m->kept_back)
			return;
		if (e->builtin == BUILTIN_CHANGING)
			m->doubt = "a name that gcc keeps changing";
		else if (!e->macro || !enter(m, e, out))
			return;
	}
}

void macros_begin(struct macros *m, const struct token *tokens, uint32_t count)
{
	m->budget = EXPANSION_TOKENS_MAX;
	push_context(m, tokens, count, NULL, true);
}

void macros_end(struct macros *m)
{
	while (m->context)
		pop_context(m);
	m->kept_back = m->depth = 0;
	/* one chunk is kept for the next directive */
	if (m->chunks && m->chunks->next) {
		free_chunks(m, NULL);
	} else if (m->chunks) {
		m->chunks->used = 0;
	}
}

/* --- arguments ---------------------------------------------------------------------------------
 */

struct argument {
	struct list plain, expanded;
	bool is_expanded;
};

static void expand_argument(struct macros *m, struct argument *a)
{
	if (a->is_expanded)
		return;
	a->is_expanded = true;
	if (++m->depth > EXPANSION_DEPTH_MAX) {
		m->doubt = "an expansion too deep";
		return;
	}
	unsigned kept_back = m->kept_back;
	m->kept_back = 0;
	push_context(m, a->plain.tokens, a->plain.count, NULL, true);
	struct context *own = m->context;
	struct token t;
	for (;;) {
		macros_next(m, &t);
		if (t.kind == TOKEN_END)
			break;
		list_add(m, &a->expanded, &t);
	}
	while (m->context != own)
		pop_context(m);
	pop_context(m);
	m->kept_back = kept_back;
	m->depth--;
}

/* Behind the opening parenthesis: all arguments up to the closing one; how many. */
static uint32_t read_arguments(struct macros *m, const struct macro *macro, struct argument *args)
{
	uint32_t count = 1;
	unsigned nested = 0;
	for (;;) {
		struct token t;
		macros_next(m, &t);
		if (t.kind == TOKEN_END) {
			m->doubt = "a macro's arguments without an end";
			return 0;
		}
		if (token_is(&t, '(')) {
			nested++;
		} else if (token_is(&t, ')')) {
			if (nested-- == 0)
				return count;
		} else if (token_is(&t, ',') && nested == 0 &&
		           !(macro->variadic && count == macro->parameters)) {
			if (++count > macro->parameters) {
				m->doubt = "too many arguments";
				return 0;
			}
			continue;
		}
		if (macro->parameters == 0) {
			m->doubt = "an argument too many";
			return 0;
		}
		list_add(m, &args[count - 1].plain, &t);
		if (m->doubt)
			return 0;
	}
}

/* The arguments of a call, or NULL with *called false when the name stands without them. */
static struct argument *take_call(struct macros *m, const struct macro *macro, bool *called)
{
	struct token t;
	*called = false;
	m->kept_back++;
	macros_next(m, &t);
	if (!token_is(&t, '(')) {
		if (t.kind != TOKEN_END) {
			struct token *back = macros_alloc(m, sizeof(*back));
			*back = t;
			push_context(m, back, 1, NULL, false);
		}
		m->kept_back--;
		return NULL;
	}
	*called = true;
	struct argument *args = macros_alloc(m, (macro->parameters + 1) * sizeof(*args));
	memset(args, 0, (macro->parameters + 1) * sizeof(*args));
	uint32_t count = read_arguments(m, macro, args);
	m->kept_back--;
	bool rest_absent = macro->variadic && count + 1 == macro->parameters;
	if (!m->doubt && count < macro->parameters && !rest_absent)
		m->doubt = "too few arguments";
	return args;
}

/* --- substitution ------------------------------------------------------------------------------
 */

static void stringify(struct macros *m, const struct list *plain, const struct token *as,
                      struct token *out)
{
	scoped_buf struct buf b = BUF_INIT;
	buf_add_char(&b, '"');
	for (uint32_t i = 0; i < plain->count; i++) {
		const struct token *t = &plain->tokens[i];
		bool quote = t->kind == TOKEN_STRING || t->kind == TOKEN_CHARACTER;
		if (i && (t->flags & TOKEN_WHITE))
			buf_add_char(&b, ' ');
		for (uint32_t k = 0; k < t->len; k++) {
			if (quote && (t->text[k] == '"' || t->text[k] == '\\'))
				buf_add_char(&b, '\\');
			buf_add_char(&b, t->text[k]);
		}
		if (t->kind == TOKEN_HEADER)
			m->doubt = "a header's name in an argument";
	}
	buf_add_char(&b, '"');
	*out = (struct token){ .kind = TOKEN_STRING, .len = (uint32_t)b.len };
	out->flags = as->flags & (TOKEN_WHITE | TOKEN_PASTE);
	out->text = memcpy(macros_alloc(m, b.len), b.data, b.len);
}

/* What stands for a parameter. White space before it counts wherever there was any: too much of it
 * makes a header's name doubtful, never wrong. */
static void add_argument(struct macros *m, struct list *out, const struct token *parameter,
                         struct argument *a, bool beside_paste)
{
	if (!beside_paste)
		expand_argument(m, a);
	const struct list *from = beside_paste ? &a->plain : &a->expanded;
	if (m->doubt)
		return;
	uint32_t first = out->count;
	for (uint32_t i = 0; i < from->count && !m->doubt; i++) {
		struct token t = from->tokens[i];
		t.flags &= (uint8_t)~TOKEN_PASTE;
		list_add(m, out, &t);
	}
	if (beside_paste && from->count == 0) {
		struct token empty = { .kind = TOKEN_EMPTY, .text = "" };
		list_add(m, out, &empty);
	}
	if (out->count > first) {
		out->tokens[first].flags |= parameter->flags & TOKEN_WHITE;
		out->tokens[out->count - 1].flags |= parameter->flags & TOKEN_PASTE;
	}
}

static void paste(struct macros *m, struct token *left, const struct token *right)
{
	uint8_t white = left->flags & TOKEN_WHITE, on = right->flags & TOKEN_PASTE;
	if (right->kind == TOKEN_EMPTY) {
		left->flags = (uint8_t)((left->flags & ~TOKEN_PASTE) | on);
		return;
	}
	if (left->kind == TOKEN_EMPTY) {
		*left = *right;
		left->flags |= white;
		return;
	}
	size_t len = (size_t)left->len + right->len;
	char *text = macros_alloc(m, len);
	memcpy(text, left->text, left->len);
	memcpy(text + left->len, right->text, right->len);
	if (left->kind == TOKEN_HEADER || right->kind == TOKEN_HEADER ||
	    !lex_one(text, len, m->mode, left))
		m->doubt = "a paste that gives no token";
	left->flags = white | on;
}

/* Carries out each ## and drops what is empty. */
static void paste_all(struct macros *m, struct list *l)
{
	uint32_t to = 0;
	for (uint32_t i = 0; i < l->count && !m->doubt; i++) {
		struct token t = l->tokens[i];
		while ((t.flags & TOKEN_PASTE) && i + 1 < l->count && !m->doubt)
			paste(m, &t, &l->tokens[++i]);
		t.flags &= (uint8_t)~TOKEN_PASTE;
		if (t.kind != TOKEN_EMPTY)
			l->tokens[to++] = t;
	}
	l->count = to;
}

static void substitute(struct macros *m, const struct macro *macro, struct argument *args,
                       struct list *out)
{
	bool pasted = false; /* the token before has ## behind it */
	for (uint32_t i = 0; i < macro->count && !m->doubt; i++) {
		const struct token *t = &macro->body[i];
		if (t->kind != TOKEN_PARAMETER) {
			list_add(m, out, t);
		} else if (t->flags & TOKEN_STRINGIFY) {
			struct token string;
			stringify(m, &args[t->id].plain, t, &string);
			list_add(m, out, &string);
		} else {
			add_argument(m, out, t, &args[t->id], pasted || (t->flags & TOKEN_PASTE));
		}
		pasted = t->flags & TOKEN_PASTE;
	}
	paste_all(m, out);
}

/* Puts what name becomes before what is read next; false when it stays as it is. */
static bool enter(struct macros *m, struct macro_entry *e, const struct token *name)
{
	const struct macro *macro = e->macro;
	struct argument *args = NULL;
	if (macro->function) {
		bool called;
		args = take_call(m, macro, &called);
		if (!called && !m->doubt)
			return false;
	}
	if (macro->doubtful)
		m->doubt = "a macro of variable arguments";
	struct list out = { 0 };
	if (!m->doubt)
		substitute(m, macro, args, &out);
	if (m->doubt)
		return true;
	if (out.count)
		out.tokens[0].flags |= name->flags & TOKEN_WHITE;
	e->disabled = true;
	push_context(m, out.tokens, out.count, e, false);
	return true;
}
