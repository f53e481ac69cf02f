/*
 * The scanner's macros: a table of those defined just now, and their expansion in directives, token
 * by token, as libcpp does it: a macro is disabled while what it became is read again.
 *
 * Where libcpp would complain, or know something that is not to be seen here, doubt is set; from
 * then on only TOKEN_END comes.
 *
 * Private to the scanner. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_MACRO_H
#define GGFS_ENGINE_MODEL_SCANNER_MACRO_H

#include "common/buf.h"
#include "engine/model/scanner_lex.h"

enum {
	EXPANSION_TOKENS_MAX = 100000, /* in one directive */
	EXPANSION_DEPTH_MAX = 200,
	PUSHED_MAX = 1000
};

/* Names that the preprocessor itself answers for. */
enum builtin {
	BUILTIN_NONE,
	BUILTIN_CHANGING, /* __FILE__, __COUNTER__, ... : what they are is not known here */
	BUILTIN_HAS_INCLUDE,
	BUILTIN_HAS_INCLUDE_NEXT,
	BUILTIN_HAS_FEATURE, /* __has_attribute and its like: the compiler is asked */
};

struct macro_entry {
	struct token name;         /* its text is borrowed */
	const struct macro *macro; /* borrowed; NULL: not defined */
	enum builtin builtin;
	bool disabled;
};

struct context;
struct chunk;

struct macros {
	unsigned mode;
	struct macro_entry **slots;
	size_t count, size;
	/* the expansion under way */
	struct context *context;
	unsigned kept_back; /* above 0: names are not expanded */
	unsigned depth;
	size_t budget;
	const char *doubt;    /* a constant */
	struct chunk *chunks; /* tokens and texts of this directive */
	/* push_macro */
	struct pushed_macro {
		struct macro_entry *entry;
		const struct macro *macro;
	} * pushed;
	size_t pushed_count, pushed_capacity;
};

void macros_release(struct macros *m);

/* The entry of a name, or NULL when it was never spoken of. */
struct macro_entry *macros_find(const struct macros *m, const struct token *name);
bool macros_defined(const struct macros *m, const struct token *name);
/* False when the name is one that only the preprocessor may define. */
bool macros_define(struct macros *m, const struct macro *macro);
bool macros_undefine(struct macros *m, const struct token *name);
void macros_add_builtin(struct macros *m, const struct token *name, enum builtin builtin);
bool macros_push(struct macros *m, const struct token *name);
bool macros_pop(struct macros *m, const struct token *name);

/* Reads count tokens, which must outlive it, with macros expanded. */
void macros_begin(struct macros *m, const struct token *tokens, uint32_t count);
void macros_next(struct macros *m, struct token *out);
void macros_end(struct macros *m);
/* Memory until macros_end(). */
void *macros_alloc(struct macros *m, size_t len);

#endif
