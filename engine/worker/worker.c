#include "engine/worker/worker.h"

#include <string.h>

#include "common/io.h"
#include "engine/worker/answer.h"

struct worker {
	struct cache *cache;
	struct toolchains *toolchains;
	struct fetch *fetch;
	char *name;         /* tells instances apart */
	const char *engine; /* what memos say */
	bool warm;          /* it has answered before */
};

int worker_new(const struct worker_options *options, struct worker **out, struct error *err)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	char host[64] = "";
	int r = cache_new(options->cache, options->cache_bytes_max, &w->cache, err);
	if (r < 0) {
		worker_free(w);
		return r;
	}
	w->toolchains = toolchains_new(cache_store(w->cache));
	w->fetch = fetch_new(options->aws, cache_store(w->cache), options->far_url);
	gethostname(host, sizeof(host) - 1);
	const char *stream = getenv("AWS_LAMBDA_LOG_STREAM_NAME");
	w->name = stream ? xstrdup(stream) : xformat("%s/%d", host, (int)getpid());
	w->engine = getenv("AWS_LAMBDA_RUNTIME_API") ? "lambda" : "http";
	*out = w;
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	fetch_free(w->fetch);
	if (w->toolchains)
		toolchains_free(w->toolchains);
	cache_free(w->cache);
	free(w->name);
	free(w);
}

static void begin_answer(const struct worker *w, struct answer *a)
{
	a->wire.version = xstrdup(GGFS_VERSION);
	a->wire.worker = xstrdup(w->name);
}

/* Nothing is run. */
static void decline(const struct worker *w, bool wrong_version, const char *reason,
                    struct buf *answer)
{
	struct answer a;
	answer_init(&a, 0, 0);
	begin_answer(w, &a);
	a.wire.wrong_version = wrong_version;
	a.wire.reason = xstrdup(reason);
	remote_answer_encode(&a.wire, answer);
	answer_release(&a);
}

/* A blob of the request that finds no room is not missed until a thunk needs it. Whether all have
 * found some. */
static bool keep_blobs(struct worker *w, const struct remote_request *request)
{
	bool all = true;
	for (size_t i = 0; i < request->blobs.count; i++) {
		const struct remote_blob *blob = &request->blobs.items[i];
		all &= cache_put(w->cache, &blob->digest, blob->bytes, blob->len, NULL) == 0;
	}
	return all;
}

static void add_far_usage(const struct far_usage *before, const struct far_usage *after,
                          struct remote_usage *out)
{
	out->far_gets += after->gets - before->gets;
	out->far_puts += after->puts - before->puts;
	out->far_received_bytes += after->received_bytes - before->received_bytes;
	out->far_sent_bytes += after->sent_bytes - before->sent_bytes;
}

/* One request being handled. */
struct handling {
	struct worker *worker;
	const struct remote_request *request;
	struct run_place place;
	struct answer answer;
};

static void run_one(struct handling *h, const struct digest *thunk)
{
	struct worker *w = h->worker;
	struct remote_result result = { 0 };
	struct run_made made = { 0 };
	struct far_usage before, after;
	fetch_usage(w->fetch, &before);
	run_thunk_at(&h->place, thunk, &result, &made);
	fetch_usage(w->fetch, &after);
	add_far_usage(&before, &after, &result.usage);
	result.usage.cold = !w->warm;
	w->warm = true;
	h->place.first = false;
	free(result.memo.engine);
	result.memo.engine = xstrdup(w->engine);
	answer_add(&h->answer, &h->place, h->request, &result, &made);
	run_made_release(&made);
}

/* What the thunk of this name, of the request's, gave; NULL: nothing, or not yet. */
static const struct memo *given_by(const struct handling *h, const struct memo *const *next_memos,
                                   const struct digest *name)
{
	const struct remote_request *request = h->request;
	const struct remote_result *results = h->answer.wire.results;
	for (size_t i = 0; i < request->thunk_count; i++)
		if (digest_equal(&request->thunks[i], name))
			return results[i].outcome == OUTCOME_DONE ? &results[i].memo : NULL;
	for (size_t i = 0; i < request->next_count; i++)
		if (digest_equal(&request->next[i], name))
			return next_memos[i];
	return NULL;
}

/* Puts in what stands before it has given, and keeps the resolved thunk, to be run. -ENOENT: that
 * is not there. */
static int resolve_next(struct handling *h, const struct memo *const *next_memos,
                        const struct digest *name, struct digest *resolved)
{
	struct cache *cache = h->worker->cache;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_buf struct buf text = BUF_INIT;
	int r = thunk_load(cache_store(cache), name, &t, NULL);
	for (size_t i = 0; r == 0 && i < t.inputs.count; i++) {
		const struct manifest_entry *entry = &t.inputs.entries[i];
		if (entry->kind != ENTRY_FILE || entry->ref.kind != REF_THUNK)
			continue;
		const struct digest before = entry->ref.digest;
		const struct memo *memo = given_by(h, next_memos, &before);
		r = memo ? thunk_substitute(&t, &before, memo, NULL) : -ENOENT;
	}
	if (r == 0)
		r = thunk_finish(&t, NULL);
	if (r < 0)
		return r;
	thunk_encode(&t, &text);
	thunk_digest(&t, resolved);
	return cache_put(cache, resolved, text.data, text.len, NULL);
}

/* What cannot be run here is left out: it is sent again when its inputs are known. */
static void run_next(struct handling *h)
{
	const struct remote_request *request = h->request;
	struct remote_answer *answer = &h->answer.wire;
	const struct memo **memos = xcalloc(request->next_count + 1, sizeof(*memos));
	for (size_t i = 0; i < request->next_count; i++) {
		struct digest resolved;
		if (resolve_next(h, memos, &request->next[i], &resolved) < 0)
			continue;
		run_one(h, &resolved);
		const struct remote_result *r = &answer->results[answer->result_count - 1];
		memos[i] = r->outcome == OUTCOME_DONE ? &r->memo : NULL;
	}
	free(memos);
}

/* The requests to the far store are counted with the first result. */
static void store_results(struct handling *h)
{
	struct fetch *fetch = h->worker->fetch;
	struct far_usage before, after;
	fetch_usage(fetch, &before);
	answer_store(&h->answer, &h->place);
	fetch_usage(fetch, &after);
	if (h->answer.wire.result_count)
		add_far_usage(&before, &after, &h->answer.wire.results[0].usage);
}

static void handle(struct worker *w, const struct remote_request *request,
                   const struct worker_limits *limits, struct buf *out)
{
	struct handling h = {
		.worker = w,
		.request = request,
		.place = { .cache = w->cache,
		           .toolchains = w->toolchains,
		           .fetch = w->fetch,
		           .packs = request->packs,
		           .pack_count = request->pack_count,
		           .deadline_ms = limits->deadline_ms,
		           .first = !limits->late,
		           .asker = limits->asker },
	};
	struct error err = ERROR_INIT;
	cache_unpin(w->cache);
	if (fetch_open(w->fetch, request, &err) < 0) {
		decline(w, false, error_text(&err), out);
		return;
	}
	h.place.full = !keep_blobs(w, request);
	answer_init(&h.answer, request->thunk_count + request->next_count, limits->answer_max);
	begin_answer(w, &h.answer);
	for (size_t i = 0; i < request->thunk_count; i++)
		run_one(&h, &request->thunks[i]);
	run_next(&h);
	store_results(&h);
	remote_answer_encode(&h.answer.wire, out);
	answer_release(&h.answer);
	cache_unpin(w->cache);
	cache_make_room(w->cache, 0);
}

void worker_handle(struct worker *w, const char *request, size_t len,
                   const struct worker_limits *limits, struct buf *answer)
{
	struct remote_request decoded = { 0 };
	struct error err = ERROR_INIT;
	int r = remote_request_decode(request, len, &decoded, &err);
	if (r == -EPROTO || (r == 0 && strcmp(decoded.version, GGFS_VERSION) != 0)) {
		scoped_free char *reason = xformat("this worker is ggfs " GGFS_VERSION ", not %s",
		                                   decoded.version ? decoded.version : "that");
		decline(w, true, reason, answer);
	} else if (r < 0) {
		decline(w, false, error_text(&err), answer);
	} else {
		handle(w, &decoded, limits, answer);
	}
	remote_request_release(&decoded);
}
