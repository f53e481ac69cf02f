#include "engine/worker/fetch.h"

#include <pthread.h>
#include <string.h>

#include "common/io.h"

struct fetch {
	struct aws *aws;
	struct store *near;
	char *only;
	struct far *far;
	char *described;         /* which one it is */
	bool open;               /* the present request has it */
	struct far_usage before; /* of those that were closed */
};

/* --- waiting -----------------------------------------------------------------------------------
 */

/* Lives on the waiter's stack: the waiter does not return before done was called. */
struct wait {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t left; /* guarded by mutex, as all below */
	int code;    /* the first that is none */
	struct digest absent;
	struct error error;
};

static void wait_init(struct wait *w, size_t count)
{
	pthread_condattr_t monotonic;
	*w = (struct wait){ .left = count };
	pthread_mutex_init(&w->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void wait_release(struct wait *w)
{
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->changed);
}

static void settle(struct wait *w, int code, const struct digest *absent, const struct error *err)
{
	pthread_mutex_lock(&w->mutex);
	w->left--;
	if (w->code == 0) {
		w->code = code;
		if (absent)
			w->absent = *absent;
		if (err)
			w->error = *err;
	}
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->mutex);
}

static void many_done(void *arg, int code, const struct digest *absent, const struct error *err)
{
	settle(arg, code, absent, err);
}

static void one_done(void *arg, int code, const struct error *err)
{
	settle(arg, code, NULL, err);
}

/* False: time is up. until_ms 0: never. */
static bool wait_until(struct wait *w, int64_t until_ms)
{
	const struct timespec until = { .tv_sec = until_ms / 1000,
		                        .tv_nsec = until_ms % 1000 * 1000000 };
	int r = 0;
	pthread_mutex_lock(&w->mutex);
	while (w->left && r == 0)
		r = until_ms ? pthread_cond_timedwait(&w->changed, &w->mutex, &until)
		             : pthread_cond_wait(&w->changed, &w->mutex);
	bool done = w->left == 0;
	pthread_mutex_unlock(&w->mutex);
	return done;
}

static void close_far(struct fetch *f)
{
	struct far_usage now = { 0 };
	if (!f->far)
		return;
	far_usage(f->far, &now);
	f->before.puts += now.puts;
	f->before.gets += now.gets;
	f->before.sent_bytes += now.sent_bytes;
	f->before.received_bytes += now.received_bytes;
	far_free(f->far);
	f->far = NULL;
	free(f->described);
	f->described = NULL;
}

static int finish(struct fetch *f, struct wait *w, int64_t until_ms, struct digest *absent,
                  struct error *err)
{
	int r;
	if (!wait_until(w, until_ms)) {
		close_far(f); /* which ends what is under way: done is called */
		wait_until(w, 0);
		r = error_set(err, -ETIME, "there was no time left for the far store");
	} else {
		r = w->code < 0 ? error_set(err, w->code, "%s", error_text(&w->error)) : 0;
	}
	if (absent)
		*absent = w->absent;
	wait_release(w);
	return r;
}

/* --- the far store -----------------------------------------------------------------------------
 */

struct fetch *fetch_new(struct aws *aws, struct store *near, const char *only)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	f->aws = aws;
	f->near = near;
	f->only = only ? xstrdup(only) : NULL;
	return f;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	close_far(f);
	free(f->only);
	free(f);
}

int fetch_open(struct fetch *f, const struct remote_request *r, struct error *err)
{
	f->open = false;
	if (!r->far_url)
		return 0;
	if (!f->aws)
		return error_set(err, -EACCES, "this worker can use no far store");
	if (f->only && strcmp(f->only, r->far_url) != 0)
		return error_set(err, -EACCES, "this worker may use the far store %s alone, not %s",
		                 f->only, r->far_url);
	scoped_free char *described =
	        xformat("%s\n%s\n%s\n%d", r->far_url, r->far_endpoint ? r->far_endpoint : "",
	                r->far_region ? r->far_region : "", r->far_path_style);
	if (!f->far || strcmp(f->described, described) != 0) {
		struct far_options options = { .url = r->far_url,
			                       .endpoint = r->far_endpoint,
			                       .region = r->far_region,
			                       .path_style = r->far_path_style,
			                       .connections = WORKER_FETCHES_MAX };
		close_far(f);
		int code = far_new(f->aws, f->near, &options, &f->far, err);
		if (code < 0)
			return code;
		f->described = steal(&described);
	}
	f->open = true;
	return 0;
}

bool fetch_is_open(const struct fetch *f)
{
	return f->open && f->far;
}

int fetch_pull(struct fetch *f, const struct sized_blob *blobs, size_t count, int64_t until_ms,
               struct digest *absent, struct error *err)
{
	struct wait wait;
	if (count == 0)
		return 0;
	*absent = blobs[0].digest;
	if (!fetch_is_open(f))
		return error_set(err, -ENOENT, "blob %s is not in the request",
		                 digest_hex(&blobs[0].digest).text);
	wait_init(&wait, 1);
	far_pull(f->far, blobs, count, many_done, &wait);
	return finish(f, &wait, until_ms, absent, err);
}

int fetch_push(struct fetch *f, const struct sized_blob *blobs, size_t count,
               const struct memo *const *memos, size_t memo_count, int64_t until_ms,
               struct error *err)
{
	struct wait wait;
	int r = 0;
	if (!fetch_is_open(f))
		return error_set(err, -ENETDOWN, "there is no far store");
	if (count > 0) {
		wait_init(&wait, 1);
		far_push(f->far, blobs, count, many_done, &wait);
		r = finish(f, &wait, until_ms, NULL, err);
	}
	/* Last, so that whoever finds a memo finds what it speaks of. */
	if (r == 0 && memo_count > 0) {
		wait_init(&wait, memo_count);
		for (size_t i = 0; i < memo_count; i++)
			far_memo_put(f->far, memos[i], one_done, &wait);
		r = finish(f, &wait, until_ms, NULL, err);
	}
	return r;
}

void fetch_usage(const struct fetch *f, struct far_usage *out)
{
	*out = (struct far_usage){ 0 };
	if (f->far)
		far_usage(f->far, out);
	out->puts += f->before.puts;
	out->gets += f->before.gets;
	out->sent_bytes += f->before.sent_bytes;
	out->received_bytes += f->before.received_bytes;
}
