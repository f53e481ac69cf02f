#include "engine/worker/answer.h"

#include <string.h>

#include "common/io.h"
#include "engine/digest_map.h"

enum {
	FRAME_BYTES = 4096, /* of an answer without results */
};

void answer_init(struct answer *a, size_t results, size_t max)
{
	*a = (struct answer){ .max = max, .used = FRAME_BYTES };
	a->wire.results = xcalloc(results + 1, sizeof(*a->wire.results));
	a->included = xcalloc(1, sizeof(*a->included));
}

void answer_release(struct answer *a)
{
	remote_answer_release(&a->wire);
	for (size_t i = 0; i < a->bytes_count; i++)
		buf_release(&a->bytes[i]);
	free(a->bytes);
	if (a->included)
		digest_map_release(a->included);
	free(a->included);
	*a = (struct answer){ 0 };
}

/* --- in the answer -----------------------------------------------------------------------------
 */

static void replace(struct remote_result *r, enum outcome outcome, char *reason)
{
	memo_release(&r->memo);
	r->memo.thunk = r->thunk;
	r->outcome = outcome;
	r->exit_status = -1;
	r->stored = false;
	free(r->reason);
	r->reason = reason;
}

static size_t text_cost(struct remote_result *r)
{
	scoped_buf struct buf b = BUF_INIT;
	const struct remote_answer one = { .results = r, .result_count = 1 };
	remote_answer_encode(&one, &b);
	return b.len;
}

static int include(struct answer *a, struct store *store, const struct sized_blob *blob)
{
	struct buf bytes = BUF_INIT;
	if (digest_map_get(a->included, &blob->digest))
		return 0;
	int r = store_get_bytes(store, &blob->digest, (size_t)blob->size_bytes, &bytes, NULL);
	if (r < 0) {
		buf_release(&bytes);
		return r;
	}
	array_grow(a->bytes, a->bytes_count, a->bytes_capacity);
	a->bytes[a->bytes_count++] = bytes;
	remote_blobs_add(&a->wire.blobs, &blob->digest, bytes.data ? bytes.data : "", bytes.len);
	digest_map_put(a->included, &blob->digest, a);
	return 0;
}

/* Those up to max bytes each, as far as there is room. Whether all are in the answer. */
static bool include_blobs(struct answer *a, struct store *store, const struct run_made *made,
                          uint64_t max)
{
	bool all = true;
	for (size_t i = 0; i < made->count; i++) {
		const struct sized_blob *blob = &made->blobs[i];
		if (digest_map_get(a->included, &blob->digest))
			continue;
		bool fits = blob->size_bytes <= max && blob->size_bytes <= a->max &&
		            a->used + remote_blob_cost((size_t)blob->size_bytes) <= a->max;
		if (fits && include(a, store, blob) == 0)
			a->used += remote_blob_cost((size_t)blob->size_bytes);
		else
			all = false;
	}
	return all;
}

/* --- in the far store --------------------------------------------------------------------------
 */

static int push(const struct run_place *place, struct remote_result *r, const struct run_made *made,
                struct error *err)
{
	int64_t until = place->deadline_ms ? place->deadline_ms - WORKER_DEADLINE_MARGIN_MS / 2 : 0;
	return fetch_push(place->fetch, made->blobs, made->count, &r->memo, until, err);
}

static void deliver(struct answer *a, const struct run_place *place,
                    const struct remote_request *request, struct remote_result *r,
                    const struct run_made *made)
{
	struct error err = ERROR_INIT;
	bool far = fetch_is_open(place->fetch);
	bool all = include_blobs(a, cache_store(place->cache), made,
	                         far ? request->inline_max : UINT64_MAX);
	if (!far && !all)
		replace(r, OUTCOME_REFUSED,
		        xstrdup("its results are too large for an answer, and there is no far "
		                "store"));
	if (!far || (all && !request->keep_results))
		return;
	if (push(place, r, made, &err) == 0)
		r->stored = true;
	else if (!all)
		replace(r, OUTCOME_LOST,
		        xformat("its results could not be stored: %s", error_text(&err)));
}

void answer_add(struct answer *a, const struct run_place *place,
                const struct remote_request *request, struct remote_result *result,
                const struct run_made *made)
{
	int64_t begin = now_us();
	size_t cost = text_cost(result);
	/* Hundreds of failures at once: what they wrote is the least of it. */
	if (a->used + cost > a->max / 2 && result->stderr_tail[0]) {
		result->stderr_tail[0] = '\0';
		cost = text_cost(result);
	}
	a->used += cost;
	if (result->outcome == OUTCOME_DONE)
		deliver(a, place, request, result, made);
	result->usage.micros += (uint64_t)(now_us() - begin);
	a->wire.results[a->wire.result_count++] = *result;
	*result = (struct remote_result){ 0 };
}
