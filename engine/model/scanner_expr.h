/*
 * The scanner's conditions: what #if and #elif make of their tokens, as libcpp's cpp_parse_expr.
 *
 * Private to the scanner. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_EXPR_H
#define GGFS_ENGINE_MODEL_SCANNER_EXPR_H

#include "engine/model/scanner_macro.h"

enum { EXPRESSION_DEPTH_MAX = 200 };

/* What a condition asks of others. Each sets m->doubt when it cannot tell. */
struct questions {
	void *arg;
	/* name: TOKEN_STRING, with its quotes, or TOKEN_HEADER */
	bool (*has_include)(void *arg, const struct token *name, bool next);
	/* question: __has_attribute and its like; of: the name asked about, "gnu::unused" say */
	uint64_t (*has_feature)(void *arg, const struct token *question, const char *of);
};

/* The name in an #include or __has_include, which begins with t: TOKEN_STRING as it is,
 * TOKEN_HEADER put together from the tokens of <...>. Sets m->doubt when it is neither. */
void header_name(struct macros *m, struct token *t);

/* The truth of the directive; m->doubt is set when that is not certain. */
bool condition(struct macros *m, const struct questions *q, const struct directive *d);

#endif
