/*
 * Cache: what a worker keeps between requests, bounded: blobs, in a local store, and stages with
 * unpacked toolchains. What was used longest ago goes first; what is pinned stays. A function may
 * be able to write in it: whatever is read from it is compared with its digest.
 *
 * Private to engine/worker/. Threads: one owner at a time (the store is thread-safe).
 */
#ifndef GGFS_ENGINE_WORKER_CACHE_H
#define GGFS_ENGINE_WORKER_CACHE_H

#include "engine/worker/stage.h"
#include "objstore/store.h"

enum { CACHE_STAGES_MAX = 8 };

struct cache;

/* Takes the directory, which is made if absent, for itself: -EBUSY when another process has it.
 * What an earlier one left in it is used again. max: bytes; 0: three quarters of what the file
 * system has. */
int cache_new(const char *path, uint64_t max, struct cache **out, struct error *err);
void cache_free(struct cache *c);
struct store *cache_store(struct cache *c);
uint64_t cache_bytes(const struct cache *c); /* blobs and stages */

/* Whether it was put there, or found at the beginning, and so has not come just now. */
bool cache_knows(const struct cache *c, const struct digest *d);
/* A blob of this size is in the store and was used. */
void cache_used(struct cache *c, const struct digest *d, uint64_t size_bytes);
/* Puts bytes whose digest is known, making room as needed. */
int cache_put(struct cache *c, const struct digest *d, const void *bytes, size_t len,
              struct error *err);
/* Compares a blob with its digest: 0, -ENOENT, or -EBADMSG, and it is gone. */
int cache_verify(struct cache *c, const struct digest *d);
/* A blob is needed no more. */
void cache_forget(struct cache *c, const struct digest *d);
/* Removes what is not pinned until there is room for more bytes within the bound; all of it when
 * more is UINT64_MAX. */
void cache_make_room(struct cache *c, uint64_t more);
/* What is used from now on is pinned until the next call. */
void cache_unpin(struct cache *c);

/* The stage for a toolchain (NULL: for thunks without one), made if absent; it counts as used. */
int cache_stage(struct cache *c, const struct digest *toolchain, struct stage **out,
                struct error *err);
/* It holds what nobody knows. */
void cache_drop_stage(struct cache *c, struct stage *s);

#endif
