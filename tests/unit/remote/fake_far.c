#include "tests/unit/remote/fake_far.h"

#include <pthread.h>
#include <string.h>

#include "engine/digest_map.h"
#include "engine/remote/bring.h"

struct asked {
	struct far *far;
	bool push;
	struct sized_blob *blobs;
	size_t count;
	far_many_fn *done;
	void *arg;
	struct asked *next;
};

struct far {
	struct net *net;
	struct store *near, *bytes;
	pthread_mutex_t mutex;
	/* All below guarded by mutex. */
	struct digest_map known;
	struct asked *held;
	bool hold;
	int fails;
	unsigned pushes, puts, memos;
};

struct far *fake_far_new(struct net *net, struct store *near, struct store *bytes)
{
	struct far *far = xcalloc(1, sizeof(*far));
	*far = (struct far){ .net = net, .near = near, .bytes = bytes };
	pthread_mutex_init(&far->mutex, NULL);
	return far;
}

static void nothing(void *arg)
{
	(void)arg;
}

void fake_far_free(struct far *far)
{
	fake_far_holds(far, false);
	net_run(far->net, nothing, NULL); /* what was asked has been answered by then */
	digest_map_release(&far->known);
	pthread_mutex_destroy(&far->mutex);
	free(far);
}

const char *far_url(const struct far *far)
{
	(void)far;
	return "s3://fake/store";
}

static int copy(struct store *from, struct store *to, const struct digest *d)
{
	struct digest got;
	scoped_buf struct buf b = BUF_INIT;
	int r = store_get_bytes(from, d, 64 << 20, &b, NULL);
	return r < 0 ? r : store_put_bytes(to, b.data ? b.data : "", b.len, &got, NULL);
}

/* One blob of a push or pull: 0, or -ENOENT. */
static int move_one(struct far *far, bool push, const struct digest *d)
{
	if (push) {
		if (far_known(far, d))
			return 0;
		if (store_has(far->bytes, d, NULL, NULL) < 0) {
			int r = copy(far->near, far->bytes, d);
			if (r < 0)
				return r;
			far->puts++;
		}
		far_remember(far, d, true);
		return 0;
	}
	return store_has(far->near, d, NULL, NULL) == 0 ? 0 : copy(far->bytes, far->near, d);
}

static void answer(void *arg)
{
	struct asked *a = arg;
	struct far *far = a->far;
	struct error err = ERROR_INIT;
	const struct digest *absent = NULL;
	pthread_mutex_lock(&far->mutex);
	int r = far->fails;
	pthread_mutex_unlock(&far->mutex);
	for (size_t i = 0; r == 0 && i < a->count; i++) {
		r = move_one(far, a->push, &a->blobs[i].digest);
		if (r < 0)
			absent = &a->blobs[i].digest;
	}
	if (r < 0)
		error_set(&err, r, "the fake far store says %s", strerror(-r));
	a->done(a->arg, r, absent, r < 0 ? &err : NULL);
	free(a->blobs);
	free(a);
}

static void ask(struct far *far, bool push, const struct sized_blob *blobs, size_t count,
                far_many_fn *done, void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a));
	*a = (struct asked){ .far = far, .push = push, .count = count, .done = done, .arg = arg };
	a->blobs = xcalloc(count + 1, sizeof(*blobs));
	memcpy(a->blobs, blobs, count * sizeof(*blobs));
	pthread_mutex_lock(&far->mutex);
	far->pushes += push;
	bool hold = far->hold;
	if (hold) {
		a->next = far->held;
		far->held = a;
	}
	pthread_mutex_unlock(&far->mutex);
	if (!hold)
		net_post(far->net, answer, a);
}

void far_push(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	ask(far, true, blobs, count, done, arg);
}

void far_pull(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	ask(far, false, blobs, count, done, arg);
}

bool far_known(struct far *far, const struct digest *d)
{
	pthread_mutex_lock(&far->mutex);
	bool known = digest_map_get(&far->known, d);
	pthread_mutex_unlock(&far->mutex);
	return known;
}

void far_remember(struct far *far, const struct digest *d, bool there)
{
	pthread_mutex_lock(&far->mutex);
	if (there)
		digest_map_put(&far->known, d, far);
	else
		digest_map_remove(&far->known, d);
	pthread_mutex_unlock(&far->mutex);
}

struct memo_asked {
	far_done_fn *done;
	void *arg;
};

static void memo_answer(void *arg)
{
	struct memo_asked *m = arg;
	m->done(m->arg, 0, NULL);
	free(m);
}

void far_memo_put(struct far *far, const struct memo *memo, far_done_fn *done, void *arg)
{
	struct memo_asked *m = xcalloc(1, sizeof(*m));
	*m = (struct memo_asked){ .done = done, .arg = arg };
	store_memo_put(far->bytes, memo, NULL);
	pthread_mutex_lock(&far->mutex);
	far->memos++;
	pthread_mutex_unlock(&far->mutex);
	net_post(far->net, memo_answer, m);
}

/* --- control -----------------------------------------------------------------------------------
 */

void fake_far_fails(struct far *far, int code)
{
	pthread_mutex_lock(&far->mutex);
	far->fails = code;
	pthread_mutex_unlock(&far->mutex);
}

void fake_far_holds(struct far *far, bool hold)
{
	pthread_mutex_lock(&far->mutex);
	far->hold = hold;
	struct asked *held = hold ? NULL : far->held;
	if (!hold)
		far->held = NULL;
	pthread_mutex_unlock(&far->mutex);
	while (held) {
		struct asked *next = held->next;
		net_post(far->net, answer, held);
		held = next;
	}
}

void fake_far_lose(struct far *far, const struct digest *d)
{
	store_delete(far->bytes, d, NULL);
}

bool fake_far_has(struct far *far, const struct digest *d)
{
	return store_has(far->bytes, d, NULL, NULL) == 0;
}

static unsigned read_count(struct far *far, const unsigned *count)
{
	pthread_mutex_lock(&far->mutex);
	unsigned n = *count;
	pthread_mutex_unlock(&far->mutex);
	return n;
}

unsigned fake_far_pushes(struct far *far)
{
	return read_count(far, &far->pushes);
}

unsigned fake_far_puts(struct far *far)
{
	return read_count(far, &far->puts);
}

unsigned fake_far_memos(struct far *far)
{
	return read_count(far, &far->memos);
}
