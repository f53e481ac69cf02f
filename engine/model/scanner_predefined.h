/*
 * What a compiler brings along before it reads anything: its predefined macros, the directories it
 * searches by itself, and how it cuts text. Asked once for each compiler, language and set of
 * options that can matter; kept in the memory.
 *
 * Private to the scanner. Threads: a struct predefined never changes; it is shared by count.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_PREDEFINED_H
#define GGFS_ENGINE_MODEL_SCANNER_PREDEFINED_H

#include "engine/model/scanner_macro.h"
#include "engine/model/toolchain.h"

struct predefined {
	atomic_int references;
	unsigned mode;    /* LEX_... */
	bool hosted;      /* reads stdc-predef.h first, unless -nostdinc */
	bool preincludes; /* and found it when asked */
	struct lexed *macros;
	struct strv builtins; /* names that are defined without a #define */
	struct strv dirs;     /* for headers, in order */
	struct strv absent;   /* directories that would be among them, did they exist */
	struct strv ask;      /* the compiler's arguments, for questions about features */
};

/* language: for -x; flags: the driver's arguments that are neither sources nor about where headers
 * are or which macros are defined. *out is the caller's to drop. -EPROTO when the answer is odd. */
int predefined_get(const struct toolchain *t, const char *language, const struct strv *flags,
                   struct predefined **out, struct error *err);
void predefined_unref(struct predefined *p); /* NULL is fine */

enum builtin predefined_builtin(const char *name);

/* What __has_attribute and its like answer. */
int predefined_feature(const struct toolchain *t, const struct predefined *p, const char *question,
                       const char *of, uint64_t *value, struct error *err);

#endif
