/*
 * Run: one thunk on a worker, from its digest to a result and the blobs that it consists of.
 *
 * Private to engine/worker/. Threads: one owner at a time; blocking.
 */
#ifndef GGFS_ENGINE_WORKER_RUN_H
#define GGFS_ENGINE_WORKER_RUN_H

#include "engine/local/toolchain.h"
#include "engine/worker/cache.h"
#include "engine/worker/fetch.h"

enum {
	RUN_TREES_MAX = 4096,     /* manifests that are fetched because another names them */
	RUN_TRIES_MAX = 3,        /* to lay out a world: blobs may prove broken, the disk full */
	RUN_FULL_BELOW = 1 << 20, /* bytes free: then a failure is the disk's */
};

struct run_place {
	struct cache *cache;
	struct toolchains *toolchains;
	struct fetch *fetch;
	const struct remote_pack *packs; /* of the request */
	size_t pack_count;
	int64_t deadline_ms; /* of the request, on now_ms()'s clock; 0: none */
	bool first;          /* of the request, and in time: a longer one is not to be had here */
	bool full;           /* blobs of the request found no room */
	int asker;           /* as in struct worker_limits */
};

/* What a result consists of: outputs, members of trees, yielded thunks, the stderr's blob; they
 * are in the cache, pinned. */
struct run_made {
	struct sized_blob *blobs;
	size_t count, capacity;
};
void run_made_release(struct run_made *m);

/* Never fails: what went wrong is in *out. Both must be zeroed. */
void run_thunk_at(const struct run_place *place, const struct digest *thunk,
                  struct remote_result *out, struct run_made *made);

#endif
