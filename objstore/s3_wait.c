#include "objstore/s3_wait.h"

#include <pthread.h>

#include "objstore/s3_send.h"

/* Lives on the stack of the one who waits, who may not go on before done. */
struct wait {
	struct s3 *s3;
	const char *key;
	const struct s3_request *request;
	const struct s3_body *send_body;
	bool conditional;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done; /* under the lock */
	/* Written before done: */
	int code;
	struct error err;
	struct buf bytes;
	struct s3_body body;
	struct s3_info info;
};

static void begin_wait(struct wait *w, struct s3 *s3, const char *key)
{
	*w = (struct wait){ .s3 = s3,
		            .key = key,
		            .lock = PTHREAD_MUTEX_INITIALIZER,
		            .changed = PTHREAD_COND_INITIALIZER,
		            .body = S3_BODY_INIT(-1) };
}

static void ended(struct wait *w, int code, const struct error *err)
{
	pthread_mutex_lock(&w->lock);
	w->code = code;
	if (err)
		w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static int await(struct wait *w, loop_fn *start, struct error *err)
{
	net_post(s3_net(w->s3), start, w);
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	if (w->code < 0 && err)
		*err = w->err;
	return w->code;
}

static void on_called(void *arg, const struct s3_answer *answer)
{
	struct wait *w = arg;
	if (answer->response) {
		w->bytes = answer->response->body;
		answer->response->body = BUF_INIT;
	}
	ended(w, answer->code, answer->err);
}

static void start_call(void *arg)
{
	struct wait *w = arg;
	struct s3_request request = *w->request;
	request.arg = w;
	request.done = on_called;
	s3_start(w->s3, &request);
}

int s3_call(struct s3 *s3, const struct s3_request *request, struct buf *body, struct error *err)
{
	struct wait w;
	begin_wait(&w, s3, request->key);
	w.request = request;
	int r = await(&w, start_call, err);
	if (r == 0 && body)
		*body = w.bytes;
	else
		buf_release(&w.bytes);
	return r;
}

static void on_fetched(void *arg, int code, struct s3_body *body, const struct s3_info *info,
                       const struct error *err)
{
	struct wait *w = arg;
	w->body = *body;
	*body = S3_BODY_INIT(-1);
	w->info = *info;
	ended(w, code, err);
}

static void start_fetch(void *arg)
{
	struct wait *w = arg;
	s3_fetch(w->s3, w->key, UINT64_MAX, -1, 0, on_fetched, w);
}

int s3_call_fetch(struct s3 *s3, const char *key, struct s3_body *body, struct s3_info *info,
                  struct error *err)
{
	struct wait w;
	begin_wait(&w, s3, key);
	int r = await(&w, start_fetch, err);
	*body = w.body;
	*info = w.info;
	return r;
}

static void on_looked(void *arg, int code, const struct s3_info *info, const struct error *err)
{
	struct wait *w = arg;
	w->info = *info;
	ended(w, code, err);
}

static void start_look(void *arg)
{
	struct wait *w = arg;
	s3_look(w->s3, w->key, 0, on_looked, w);
}

int s3_call_look(struct s3 *s3, const char *key, struct s3_info *info, struct error *err)
{
	struct wait w;
	begin_wait(&w, s3, key);
	int r = await(&w, start_look, err);
	*info = w.info;
	return r;
}

static void on_sent(void *arg, int code, const struct error *err)
{
	ended(arg, code, err);
}

static void start_send(void *arg)
{
	struct wait *w = arg;
	s3_send(w->s3, w->key, w->send_body, w->conditional, 0, on_sent, w);
}

int s3_call_send(struct s3 *s3, const char *key, const struct s3_body *body, bool conditional,
                 struct error *err)
{
	struct wait w;
	begin_wait(&w, s3, key);
	w.send_body = body;
	w.conditional = conditional;
	return await(&w, start_send, err);
}
