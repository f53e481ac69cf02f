/*
 * Inputs: which blobs a resolved thunk, an input set or a tree consists of, as far as the near
 * store can tell. Private to engine/remote/.
 *
 * A manifest that near does not have is listed like any other blob, and what it names is not: who
 * has made it, a worker, has put that into the far store before.
 *
 * Threads: any; the calls read the store and may block on the disk.
 * Errors: -EBADMSG a manifest is broken, -EFBIG over INPUTS_MAX blobs, -EINVAL an entry is a thunk
 * still; absent (if the error is about one blob) says which.
 */
#ifndef GGFS_ENGINE_REMOTE_INPUTS_H
#define GGFS_ENGINE_REMOTE_INPUTS_H

#include "engine/thunk.h"
#include "objstore/far.h"

enum { INPUTS_MAX = 2 * MANIFEST_ENTRIES_MAX, INPUTS_DEPTH_MAX = 64 };

struct inputs {
	struct sized_blob *blobs;
	size_t count, capacity;
	size_t unread;    /* manifests that near does not have */
	bool absent_only; /* set by the caller: list only what near does not have */
};

void sending_release(struct inputs *in);
static inline void scoped_inputs_(struct inputs *in)
{
	sending_release(in);
}
#define scoped_inputs scoped(scoped_inputs_)

int inputs_add_blob(struct inputs *in, struct store *near, const struct digest *d,
                    uint64_t size_bytes, struct error *err);
/* A manifest's blob, and all it names. */
int inputs_add_manifest(struct inputs *in, struct store *near, const struct digest *d,
                        uint64_t size_bytes, struct digest *absent, struct error *err);
/* What an entry or an output stands for: a blob, or a tree with all in it. */
int inputs_add_ref(struct inputs *in, struct store *near, const struct ref *ref,
                   struct digest *absent, struct error *err);

#endif
