/* An attempt's request as the bytes that are sent. On the work thread. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/remote_impl.h"

struct pieces {
	struct buf *items;
	size_t count, capacity;
	struct digest_map seen;
};

static void pieces_release(struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++)
		buf_release(&p->items[i]);
	free(p->items);
	digest_map_release(&p->seen);
}

static struct buf *pieces_add(struct pieces *p)
{
	array_grow(p->items, p->count, p->capacity);
	p->items[p->count] = BUF_INIT;
	return &p->items[p->count++];
}

static int add_inside(struct attempt *a, const struct job *job, struct pieces *pieces,
                      struct remote_request *request, struct error *err)
{
	for (size_t i = 0; i < job->listing.inside.count; i++) {
		const struct digest *d = &job->listing.inside.blobs[i].digest;
		if (digest_map_get(&pieces->seen, d))
			continue;
		struct buf *b = pieces_add(pieces);
		int r = store_get_bytes(a->e->context.near, d, a->e->transport.ops->bytes_max, b,
		                        err);
		if (r < 0) {
			a->absent = *d;
			return r;
		}
		digest_map_put(&pieces->seen, d, pieces);
		remote_blobs_add(&request->blobs, d, b->data ? b->data : "", b->len);
	}
	return 0;
}

static void add_pack(const struct remote_pack *pack, struct remote_request *request)
{
	if (request->pack_count == REMOTE_PACKS_MAX)
		return;
	for (size_t i = 0; i < request->pack_count; i++)
		if (digest_equal(&request->packs[i].of, &pack->of))
			return;
	request->packs =
	        xrealloc(request->packs, (request->pack_count + 1) * sizeof(*request->packs));
	request->packs[request->pack_count++] = *pack;
}

static void add_text(struct pieces *pieces, struct remote_request *request, const struct thunk *t,
                     const struct digest *digest)
{
	struct buf *text = pieces_add(pieces);
	thunk_encode(t, text);
	remote_blobs_add(&request->blobs, digest, text->data, text->len);
}

static void add_chain(const struct job *job, struct pieces *pieces, struct remote_request *request)
{
	size_t count = job->job.next_count;
	if (count == 0 || request->next_count + count > REMOTE_THUNKS_MAX)
		return;
	request->next =
	        xrealloc(request->next, (request->next_count + count) * sizeof(*request->next));
	for (size_t i = 0; i < count; i++) {
		const struct engine_next *next = &job->job.next[i];
		request->next[request->next_count++] = next->digest;
		add_text(pieces, request, next->thunk, &next->digest);
	}
}

static int add_jobs(struct attempt *a, struct pieces *pieces, struct remote_request *request,
                    struct error *err)
{
	int r = 0;
	request->thunks = xcalloc(a->count, sizeof(*request->thunks));
	request->thunk_count = a->count;
	for (size_t i = 0; r == 0 && i < a->count; i++) {
		const struct job *job = a->jobs[i];
		request->thunks[i] = job->job.digest;
		for (size_t k = 0; k < job->pack_count; k++)
			add_pack(&job->packs[k], request);
		if (!job->listing.thunk_outside)
			add_text(pieces, request, job->job.thunk, &job->job.digest);
		if (a->chained)
			add_chain(job, pieces, request);
		r = add_inside(a, job, pieces, request, err);
	}
	return r;
}

static char *copy_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

void encode_attempt(void *arg)
{
	struct attempt *a = arg;
	struct remote *e = a->e;
	struct pieces pieces = { 0 };
	struct remote_request request = {
		.version = xstrdup(GGFS_VERSION),
		.far_url = copy_or_null(e->far_url),
		.far_endpoint = copy_or_null(e->far_endpoint),
		.far_region = copy_or_null(e->far_region),
		.far_path_style = e->far_path_style,
		.keep_results = e->far_url != NULL,
		.inline_max = e->far_url ? REMOTE_RESULT_INLINE_MAX
		                         : (uint32_t)e->transport.ops->bytes_max,
	};
	struct error err = ERROR_INIT;
	a->code = add_jobs(a, &pieces, &request, &err);
	if (a->code == 0) {
		remote_request_encode(&request, &a->body);
		if (a->body.len > e->transport.ops->bytes_max)
			a->code = error_set(&err, -EFBIG, "the request has %zu bytes", a->body.len);
	}
	a->reason = a->code < 0 ? xstrdup(error_text(&err)) : NULL;
	remote_request_release(&request);
	pieces_release(&pieces);
	net_post(e->context.net, attempt_encoded, a);
}
