/*
 * Answer: what of the results goes into the answer, and what into the far store.
 *
 * Private to engine/worker/. Threads: one owner at a time; blocking.
 */
#ifndef GGFS_ENGINE_WORKER_ANSWER_H
#define GGFS_ENGINE_WORKER_ANSWER_H

#include "engine/worker/run.h"

struct answer {
	struct remote_answer wire;
	struct buf *bytes; /* of the blobs in wire */
	size_t bytes_count, bytes_capacity;
	struct digest_map *included;
	size_t max, used; /* bytes of the encoded answer */
};

/* For so many results at most. */
void answer_init(struct answer *a, size_t results, size_t max);
void answer_release(struct answer *a);

/* Takes over the result of a thunk; its blobs are sent one way or the other, or it is made one
 * that says why not. */
void answer_add(struct answer *a, const struct run_place *place,
                const struct remote_request *request, struct remote_result *result,
                const struct run_made *made);

#endif
