/*
 * Memory: what inferring remembers between requests, for as long as the mount table lives: it
 * hangs there so that nothing of it is global. All of it can be found again.
 *
 * Private to engine/model/. Threads: all functions from any thread; values are copied out.
 */
#ifndef GGFS_ENGINE_MODEL_MEMORY_H
#define GGFS_ENGINE_MODEL_MEMORY_H

#include <sys/stat.h>

#include "common/buf.h"
#include "engine/model/scan.h"
#include "engine/model/view.h"
#include "objstore/digest.h"

enum { MEMORY_FILES_MAX = 1 << 18, MEMORY_TEXTS_MAX = 4096 };

struct memory;
struct scanner_cache;

struct memory *memory_new(void);
void memory_free(struct memory *m);                       /* NULL is fine */
struct memory *mount_table_memory(struct mount_table *t); /* borrowed, as long as t */
struct scanner_cache *memory_scanner(struct memory *m);   /* borrowed, as long as m */

/* Digests of files, in front of the index: only what the index vouches for is put here. */
bool memory_digest_get(struct memory *m, const struct stat *st, struct digest *out);
void memory_digest_put(struct memory *m, const struct stat *st, const struct digest *d);

/* What a blob's text holds. out is the caller's to release. */
bool memory_facts_get(struct memory *m, const struct digest *d, struct facts *out);
void memory_facts_put(struct memory *m, const struct digest *d, const struct facts *facts);

/* Lists of strings by key: answers of tools, toolchains. out must be empty. */
bool memory_text_get(struct memory *m, const char *key, struct strv *out);
void memory_text_put(struct memory *m, const char *key, const struct strv *value);

#endif
