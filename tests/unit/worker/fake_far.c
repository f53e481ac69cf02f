#include "tests/unit/worker/fake_far.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static struct {
	struct store *behind;
	atomic_bool hang;
	atomic_int push_code, pushes_failing;
	atomic_uint pulls;
} control;

void fake_far_use(struct store *behind)
{
	control.behind = behind;
	control.hang = false;
	control.pushes_failing = 0;
	control.pulls = 0;
}

void fake_far_hang(bool on)
{
	control.hang = on;
}

void fake_far_fail_pushes(int code, int count)
{
	control.push_code = code;
	control.pushes_failing = count;
}

unsigned fake_far_pulls(void)
{
	return control.pulls;
}

struct far {
	struct store *near;
	atomic_bool closing;
	pthread_t thread;
	bool started;
	atomic_ulong gets, puts, received, sent;
};

int far_new(struct aws *aws, struct store *near, const struct far_options *options,
            struct far **out, struct error *err)
{
	(void)aws, (void)options, (void)err;
	*out = xcalloc(1, sizeof(**out));
	(*out)->near = near;
	return 0;
}

static void join(struct far *far)
{
	if (far->started)
		pthread_join(far->thread, NULL);
	far->started = false;
}

void far_free(struct far *far)
{
	far->closing = true;
	join(far);
	free(far);
}

enum kind { PULL, PUSH, MEMO };

struct order {
	struct far *far;
	enum kind kind;
	struct sized_blob *blobs;
	size_t count;
	struct memo memo;
	far_many_fn *many;
	far_done_fn *one;
	void *arg;
};

static int copy(struct store *from, struct store *to, const struct digest *d, atomic_ulong *bytes,
                struct error *err)
{
	scoped_buf struct buf b = BUF_INIT;
	struct digest put;
	if (store_has(to, d, NULL, NULL) == 0)
		return 0;
	int r = store_get_bytes(from, d, 1 << 30, &b, err);
	if (r == 0)
		r = store_put_bytes(to, b.data ? b.data : "", b.len, &put, err);
	*bytes += b.len;
	if (r == 0 && !digest_equal(&put, d))
		r = error_set(err, -EBADMSG, "another digest");
	return r;
}

static int carry(struct order *o, struct digest *absent, struct error *err)
{
	struct far *far = o->far;
	int r = 0;
	while (control.hang && !far->closing)
		usleep(1000);
	if (far->closing)
		return error_set(err, -ECANCELED, "closed");
	if (o->kind != PULL && control.pushes_failing > 0 && control.pushes_failing--)
		return error_set(err, control.push_code, "ordered to fail");
	for (size_t i = 0; r == 0 && i < o->count; i++) {
		*absent = o->blobs[i].digest;
		atomic_fetch_add(o->kind == PULL ? &far->gets : &far->puts, 1);
		r = o->kind == PULL ? copy(control.behind, far->near, absent, &far->received, err)
		                    : copy(far->near, control.behind, absent, &far->sent, err);
	}
	if (o->kind == MEMO)
		r = store_memo_put(control.behind, &o->memo, err);
	return r;
}

static void *serve(void *arg)
{
	struct order *o = arg;
	struct digest absent = { 0 };
	struct error err = ERROR_INIT;
	int r = carry(o, &absent, &err);
	if (o->many)
		o->many(o->arg, r, r == -ENOENT ? &absent : NULL, &err);
	else
		o->one(o->arg, r, &err);
	free(o->blobs);
	memo_release(&o->memo);
	free(o);
	return NULL;
}

/* The order is the thread's: it may be gone before this returns. */
static void start(struct order *o)
{
	struct far *far = o->far;
	join(far);
	if (pthread_create(&far->thread, NULL, serve, o) != 0)
		abort();
	far->started = true;
}

static void many(struct far *far, enum kind kind, const struct sized_blob *blobs, size_t count,
                 far_many_fn *done, void *arg)
{
	struct order *o = xcalloc(1, sizeof(*o));
	*o = (struct order){ .far = far, .kind = kind, .count = count, .many = done, .arg = arg };
	o->blobs = xcalloc(count, sizeof(*blobs));
	memcpy(o->blobs, blobs, count * sizeof(*blobs));
	start(o);
}

void far_pull(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	control.pulls++;
	many(far, PULL, blobs, count, done, arg);
}

void far_push(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	many(far, PUSH, blobs, count, done, arg);
}

void far_memo_put(struct far *far, const struct memo *memo, far_done_fn *done, void *arg)
{
	struct order *o = xcalloc(1, sizeof(*o));
	*o = (struct order){ .far = far, .kind = MEMO, .one = done, .arg = arg };
	memo_copy(&o->memo, memo);
	start(o);
}

void far_usage(struct far *far, struct far_usage *out)
{
	*out = (struct far_usage){ .gets = far->gets,
		                   .puts = far->puts,
		                   .received_bytes = far->received,
		                   .sent_bytes = far->sent };
}
