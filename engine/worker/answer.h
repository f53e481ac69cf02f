/*
 * Answer: what of the results goes into the answer, and what into the far store.
 *
 * Private to engine/worker/. Threads: one owner at a time; blocking.
 */
#ifndef GGFS_ENGINE_WORKER_ANSWER_H
#define GGFS_ENGINE_WORKER_ANSWER_H

#include "engine/worker/run.h"

/* A result that is to go into the far store. */
struct answer_pending {
	struct remote_result *result;
	struct run_made made;
	bool inside; /* it is in the answer as well */
};

struct answer {
	struct remote_answer wire;
	struct answer_pending *pending;
	size_t pending_count;
	struct buf *bytes; /* of the blobs in wire */
	size_t bytes_count, bytes_capacity;
	struct digest_map *included;
	size_t max, used; /* bytes of the encoded answer */
};

/* For so many results at most. */
void answer_init(struct answer *a, size_t results, size_t max);
void answer_release(struct answer *a);

/* Takes over the result of a thunk and what it consists of, which comes in the answer as far as
 * there is room; it is made a result that says why not where that was the only way. */
void answer_add(struct answer *a, const struct run_place *place,
                const struct remote_request *request, struct remote_result *result,
                struct run_made *made);
/* Once all are added: puts into the far store what belongs there, of all results together, since
 * time spent waiting for it is paid for. What could not be stored is lost, if it is not in the
 * answer. */
void answer_store(struct answer *a, const struct run_place *place);

#endif
