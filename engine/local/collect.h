/*
 * Collect: from a world in which a function has ended well to blobs in the store and refs in
 * its memo. What a function left is not trusted: no link is followed, nothing but regular files is
 * opened, all is bounded.
 *
 * Threads: any; blocking.
 */
#ifndef GGFS_ENGINE_LOCAL_COLLECT_H
#define GGFS_ENGINE_LOCAL_COLLECT_H

#include "engine/thunk.h"
#include "objstore/store.h"

enum {
	COLLECT_YIELDS_MAX = 65536, /* thunks one function may yield */
	COLLECT_DEPTH_MAX = 128,    /* of a directory output */
};

/* Puts all outputs (and what was yielded) and adds them to memo. -ECHILD: the function did not
 * keep its promise, err says how; -ENOSPC no room in the store; else the engine's trouble. */
int collect_outputs(struct store *s, const struct thunk *t, int root, struct memo *memo,
                    struct error *err);

#endif
