/* A remote engine against a worker that answers rightly: what is sent, kept, counted. */
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/remote/scene.h"

/* --- results -----------------------------------------------------------------------------------
 */

static void a_thunk_is_sent_and_its_result_kept(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	scene_begin(&s, false, 10, NULL, NULL);
	task_init(&t, "one");
	task_input(&s, &t, "in", "text", 4);
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_string_equal(t.result.memo.engine, "http");
	assert_int_equal(t.result.exit_status, 0);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	assert_int_equal(scene_totals(&s).invocations, 1);
	assert_int_equal(scene_totals(&s).in_flight, 0);
	task_release(&t);
	scene_end(&s);
}

static void fail_function(void *arg, unsigned number, const struct remote_request *request,
                          struct fake_act *act)
{
	struct remote_answer a;
	(void)arg;
	(void)number;
	fake_answer_begin(&a, request);
	for (size_t i = 0; i < a.result_count; i++) {
		struct remote_result *r = &a.results[i];
		memo_release(&r->memo);
		r->outcome = OUTCOME_FAILED;
		r->exit_status = 3;
		r->reason = xstrdup("exit status 3");
		free(r->stderr_tail);
		r->stderr_tail = xstrdup("x.c:1: error\n");
	}
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void a_functions_own_failure_is_an_answer_and_not_tried_again(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	scene_begin(&s, false, 10, fail_function, NULL);
	task_init(&t, "one");
	task_run(&s, &t);
	expect_failed(&t, OUTCOME_FAILED, "exit status 3");
	assert_int_equal(t.result.exit_status, 3);
	assert_string_equal(t.result.stderr_tail, "x.c:1: error\n");
	assert_int_equal(fake_worker_requests(s.worker), 1);
	assert_int_equal(scene_totals(&s).failed, 1);
	task_release(&t);
	scene_end(&s);
}

static void many_go_at_once_and_each_gets_its_own(void **state)
{
	(void)state;
	enum { COUNT = 200 };
	static struct task tasks[COUNT];
	struct scene s;
	int delay_ms = 300;
	scene_begin(&s, false, COUNT, act_slowly, &delay_ms);
	assert_int_equal(s.engine->ops->capacity(s.engine), COUNT);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	assert_true(fake_worker_at_once(s.worker) > COUNT / 2);
	assert_int_equal(fake_worker_requests(s.worker), COUNT);
	scene_end(&s);
}

static void no_more_are_out_than_the_capacity(void **state)
{
	(void)state;
	enum { COUNT = 40 };
	static struct task tasks[COUNT];
	struct scene s;
	struct error err;
	int delay_ms = 30;
	scene_begin(&s, false, 4, act_slowly, &delay_ms);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		tasks[i].job.expected_micros = 60000000; /* nothing to share a request for */
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		task_release(&tasks[i]);
	}
	assert_true(fake_worker_at_once(s.worker) <= 4);
	assert_ok(s.engine->ops->set_capacity(s.engine, 7, &err));
	assert_int_equal(s.engine->ops->capacity(s.engine), 7);
	assert_error(s.engine->ops->set_capacity(s.engine, REMOTE_JOBS_MAX + 1, &err), -EINVAL);
	assert_ok(s.engine->ops->set_capacity(s.engine, 0, &err));
	assert_int_equal(s.engine->ops->capacity(s.engine), REMOTE_JOBS_DEFAULT);
	scene_end(&s);
}

/* --- several in one request --------------------------------------------------------------------
 */

static void small_thunks_share_a_request_where_there_is_less_room(void **state)
{
	(void)state;
	enum { COUNT = 60 };
	static struct task tasks[COUNT];
	struct scene s;
	int delay_ms = 100;
	scene_begin(&s, false, 2, act_slowly, &delay_ms);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		tasks[i].job.expected_micros = 5000;
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	assert_true(fake_worker_requests(s.worker) < COUNT / 2);
	assert_int_equal(scene_totals(&s).invocations, fake_worker_requests(s.worker));
	scene_end(&s);
}

static void break_one(void *arg, unsigned number, const struct remote_request *request,
                      struct fake_act *act)
{
	struct remote_answer a;
	(void)arg;
	(void)number;
	if (request->thunk_count < 2)
		return;
	fake_answer_begin(&a, request);
	memo_release(&a.results[1].memo);
	a.results[1].outcome = OUTCOME_FAILED;
	a.results[1].reason = xstrdup("the second");
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void results_of_one_request_are_each_thunks_own(void **state)
{
	(void)state;
	enum { COUNT = 30 };
	static struct task tasks[COUNT];
	struct scene s;
	unsigned failed = 0;
	scene_begin(&s, false, 1, break_one, NULL);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		tasks[i].job.expected_micros = 5000;
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		if (tasks[i].result.outcome == OUTCOME_FAILED)
			failed++;
		else
			expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	assert_true(failed >= 1);
	assert_true(failed <= fake_worker_requests(s.worker));
	scene_end(&s);
}

/* --- what travels how --------------------------------------------------------------------------
 */

struct seen {
	atomic_uint blobs, bytes;
	atomic_bool keep, far;
};

static void look(void *arg, unsigned number, const struct remote_request *request,
                 struct fake_act *act)
{
	struct seen *seen = arg;
	(void)number;
	(void)act;
	seen->keep = request->keep_results;
	seen->far = request->far_url && strcmp(request->far_url, "s3://fake/store") == 0;
	seen->blobs = (unsigned)request->blobs.count;
	seen->bytes = 0;
	for (size_t i = 0; i < request->blobs.count; i++)
		seen->bytes += (unsigned)request->blobs.items[i].len;
}

static void small_inputs_go_inside_and_large_ones_to_the_far_store(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct seen seen = { 0 };
	size_t large = 400 << 10;
	scoped_free char *bytes = xcalloc(1, large);
	struct digest d;
	scene_begin(&s, true, 10, look, &seen);
	task_init(&t, "one");
	task_input(&s, &t, "large", bytes, large);
	task_input(&s, &t, "small", "text", 4);
	digest_of(&d, bytes, large);
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_true(fake_far_has(s.far, &d));
	assert_int_equal(fake_far_puts(s.far), 1);
	assert_int_equal(seen.blobs, 2); /* the thunk, and "small" */
	assert_true(seen.keep && seen.far);
	task_release(&t);
	scene_end(&s);
}

static void without_a_far_store_all_goes_inside_or_is_refused(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct seen seen = { 0 };
	size_t large = 40 << 20;
	scoped_free char *bytes = xcalloc(1, large);
	scene_begin(&s, false, 10, look, &seen);
	task_init(&t, "one");
	task_input(&s, &t, "middling", bytes, 400 << 10);
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_false(seen.far || seen.keep);
	assert_true(seen.bytes > 400 << 10);
	task_release(&t);
	task_init(&t, "two");
	task_input(&s, &t, "large", bytes, large);
	task_run(&s, &t);
	expect_failed(&t, OUTCOME_REFUSED, "do not fit in one request");
	assert_int_equal(fake_worker_requests(s.worker), 1);
	task_release(&t);
	scene_end(&s);
}

static void a_set_is_pushed_once_for_all_who_share_it(void **state)
{
	(void)state;
	enum { COUNT = 20 };
	static struct task tasks[COUNT];
	struct scene s;
	struct digest member;
	scene_begin(&s, true, COUNT, NULL, NULL);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		task_add_set(&s, &tasks[i], "#define X\n", &member);
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	assert_true(fake_far_has(s.far, &member));
	assert_int_equal(fake_far_pushes(s.far), 1);
	assert_int_equal(fake_far_puts(s.far), 2); /* the manifest and its member */
	scene_end(&s);
}

/* --- inputs that are not there -----------------------------------------------------------------
 */

static void an_input_that_is_nowhere_is_named(void **state)
{
	(void)state;
	struct error err;
	for (int with_far = 0; with_far < 2; with_far++) {
		struct scene s;
		struct task t;
		struct digest d;
		scene_begin(&s, with_far, 10, NULL, NULL);
		task_init(&t, "one");
		task_input(&s, &t, "in", "text", 4);
		digest_of(&d, "text", 4);
		assert_ok(store_delete(s.near, &d, &err));
		task_run(&s, &t);
		assert_int_equal(t.result.outcome, OUTCOME_BAD_INPUT);
		assert_true(t.result.has_absent);
		assert_true(digest_equal(&t.result.absent, &d));
		assert_int_equal(fake_worker_requests(s.worker), 0);
		task_release(&t);
		scene_end(&s);
	}
}

struct emptied {
	struct scene *s;
	struct digest member;
	atomic_uint refusals;
	bool for_ever;
};

/* As a worker does it: what is neither in the request nor in the far store is absent. */
static void need_member(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	struct emptied *e = arg;
	struct remote_answer a;
	(void)number;
	if (!e->for_ever && fake_far_has(e->s->far, &e->member))
		return;
	e->refusals++;
	fake_answer_begin(&a, request);
	memo_release(&a.results[0].memo);
	a.results[0].outcome = OUTCOME_BAD_INPUT;
	a.results[0].reason = xstrdup("an input is absent");
	a.results[0].has_absent = true;
	a.results[0].absent = e->member;
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void an_emptied_far_store_is_filled_again(void **state)
{
	(void)state;
	struct scene s;
	struct emptied e = { .s = &s };
	scene_begin(&s, true, 10, need_member, &e);
	for (int i = 0; i < 2; i++) {
		struct task t;
		scoped_free char *name = xformat("%d", i);
		task_init(&t, name);
		task_add_set(&s, &t, "#define X\n", &e.member);
		task_run(&s, &t);
		expect_done(&s, &t);
		task_release(&t);
		/* Behind our back. */
		fake_far_lose(s.far, &e.member);
	}
	assert_int_equal(e.refusals, 1);
	assert_int_equal(fake_worker_requests(s.worker), 3);
	scene_end(&s);
}

static void an_input_no_worker_ever_finds_ends_by_itself(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct emptied e = { .s = &s, .for_ever = true };
	scene_begin(&s, true, 10, need_member, &e);
	task_init(&t, "one");
	task_add_set(&s, &t, "#define X\n", &e.member);
	task_run(&s, &t);
	expect_failed(&t, OUTCOME_BAD_INPUT, "absent");
	assert_true(digest_equal(&t.result.absent, &e.member));
	assert_true(e.refusals <= 5);
	task_release(&t);
	scene_end(&s);
}

static void a_far_store_that_fails_says_how(void **state)
{
	(void)state;
	static const struct {
		int code;
		enum outcome outcome;
	} rows[] = {
		{ -EACCES, OUTCOME_DENIED },
		{ -ENETDOWN, OUTCOME_UNREACHABLE },
		{ -ENOSPC, OUTCOME_NO_ROOM },
		{ -EIO, OUTCOME_LOST },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct scene s;
		struct task t;
		struct digest member;
		scene_begin(&s, true, 10, NULL, NULL);
		fake_far_fails(s.far, rows[i].code);
		task_init(&t, "one");
		task_add_set(&s, &t, "#define X\n", &member);
		task_run(&s, &t);
		expect_failed(&t, rows[i].outcome, "the fake far store says");
		task_release(&t);
		/* And when it is back, so are we. */
		fake_far_fails(s.far, 0);
		task_init(&t, "two");
		task_add_set(&s, &t, "#define X\n", &member);
		task_run(&s, &t);
		expect_done(&s, &t);
		task_release(&t);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thunk_is_sent_and_its_result_kept),
		cmocka_unit_test(a_functions_own_failure_is_an_answer_and_not_tried_again),
		cmocka_unit_test(many_go_at_once_and_each_gets_its_own),
		cmocka_unit_test(no_more_are_out_than_the_capacity),
		cmocka_unit_test(small_thunks_share_a_request_where_there_is_less_room),
		cmocka_unit_test(results_of_one_request_are_each_thunks_own),
		cmocka_unit_test(small_inputs_go_inside_and_large_ones_to_the_far_store),
		cmocka_unit_test(without_a_far_store_all_goes_inside_or_is_refused),
		cmocka_unit_test(a_set_is_pushed_once_for_all_who_share_it),
		cmocka_unit_test(an_input_that_is_nowhere_is_named),
		cmocka_unit_test(an_emptied_far_store_is_filled_again),
		cmocka_unit_test(an_input_no_worker_ever_finds_ends_by_itself),
		cmocka_unit_test(a_far_store_that_fails_says_how),
	};
	return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
