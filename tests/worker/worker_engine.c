#include "tests/worker/worker_engine.h"

#include <pthread.h>
#include <string.h>

#include "engine/worker/worker.h"
#include "tests/unit/worker/fake_far.h"

struct engine_ticket {
	struct engine_job job;
	struct engine_ticket *next;
};

struct worker_engine {
	struct engine engine; /* first: the engine is found from it */
	struct store *store;
	struct worker *worker;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct engine_ticket *first; /* guarded by mutex, as is stop */
	bool stop;
};

static void take_result(const struct remote_answer *answer, struct engine_result *out)
{
	if (answer->result_count != 1) {
		out->outcome = OUTCOME_LOST;
		out->reason = xstrdup(answer->reason ? answer->reason : "no result");
		out->stderr_tail = xstrdup("");
		return;
	}
	const struct remote_result *r = &answer->results[0];
	out->outcome = r->outcome;
	out->exit_status = r->exit_status;
	memo_copy(&out->memo, &r->memo);
	out->reason = r->reason ? xstrdup(r->reason) : NULL;
	out->stderr_tail = xstrdup(r->stderr_tail);
	out->has_absent = r->has_absent;
	out->absent = r->absent;
}

static void run(struct worker_engine *e, struct engine_ticket *t)
{
	struct engine_result result = { 0 };
	scoped_buf struct buf text = BUF_INIT, out = BUF_INIT;
	struct error err = ERROR_INIT;
	struct remote_answer answer = { 0 };
	char url[] = "s3://fake";
	struct remote_request request = { .thunks = &t->job.digest,
		                          .thunk_count = 1,
		                          .far_url = url,
		                          .far_path_style = -1,
		                          .keep_results = true };
	remote_request_encode(&request, &text);
	const struct worker_limits limits = { .answer_max = REMOTE_BYTES_MAX };
	worker_handle(e->worker, text.data, text.len, &limits, &out);
	if (remote_answer_decode(out.data, out.len, &answer, &err) < 0) {
		fprintf(stderr, "worker's answer: %s\n", error_text(&err));
		abort();
	}
	take_result(&answer, &result);
	remote_answer_release(&answer);
	result.memo.thunk = t->job.digest;
	free(result.memo.engine);
	result.memo.engine = xstrdup("worker");
	t->job.done(t->job.arg, &result);
	engine_result_release(&result);
	free(t);
}

static void *work(void *arg)
{
	struct worker_engine *e = arg;
	pthread_mutex_lock(&e->mutex);
	while (!e->stop) {
		struct engine_ticket *t = e->first;
		if (!t) {
			pthread_cond_wait(&e->changed, &e->mutex);
			continue;
		}
		e->first = t->next;
		pthread_mutex_unlock(&e->mutex);
		run(e, t);
		pthread_mutex_lock(&e->mutex);
	}
	pthread_mutex_unlock(&e->mutex);
	return NULL;
}

static unsigned capacity(struct engine *engine)
{
	(void)engine;
	return 1;
}

static int set_capacity(struct engine *engine, unsigned jobs, struct error *err)
{
	(void)engine, (void)jobs, (void)err;
	return 0;
}

static int submit(struct engine *engine, const struct engine_job *job,
                  struct engine_ticket **ticket, struct error *err)
{
	struct worker_engine *e = (struct worker_engine *)engine;
	struct engine_ticket *t = xcalloc(1, sizeof(*t));
	struct digest saved;
	t->job = *job;
	if (thunk_save(e->store, job->thunk, &saved, err) < 0)
		abort();
	pthread_mutex_lock(&e->mutex);
	struct engine_ticket **at = &e->first;
	while (*at)
		at = &(*at)->next;
	*at = *ticket = t;
	pthread_cond_signal(&e->changed);
	pthread_mutex_unlock(&e->mutex);
	return 0;
}

static void cancel(struct engine *engine, struct engine_ticket *ticket)
{
	(void)engine, (void)ticket;
}

static uint64_t price(struct engine *engine, const struct thunk *t)
{
	(void)engine, (void)t;
	return 0;
}

static void engine_free(struct engine *engine)
{
	struct worker_engine *e = (struct worker_engine *)engine;
	pthread_mutex_lock(&e->mutex);
	e->stop = true;
	pthread_cond_signal(&e->changed);
	pthread_mutex_unlock(&e->mutex);
	pthread_join(e->thread, NULL);
	worker_free(e->worker);
	pthread_mutex_destroy(&e->mutex);
	pthread_cond_destroy(&e->changed);
	free(e);
}

static const struct engine_ops ops = { .name = "worker",
	                               .capacity = capacity,
	                               .set_capacity = set_capacity,
	                               .submit = submit,
	                               .cancel = cancel,
	                               .price = price,
	                               .free = engine_free };

int worker_engine_new(struct store *store, const char *cache, struct engine **out,
                      struct error *err)
{
	struct worker_engine *e = xcalloc(1, sizeof(*e));
	const struct worker_options options = { .cache = cache, .aws = (struct aws *)(uintptr_t)8 };
	int r = worker_new(&options, &e->worker, err);
	if (r < 0) {
		free(e);
		return r;
	}
	fake_far_use(store);
	e->engine.ops = &ops;
	e->store = store;
	pthread_mutex_init(&e->mutex, NULL);
	pthread_cond_init(&e->changed, NULL);
	if (pthread_create(&e->thread, NULL, work, e) != 0)
		abort();
	*out = &e->engine;
	return 0;
}
