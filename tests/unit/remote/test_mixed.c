/* Several engines as one: who gets what, who is asked next, and the far store of a local part. */
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/remote/scene.h"

/* --- an engine that answers as it is told ------------------------------------------------------
 */

struct part {
	struct engine engine; /* first */
	struct engine_ops ops;
	struct store *near;
	atomic_uint jobs, submits, cancels, frees;
	enum outcome outcome;
	const char *output;  /* its bytes, put into near */
	bool hold;           /* until it is cancelled */
	struct digest needs; /* an input that must be in near, unless it is zero */
	pthread_mutex_t mutex;
	struct engine_job held; /* guarded by mutex */
	bool has_held;
};

static struct part *part_of(struct engine *e)
{
	return (struct part *)e;
}

static void answer(struct part *p, const struct engine_job *job, enum outcome outcome)
{
	static const struct digest none;
	struct engine_result r = { .outcome = outcome, .exit_status = -1 };
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(p->output) };
	r.memo.thunk = job->digest;
	r.memo.engine = xstrdup(p->ops.name);
	r.stderr_tail = xstrdup("");
	if (!digest_equal(&p->needs, &none) && store_has(p->near, &p->needs, NULL, NULL) < 0) {
		r.outcome = OUTCOME_BAD_INPUT;
		r.has_absent = true;
		r.absent = p->needs;
	}
	if (r.outcome == OUTCOME_DONE) {
		store_put_bytes(p->near, p->output, strlen(p->output), &ref.digest, NULL);
		memo_add_output(&r.memo, "out", &ref);
	} else {
		r.reason = xformat("%s says no", p->ops.name);
	}
	job->done(job->arg, &r);
	engine_result_release(&r);
}

static void *answer_elsewhere(void *arg)
{
	struct part *p = arg;
	pthread_mutex_lock(&p->mutex);
	struct engine_job job = p->held;
	p->has_held = false;
	pthread_mutex_unlock(&p->mutex);
	answer(p, &job, p->outcome);
	return NULL;
}

static int part_submit(struct engine *e, const struct engine_job *job,
                       struct engine_ticket **ticket, struct error *err)
{
	struct part *p = part_of(e);
	pthread_t thread;
	(void)err;
	p->submits++;
	*ticket = (struct engine_ticket *)(uintptr_t)1;
	pthread_mutex_lock(&p->mutex);
	p->held = *job;
	p->has_held = true;
	pthread_mutex_unlock(&p->mutex);
	/* These parts take one job at a time. */
	if (!p->hold && pthread_create(&thread, NULL, answer_elsewhere, p) == 0)
		pthread_detach(thread);
	return 0;
}

static void part_cancel(struct engine *e, struct engine_ticket *ticket)
{
	struct part *p = part_of(e);
	(void)ticket;
	p->cancels++;
	pthread_mutex_lock(&p->mutex);
	bool held = p->has_held && p->hold;
	struct engine_job job = p->held;
	p->has_held = p->has_held && !held;
	pthread_mutex_unlock(&p->mutex);
	if (held)
		answer(p, &job, OUTCOME_CANCELLED);
}

static unsigned part_capacity(struct engine *e)
{
	return part_of(e)->jobs;
}

static int part_set_capacity(struct engine *e, unsigned jobs, struct error *err)
{
	(void)err;
	part_of(e)->jobs = jobs;
	return 0;
}

static uint64_t part_price(struct engine *e, const struct thunk *t)
{
	(void)t;
	return strcmp(part_of(e)->ops.name, "local") == 0 ? 0 : 17;
}

static void part_free(struct engine *e)
{
	part_of(e)->frees++;
	part_cancel(e, NULL);
}

static void part_init(struct part *p, const char *name, struct store *near)
{
	*p = (struct part){ .near = near, .output = "made\n" };
	p->ops = (struct engine_ops){ .name = name,
		                      .capacity = part_capacity,
		                      .set_capacity = part_set_capacity,
		                      .submit = part_submit,
		                      .cancel = part_cancel,
		                      .price = part_price,
		                      .free = part_free };
	p->engine.ops = &p->ops;
	p->jobs = 2;
	pthread_mutex_init(&p->mutex, NULL);
}

struct mix {
	struct scene scene;
	struct part local, lambda;
};

static void begin(struct mix *m, bool with_far)
{
	struct error err;
	struct scene *s = &m->scene;
	scene_begin(s, with_far, 10, NULL, NULL);
	s->engine->ops->free(s->engine);
	s->engine = NULL;
	part_init(&m->local, "local", s->near);
	part_init(&m->lambda, "lambda", s->near);
	struct engine *parts[] = { &m->local.engine, &m->lambda.engine };
	assert_ok(engine_mixed_new(&s->context, parts, 2, &s->engine, &err));
}

static void end(struct mix *m)
{
	scene_end(&m->scene);
	assert_int_equal(m->local.frees, 1);
	assert_int_equal(m->lambda.frees, 1);
}

/* --- who gets it -------------------------------------------------------------------------------
 */

static void jobs_go_by_size_and_by_what_they_ask_for(void **state)
{
	(void)state;
	static const struct {
		uint64_t micros;
		const char *engines;
		bool local_only;
		const char *who;
	} rows[] = {
		{ 5000000, NULL, false, "lambda" },   { 1000, NULL, false, "local" },
		{ 5000000, "local", false, "local" }, { 1000, "lambda", false, "lambda" },
		{ 5000000, NULL, true, "local" },
	};
	struct mix m;
	begin(&m, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct task t;
		scoped_free char *name = xformat("%zu", i);
		task_init(&t, name);
		t.job.expected_micros = rows[i].micros;
		t.job.engines = rows[i].engines;
		t.job.local_only = rows[i].local_only;
		task_run(&m.scene, &t);
		assert_int_equal(t.result.outcome, OUTCOME_DONE);
		assert_string_equal(t.result.memo.engine, rows[i].who);
		task_release(&t);
	}
	end(&m);
}

static void what_one_refuses_the_other_is_asked_for(void **state)
{
	(void)state;
	struct mix m;
	struct task t;
	begin(&m, false);
	m.lambda.outcome = OUTCOME_REFUSED;
	task_init(&t, "one");
	t.job.expected_micros = 5000000;
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_DONE);
	assert_string_equal(t.result.memo.engine, "local");
	assert_int_equal(m.lambda.submits, 1);
	task_release(&t);
	/* And if that one refuses as well, its reason is told. */
	m.local.outcome = OUTCOME_REFUSED;
	task_init(&t, "two");
	t.job.expected_micros = 5000000;
	task_run(&m.scene, &t);
	expect_failed(&t, OUTCOME_REFUSED, "local says no");
	task_release(&t);
	/* This machine may always be asked then: it costs nothing. */
	m.local.outcome = OUTCOME_DONE;
	task_init(&t, "three");
	t.job.engines = "lambda";
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_DONE);
	assert_string_equal(t.result.memo.engine, "local");
	task_release(&t);
	/* But not what costs and was not asked for. */
	m.local.outcome = OUTCOME_REFUSED;
	unsigned before = m.lambda.submits;
	task_init(&t, "local alone");
	t.job.engines = "local";
	task_run(&m.scene, &t);
	expect_failed(&t, OUTCOME_REFUSED, "local says no");
	assert_int_equal(m.lambda.submits, before);
	task_release(&t);
	task_init(&t, "four");
	t.job.engines = "http";
	task_run(&m.scene, &t);
	expect_failed(&t, OUTCOME_REFUSED, "none of the engines");
	task_release(&t);
	end(&m);
}

static void other_failures_are_not_passed_on(void **state)
{
	(void)state;
	static const enum outcome outcomes[] = { OUTCOME_FAILED,  OUTCOME_TIMED_OUT,
		                                 OUTCOME_NO_ROOM, OUTCOME_LOST,
		                                 OUTCOME_DENIED,  OUTCOME_UNREACHABLE };
	struct mix m;
	begin(&m, false);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		struct task t;
		m.lambda.outcome = outcomes[i];
		task_init(&t, "one");
		t.job.expected_micros = 5000000;
		task_run(&m.scene, &t);
		expect_failed(&t, outcomes[i], "lambda says no");
		task_release(&t);
	}
	assert_int_equal(m.local.submits, 0);
	end(&m);
}

static void capacities_add_up_and_are_set_where_it_matters(void **state)
{
	(void)state;
	struct mix m;
	struct error err;
	begin(&m, false);
	const struct engine_ops *ops = m.scene.engine->ops;
	assert_int_equal(ops->capacity(m.scene.engine), 4);
	assert_ok(ops->set_capacity(m.scene.engine, 100, &err));
	assert_int_equal(m.lambda.jobs, 100);
	assert_int_equal(m.local.jobs, 2);
	assert_int_equal(ops->capacity(m.scene.engine), 102);
	assert_int_equal(ops->price(m.scene.engine, NULL), 17);
	struct engine *none = NULL;
	assert_error(engine_mixed_new(&m.scene.context, &none, 0, &none, &err), -EINVAL);
	end(&m);
}

static bool was_submitted(void *arg)
{
	struct part *p = arg;
	return p->submits > 0;
}

static void a_job_is_cancelled_where_it_is(void **state)
{
	(void)state;
	struct mix m;
	struct task t;
	begin(&m, false);
	m.lambda.hold = true;
	task_init(&t, "one");
	t.job.expected_micros = 5000000;
	task_start(&m.scene, &t);
	assert_true(eventually(was_submitted, &m.lambda));
	m.scene.engine->ops->cancel(m.scene.engine, t.ticket);
	task_wait(&t);
	assert_int_equal(t.result.outcome, OUTCOME_CANCELLED);
	m.scene.engine->ops->cancel(m.scene.engine, t.ticket); /* without harm */
	task_release(&t);
	end(&m);
}

static void freeing_it_answers_everybody(void **state)
{
	(void)state;
	struct mix m;
	struct task running, waiting;
	struct error err;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 4 };
	begin(&m, true);
	m.lambda.hold = true;
	fake_far_holds(m.scene.far, true);
	task_init(&running, "one");
	running.job.expected_micros = 5000000;
	task_init(&waiting, "two");
	waiting.job.local_only = true;
	assert_ok(store_put_bytes(m.scene.far_bytes, "text", 4, &ref.digest, &err));
	manifest_add_file(&waiting.thunk.inputs, "in", 0644, &ref);
	task_start(&m.scene, &running);
	task_start(&m.scene, &waiting);
	assert_true(eventually(was_submitted, &m.lambda));
	m.scene.engine->ops->free(m.scene.engine);
	m.scene.engine = NULL;
	assert_int_equal(running.result.outcome, OUTCOME_CANCELLED);
	assert_int_equal(waiting.result.outcome, OUTCOME_CANCELLED);
	task_release(&running);
	task_release(&waiting);
	end(&m);
}

/* --- beside a far store ------------------------------------------------------------------------
 */

static void need_far_input(struct mix *m, struct task *t, const char *word)
{
	struct error err;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(word) };
	struct digest d;
	assert_ok(store_put_bytes(m->scene.far_bytes, word, strlen(word), &ref.digest, &err));
	m->local.needs = ref.digest;
	manifest_add_file(&set, "in", 0644, &ref);
	assert_ok(manifest_finish(&set, &err));
	manifest_encode(&set, &text);
	assert_ok(store_put_bytes(m->scene.far_bytes, text.data, text.len, &d, &err));
	thunk_add_set(&t->thunk, &d, text.len);
}

static bool memo_was_put(void *arg)
{
	return fake_far_memos(arg) > 0;
}

static void a_local_job_gets_its_inputs_from_afar_and_offers_its_result(void **state)
{
	(void)state;
	struct mix m;
	struct task t;
	struct digest made;
	begin(&m, true);
	task_init(&t, "one");
	t.job.local_only = true;
	need_far_input(&m, &t, "text"); /* the set as well as what it names */
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_DONE);
	assert_true(eventually(memo_was_put, m.scene.far));
	digest_of(&made, m.local.output, strlen(m.local.output));
	assert_true(fake_far_has(m.scene.far, &made));
	task_release(&t);
	end(&m);
}

static void an_input_that_went_away_here_is_brought_again(void **state)
{
	(void)state;
	struct mix m;
	struct error err;
	begin(&m, true);
	for (int i = 0; i < 2; i++) {
		struct task t;
		scoped_free char *name = xformat("%d", i);
		task_init(&t, name);
		t.job.local_only = true;
		need_far_input(&m, &t, "text");
		task_run(&m.scene, &t);
		assert_int_equal(t.result.outcome, OUTCOME_DONE);
		task_release(&t);
		/* The set is remembered to be whole here, and is not. */
		assert_ok(store_delete(m.scene.near, &m.local.needs, &err));
	}
	end(&m);
}

static void an_input_that_is_nowhere_is_told_by_name(void **state)
{
	(void)state;
	struct mix m;
	struct task t;
	begin(&m, true);
	task_init(&t, "one");
	t.job.local_only = true;
	need_far_input(&m, &t, "text");
	fake_far_lose(m.scene.far, &m.local.needs);
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_BAD_INPUT);
	assert_true(t.result.has_absent);
	assert_true(digest_equal(&t.result.absent, &m.local.needs));
	assert_int_equal(m.local.submits, 0);
	task_release(&t);
	/* A far store that is away is told as what it is. */
	fake_far_fails(m.scene.far, -ENETDOWN);
	task_init(&t, "two");
	t.job.local_only = true;
	need_far_input(&m, &t, "other text");
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_UNREACHABLE);
	task_release(&t);
	end(&m);
}

static void a_result_that_cannot_be_offered_is_a_result(void **state)
{
	(void)state;
	struct mix m;
	struct task t;
	begin(&m, true);
	fake_far_fails(m.scene.far, -ENETDOWN);
	task_init(&t, "one");
	t.job.local_only = true;
	task_run(&m.scene, &t);
	assert_int_equal(t.result.outcome, OUTCOME_DONE);
	task_release(&t);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_go_by_size_and_by_what_they_ask_for),
		cmocka_unit_test(what_one_refuses_the_other_is_asked_for),
		cmocka_unit_test(other_failures_are_not_passed_on),
		cmocka_unit_test(capacities_add_up_and_are_set_where_it_matters),
		cmocka_unit_test(a_job_is_cancelled_where_it_is),
		cmocka_unit_test(freeing_it_answers_everybody),
		cmocka_unit_test(a_local_job_gets_its_inputs_from_afar_and_offers_its_result),
		cmocka_unit_test(an_input_that_went_away_here_is_brought_again),
		cmocka_unit_test(an_input_that_is_nowhere_is_told_by_name),
		cmocka_unit_test(a_result_that_cannot_be_offered_is_a_result),
	};
	return cmocka_run_group_tests_name("mixed", tests, NULL, NULL);
}
