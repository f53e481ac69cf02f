/*
 * What the scanner keeps between requests: files as they were cut, by digest and mode, and what
 * compilers told. Bounded; all of it can be made again.
 *
 * Private to the scanner. Threads: all functions from any thread; what they give is counted.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_CACHE_H
#define GGFS_ENGINE_MODEL_SCANNER_CACHE_H

#include "engine/model/scanner_predefined.h"

enum { SCANNER_CACHE_BYTES_MAX = 256 << 20, SCANNER_CACHE_COMPILERS_MAX = 500 };

struct scanner_cache;

struct scanner_cache *scanner_cache_new(void);
void scanner_cache_free(struct scanner_cache *c); /* NULL is fine */

/* A reference of the caller's own, or NULL. */
struct lexed *scanner_cache_file(struct scanner_cache *c, const struct digest *d, unsigned mode);
void scanner_cache_put_file(struct scanner_cache *c, const struct digest *d, unsigned mode,
                            struct lexed *l);

struct predefined *scanner_cache_compiler(struct scanner_cache *c, const char *key);
void scanner_cache_put_compiler(struct scanner_cache *c, const char *key, struct predefined *p);

#endif
