#include "tests/unit/remote/scene.h"

#include <string.h>
#include <time.h>

enum { WAIT_S = 60, EVENTUALLY_MS = 10000 };

static void begin(struct scene *s, bool with_far, fake_act_fn *act, void *arg)
{
	struct error err;
	const struct http_options http = { .connections_max = 1000 };
	*s = (struct scene){ .directory = test_directory() };
	scoped_free char *near = xformat("%s/near", s->directory);
	scoped_free char *far = xformat("%s/far", s->directory);
	assert_ok(store_open_local(near, true, STORE_SYNC_NONE, &s->near, &err));
	assert_ok(store_open_local(far, true, STORE_SYNC_NONE, &s->far_bytes, &err));
	assert_ok(net_new(&http, &s->net, &err));
	s->far = with_far ? fake_far_new(s->net, s->near, s->far_bytes) : NULL;
	s->worker = fake_worker_new(act, arg);
	s->ledger = ledger_new();
	prices_default(&s->prices);
	s->context = (struct remote_context){ .net = s->net,
		                              .far = s->far,
		                              .near = s->near,
		                              .ledger = s->ledger,
		                              .prices = &s->prices };
}

void scene_begin(struct scene *s, bool with_far, unsigned jobs, fake_act_fn *act, void *arg)
{
	struct error err;
	begin(s, with_far, act, arg);
	const struct http_engine_options options = { .url = fake_worker_url(s->worker),
		                                     .token = "secret" };
	assert_ok(engine_http_new(&s->context, &options, jobs, &s->engine, &err));
}

void scene_begin_http(struct scene *s, struct http_engine_options *options, fake_act_fn *act,
                      void *arg)
{
	struct error err;
	begin(s, false, act, arg);
	options->url = fake_worker_url(s->worker);
	assert_ok(engine_http_new(&s->context, options, 1, &s->engine, &err));
}

void scene_begin_lambda(struct scene *s, bool with_far, unsigned jobs, const char *endpoint,
                        char **environ_of_aws, fake_act_fn *act, void *arg)
{
	struct error err;
	static char id[] = "AWS_ACCESS_KEY_ID=AKIDTEST", secret[] = "AWS_SECRET_ACCESS_KEY=secret",
	            nowhere[] = "HOME=/nonexistent";
	char *with_credentials[] = { id, secret, nowhere, NULL };
	begin(s, with_far, act, arg);
	const struct aws_config_options config = {
		.environ = environ_of_aws ? environ_of_aws : with_credentials,
	};
	assert_ok(aws_config_load(&config, &s->config, &err));
	assert_ok(aws_new(s->net, s->config, &s->aws, &err));
	s->context.aws = s->aws;
	const struct lambda_options options = {
		.endpoint = endpoint ? endpoint : fake_worker_url(s->worker),
		.region = "eu-central-1",
	};
	assert_ok(engine_lambda_new(&s->context, &options, jobs, &s->engine, &err));
}

void scene_end(struct scene *s)
{
	if (s->engine)
		s->engine->ops->free(s->engine);
	if (s->far)
		fake_far_free(s->far);
	aws_free(s->aws);
	net_free(s->net);
	aws_config_free(s->config);
	fake_worker_free(s->worker);
	ledger_free(s->ledger);
	store_free(s->near);
	store_free(s->far_bytes);
	test_directory_remove(s->directory);
}

struct ledger_totals scene_totals(struct scene *s)
{
	struct ledger_totals t;
	ledger_totals(s->ledger, &t);
	return t;
}

/* --- tasks -------------------------------------------------------------------------------------
 */

static void settle(void *arg, struct engine_result *r)
{
	struct task *t = arg;
	pthread_mutex_lock(&t->mutex);
	if (t->answers++ == 0) {
		t->result = *r;
		*r = (struct engine_result){ 0 };
	}
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->mutex);
}

void task_init(struct task *t, const char *name)
{
	*t = (struct task){ .thunk = THUNK_INIT };
	pthread_mutex_init(&t->mutex, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->thunk.program = xstrdup("bin/f");
	strv_add(&t->thunk.args, "f");
	strv_add(&t->thunk.args, name);
	thunk_add_output(&t->thunk, OUTPUT_FILE, "out");
}

void task_input(struct scene *s, struct task *t, const char *path, const void *bytes, size_t len)
{
	struct error err;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = len };
	assert_ok(store_put_bytes(s->near, bytes, len, &ref.digest, &err));
	manifest_add_file(&t->thunk.inputs, path, 0644, &ref);
}

void task_add_set(struct scene *s, struct task *t, const char *word, struct digest *member)
{
	struct error err;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(word) };
	struct digest d;
	assert_ok(store_put_bytes(s->near, word, strlen(word), &ref.digest, &err));
	*member = ref.digest;
	manifest_add_file(&set, "usr/include/x.h", 0644, &ref);
	assert_ok(manifest_finish(&set, &err));
	manifest_encode(&set, &text);
	assert_ok(store_put_bytes(s->near, text.data, text.len, &d, &err));
	thunk_add_set(&t->thunk, &d, text.len);
}

void task_start(struct scene *s, struct task *t)
{
	struct error err;
	assert_ok(thunk_finish(&t->thunk, &err));
	t->job.thunk = &t->thunk;
	t->job.done = settle;
	t->job.arg = t;
	thunk_digest(&t->thunk, &t->job.digest);
	assert_ok(s->engine->ops->submit(s->engine, &t->job, &t->ticket, &err));
}

void task_wait(struct task *t)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&t->mutex);
	int r = 0;
	while (!t->answers && r == 0)
		r = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
	pthread_mutex_unlock(&t->mutex);
	if (r)
		fail_msg("a job was not answered");
}

bool task_is_over(struct task *t)
{
	pthread_mutex_lock(&t->mutex);
	bool over = t->answers > 0;
	pthread_mutex_unlock(&t->mutex);
	return over;
}

void task_release(struct task *t)
{
	assert_int_equal(t->answers, 1);
	engine_result_release(&t->result);
	thunk_release(&t->thunk);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->mutex);
}

void task_run(struct scene *s, struct task *t)
{
	task_start(s, t);
	task_wait(t);
}

void expect_done(struct scene *s, struct task *t)
{
	char want[80];
	const struct engine_result *r = &t->result;
	scoped_buf struct buf got = BUF_INIT;
	struct error err;
	if (r->outcome != OUTCOME_DONE)
		fail_msg("outcome %d: %s", r->outcome, r->reason);
	assert_null(r->reason);
	assert_string_equal(r->memo.engine, s->engine->ops->name);
	assert_true(digest_equal(&r->memo.thunk, &t->job.digest));
	assert_int_equal(r->memo.count, t->thunk.output_count);
	assert_ok(
	        store_get_bytes(s->near, &memo_output(&r->memo, "out")->digest, 1000, &got, &err));
	fake_output(&t->job.digest, want);
	assert_string_equal(got.data, want);
}

void expect_failed(struct task *t, enum outcome outcome, const char *words)
{
	const struct engine_result *r = &t->result;
	if (r->outcome != outcome || !r->reason || !strstr(r->reason, words))
		fail_msg("outcome %d: %s", r->outcome, r->reason ? r->reason : "");
	assert_non_null(r->stderr_tail);
	assert_true(digest_equal(&r->memo.thunk, &t->job.digest));
}

void act_slowly(void *arg, unsigned number, const struct remote_request *request,
                struct fake_act *act)
{
	(void)number;
	(void)request;
	act->delay_ms = *(const int *)arg;
}

bool eventually(bool (*condition)(void *arg), void *arg)
{
	for (int64_t until = now_ms() + EVENTUALLY_MS; now_ms() < until;) {
		if (condition(arg))
			return true;
		const struct timespec pause = { .tv_nsec = 5000000 };
		nanosleep(&pause, NULL);
	}
	return condition(arg);
}
