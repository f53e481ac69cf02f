/* Any bytes as a source: cut in a mode that the first byte picks, its macros defined, each of its
 * conditions and computed includes evaluated. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/scanner_expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_include(void *arg, const struct token *name, bool next)
{
	(void)arg;
	return name->len % 2 == next;
}

static uint64_t has_feature(void *arg, const struct token *question, const char *of)
{
	(void)arg;
	return question->len + strlen(of);
}

static void add_builtin(struct macros *m, const char *name, enum builtin builtin)
{
	struct token t = { .kind = TOKEN_NAME, .text = name, .len = (uint32_t)strlen(name) };
	t.id = lex_hash(name, t.len);
	macros_add_builtin(m, &t, builtin);
}

static void read_name(struct macros *m, const struct directive *d)
{
	struct token t;
	macros_begin(m, d->tokens, d->count);
	macros_next(m, &t);
	header_name(m, &t);
	macros_end(m);
}

static void carry_out(struct macros *m, const struct directive *d)
{
	static const struct questions questions = { NULL, has_include, has_feature };
	m->doubt = NULL;
	switch (d->kind) {
	case DIRECTIVE_DEFINE:
		macros_define(m, d->macro);
		break;
	case DIRECTIVE_UNDEF:
		if (d->count && d->tokens->kind == TOKEN_NAME)
			macros_undefine(m, d->tokens);
		break;
	case DIRECTIVE_PUSH_MACRO:
		macros_push(m, d->tokens);
		break;
	case DIRECTIVE_POP_MACRO:
		macros_pop(m, d->tokens);
		break;
	case DIRECTIVE_INCLUDE:
	case DIRECTIVE_INCLUDE_NEXT:
		read_name(m, d);
		break;
	case DIRECTIVE_IF:
	case DIRECTIVE_ELIF:
		condition(m, &questions, d);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* a copy of its own, so that a step past the end is seen */
	char *text = xmalloc(size - 1);
	memcpy(text, data + 1, size - 1);
	struct macros m = { .mode = data[0] };
	struct lexed *l = lex_file(text, size - 1, data[0]);
	free(text); /* nothing may lead into it any more */
	add_builtin(&m, "__LINE__", BUILTIN_CHANGING);
	add_builtin(&m, "__has_include", BUILTIN_HAS_INCLUDE);
	add_builtin(&m, "__has_attribute", BUILTIN_HAS_FEATURE);
	for (uint32_t i = 0; i < l->directive_count; i++) {
		const struct directive *d = &l->directives[i];
		if (d->next && (d->next <= i || d->next >= l->directive_count))
			abort(); /* conditionals lead on, never back */
		carry_out(&m, d);
	}
	macros_release(&m);
	lexed_unref(l);
	return 0;
}
