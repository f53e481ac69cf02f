/* What every engine promises of how a function runs and ends (engine/engine.h). */
#include <signal.h>
#include <string.h>

#include "tests/contract/engine/suite.h"

static void a_function_makes_its_output(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "write", "out", "made\n", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct digest d;
	assert_int_equal(thunk_finish(&t, NULL), 0);
	thunk_digest(&t, &d);
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "made\n");
	assert_true(digest_equal(&r.memo.thunk, &d));
	assert_string_equal(r.memo.engine, f->engine->ops->name);
	assert_int_equal(r.exit_status, 0);
	assert_string_equal(r.stderr_tail, "");
	assert_false(r.memo.has_stderr);
	assert_true(r.memo.micros > 0);
	engine_result_release(&r);
}

static void directory_and_environment_are_exactly_the_thunks(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "facts", "/out", NULL);
	t.cwd = xstrdup("home/u/src");
	strv_add(&t.env, "PATH=/bin");
	strv_add(&t.env, "LANG=C");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	if (refused_without_root(f, &t))
		return;
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "cwd=/home/u/src\nenv=LANG=C\nenv=PATH=/bin\nstdin=0\n");
	engine_result_release(&r);
}

static void an_empty_environment_is_empty(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "facts", "/out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	if (refused_without_root(f, &t))
		return;
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "cwd=/\nstdin=0\n");
	engine_result_release(&r);
}

static void an_exit_status_is_told(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "exit", "42", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_FAILED, 42, "exit status 42");
}

static void a_signal_is_told_by_name(void **state)
{
	struct fixture *f = *state;
	static const int signals[] = { SIGKILL, SIGSEGV, SIGTERM };
	static const char *const names[] = { "SIGKILL", "SIGSEGV", "SIGTERM" };
	for (size_t i = 0; i < 3; i++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_free char *number = xformat("%d", signals[i]);
		thunk_of_function(f, &t, "signal", number, NULL);
		thunk_add_output(&t, OUTPUT_FILE, "out");
		expect_outcome(f, &t, OUTCOME_FAILED, 128 + signals[i], names[i]);
	}
}

static void a_program_that_is_no_program_fails_and_says_so(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	t.program = xstrdup("usr/bin/none");
	strv_add(&t.args, "none");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_FAILED, 127, "cannot execute usr/bin/none");
}

static void what_a_function_says_is_kept(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "stderr", "warning: x\n", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	assert_string_equal(r.stderr_tail, "warning: x\n");
	assert_true(r.memo.has_stderr);
	assert_int_equal(r.memo.stderr_size_bytes, 11);
	scoped_buf struct buf b = BUF_INIT;
	assert_int_equal(store_get_bytes(f->store, &r.memo.stderr_digest, 100, &b, NULL), 0);
	assert_string_equal(b.data, "warning: x\n");
	engine_result_release(&r);
}

static void of_much_that_is_said_the_end_is_kept(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_shell(
	        f, &t,
	        "i=0; l=0123456789012345678901234567890123456789012345678901234567890123;"
	        "while [ $i -lt 40000 ]; do echo $l >&2; i=$((i+1)); done; echo end >&2; exit 3");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	struct engine_result r = run(f, &t);
	assert_int_equal(r.exit_status, 3);
	size_t len = strlen(r.stderr_tail);
	size_t most = f->backend->stderr_kept ? f->backend->stderr_kept : 65536;
	assert_true(len > most - most / 10 && len <= most);
	assert_string_equal(r.stderr_tail + len - 5, "\nend\n");
	assert_true(r.memo.stderr_size_bytes <= 1 << 20);
	engine_result_release(&r);
}

static void a_function_past_its_timeout_is_killed_with_its_children(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "hang", NULL);
	t.timeout_s = 1;
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = { 0 };
	assert_int_equal(thunk_finish(&t, NULL), 0);
	r = run(f, &t);
	assert_int_equal(r.outcome, OUTCOME_TIMED_OUT);
	assert_non_null(strstr(r.reason, "timeout"));
	engine_result_release(&r);
	a_function_makes_its_output(state);
}

static void what_a_function_leaves_running_is_ended(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "leave", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "left\n");
	engine_result_release(&r);
}

static void a_cancelled_function_ends_and_is_answered_once(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct pending p;
	thunk_of_function(f, &t, "hang", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	pending_start(f, &p, &t);
	f->engine->ops->cancel(f->engine, p.ticket);
	pending_wait(&p);
	assert_int_equal(p.result.outcome, OUTCOME_CANCELLED);
	/* A ticket that is gone can be cancelled without harm. */
	f->engine->ops->cancel(f->engine, p.ticket);
	pending_release(&p);
	a_function_makes_its_output(state);
}

static void freeing_an_engine_cancels_what_it_runs(void **state)
{
	struct fixture *f = *state;
	enum { COUNT = 5 }; /* more than run at once */
	scoped_thunk struct thunk t = THUNK_INIT;
	struct pending p[COUNT];
	thunk_of_function(f, &t, "hang", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	for (size_t i = 0; i < COUNT; i++)
		pending_start(f, &p[i], &t);
	f->engine->ops->free(f->engine);
	f->engine = NULL;
	for (size_t i = 0; i < COUNT; i++) {
		assert_true(p[i].done);
		assert_int_equal(p[i].result.outcome, OUTCOME_CANCELLED);
		pending_release(&p[i]);
	}
}

static void capacity_can_grow_and_shrink(void **state)
{
	struct fixture *f = *state;
	const struct engine_ops *ops = f->engine->ops;
	assert_int_equal(ops->capacity(f->engine), 2);
	static const unsigned steps[] = { 5, 1, 3 };
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ops->set_capacity(f->engine, steps[i], NULL), 0);
		assert_int_equal(ops->capacity(f->engine), steps[i]);
		a_function_makes_its_output(state);
	}
	assert_true(f->backend->costs == (ops->price(f->engine, NULL) > 0));
}

static void many_at_once_are_all_answered(void **state)
{
	struct fixture *f = *state;
	enum { COUNT = 200 };
	static struct thunk thunks[COUNT];
	static struct pending p[COUNT];
	assert_int_equal(f->engine->ops->set_capacity(f->engine, 4, NULL), 0);
	for (size_t i = 0; i < COUNT; i++) {
		scoped_free char *text = xformat("%zu\n", i);
		thunks[i] = THUNK_INIT;
		thunk_of_function(f, &thunks[i], "write", "out", text, NULL);
		thunk_add_output(&thunks[i], OUTPUT_FILE, "out");
		assert_int_equal(thunk_finish(&thunks[i], NULL), 0);
		pending_start(f, &p[i], &thunks[i]);
	}
	for (size_t i = 0; i < COUNT; i++) {
		scoped_free char *text = xformat("%zu\n", i);
		pending_wait(&p[i]);
		assert_int_equal(p[i].result.outcome, OUTCOME_DONE);
		expect_text(f, &p[i].result, "out", text);
		pending_release(&p[i]);
		thunk_release(&thunks[i]);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
		CONTRACT_TEST(a_function_makes_its_output),
		CONTRACT_TEST(directory_and_environment_are_exactly_the_thunks),
		CONTRACT_TEST(an_empty_environment_is_empty),
		CONTRACT_TEST(an_exit_status_is_told),
		CONTRACT_TEST(a_signal_is_told_by_name),
		CONTRACT_TEST(a_program_that_is_no_program_fails_and_says_so),
		CONTRACT_TEST(what_a_function_says_is_kept),
		CONTRACT_TEST(of_much_that_is_said_the_end_is_kept),
		CONTRACT_TEST(a_function_past_its_timeout_is_killed_with_its_children),
		CONTRACT_TEST(what_a_function_leaves_running_is_ended),
		CONTRACT_TEST(a_cancelled_function_ends_and_is_answered_once),
		CONTRACT_TEST(freeing_an_engine_cancels_what_it_runs),
		CONTRACT_TEST(capacity_can_grow_and_shrink),
		CONTRACT_TEST(many_at_once_are_all_answered),
	};
	return suite_run(tests, sizeof(tests) / sizeof(*tests));
}
