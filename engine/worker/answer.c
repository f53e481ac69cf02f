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
	a->pending = xcalloc(results + 1, sizeof(*a->pending));
	a->included = xcalloc(1, sizeof(*a->included));
}

void answer_release(struct answer *a)
{
	remote_answer_release(&a->wire);
	for (size_t i = 0; i < a->pending_count; i++)
		run_made_release(&a->pending[i].made);
	free(a->pending);
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

static void not_stored(struct answer_pending *p, const struct error *err)
{
	if (!p->inside)
		replace(p->result, OUTCOME_LOST,
		        xformat("its results could not be stored: %s", error_text(err)));
}

/* All of these, and then their memos. */
static int push(const struct run_place *place, const struct answer_pending *pending, size_t count,
                struct error *err)
{
	int64_t until = place->deadline_ms ? place->deadline_ms - WORKER_DEADLINE_MARGIN_MS / 2 : 0;
	struct run_made all = { 0 };
	struct digest_map seen = DIGEST_MAP_INIT;
	const struct memo **memos = xcalloc(count, sizeof(*memos));
	for (size_t i = 0; i < count; i++) {
		const struct run_made *made = &pending[i].made;
		memos[i] = &pending[i].result->memo;
		for (size_t k = 0; k < made->count; k++) {
			if (digest_map_put(&seen, &made->blobs[k].digest, &all))
				continue;
			array_grow(all.blobs, all.count, all.capacity);
			all.blobs[all.count++] = made->blobs[k];
		}
	}
	int r = fetch_push(place->fetch, all.blobs, all.count, memos, count, until, err);
	digest_map_release(&seen);
	run_made_release(&all);
	free(memos);
	return r;
}

/* By itself, so that one that is in the way does not keep the others from being stored. */
static void store_one(const struct run_place *place, struct answer_pending *p)
{
	struct error err = ERROR_INIT;
	if (push(place, p, 1, &err) == 0)
		p->result->stored = true;
	else
		not_stored(p, &err);
}

void answer_store(struct answer *a, const struct run_place *place)
{
	int64_t begin = now_us();
	struct error err = ERROR_INIT;
	int r = a->pending_count > 1 ? push(place, a->pending, a->pending_count, &err) : -EAGAIN;
	for (size_t i = 0; i < a->pending_count; i++) {
		if (r == 0)
			a->pending[i].result->stored = true;
		else if (r == -EAGAIN || fetch_is_open(place->fetch))
			store_one(place, &a->pending[i]);
		else
			not_stored(&a->pending[i], &err);
	}
	if (a->wire.result_count)
		a->wire.results[0].usage.micros += (uint64_t)(now_us() - begin);
}

/* --- results ----------------------------------------------------------------------------------- */

static void deliver(struct answer *a, const struct run_place *place,
                    const struct remote_request *request, struct remote_result *r,
                    struct run_made *made)
{
	bool far = fetch_is_open(place->fetch);
	bool all = include_blobs(a, cache_store(place->cache), made,
	                         far ? request->inline_max : UINT64_MAX);
	if (!far && !all)
		replace(r, OUTCOME_REFUSED,
		        xstrdup("its results are too large for an answer, and there is no far "
		                "store"));
	if (!far || (all && !request->keep_results))
		return;
	a->pending[a->pending_count++] =
	        (struct answer_pending){ .result = r, .made = *made, .inside = all };
	*made = (struct run_made){ 0 };
}

void answer_add(struct answer *a, const struct run_place *place,
                const struct remote_request *request, struct remote_result *result,
                struct run_made *made)
{
	int64_t begin = now_us();
	size_t cost = text_cost(result);
	/* Hundreds of failures at once: what they wrote is the least of it. */
	if (a->used + cost > a->max / 2 && result->stderr_tail[0]) {
		result->stderr_tail[0] = '\0';
		cost = text_cost(result);
	}
	a->used += cost;
	struct remote_result *r = &a->wire.results[a->wire.result_count++];
	*r = *result;
	*result = (struct remote_result){ 0 };
	if (r->outcome == OUTCOME_DONE)
		deliver(a, place, request, r, made);
	r->usage.micros += (uint64_t)(now_us() - begin);
}
