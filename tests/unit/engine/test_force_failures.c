#include "force_fixture.h"

#include <string.h>

static void assert_remembered(struct fixture *x, const struct digest *thunk, int code,
                              bool for_ever)
{
	struct failure failure = { 0 };
	assert_int_equal(index_failure_get(x->index, thunk, &failure), 0);
	assert_int_equal(failure.code, code);
	if (for_ever)
		assert_int_equal(failure.until_ns, 0);
	else
		assert_true(failure.until_ns > wall_ns() &&
		            failure.until_ns <= wall_ns() + 5000000000);
	failure_release(&failure);
}

static void a_failure_is_remembered_until_it_is_retried(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	scoped_ref struct ref t = simple_thunk(x, "fail", "t");
	for (int i = 0; i < 3; i++) {
		scoped_free char *reason = force_failure(x, &t, -EREMOTEIO, &failed);
		assert_string_equal(reason, "exit status 1");
		assert_memory_equal(&failed, &t.digest, sizeof(failed));
		assert_int_equal(fake_runs(&x->fake, "t"), 1);
	}
	assert_remembered(x, &t.digest, EREMOTEIO, true);
	fixture_new_forcer(x);
	free(force_failure(x, &t, -EREMOTEIO, NULL));
	assert_int_equal(fake_runs(&x->fake, "t"), 1);
	assert_int_equal(index_failure_delete(x->index, &t.digest), 0);
	free(force_failure(x, &t, -EREMOTEIO, NULL));
	assert_int_equal(fake_runs(&x->fake, "t"), 2);
}

static void record_when_told(void *arg, const struct force_answer *answer)
{
	struct result *r = arg;
	struct failure failure = { 0 };
	/* The reason must be there already when the errno comes. */
	assert_int_equal(index_failure_get(r->fixture->index, &answer->failed, &failure), 0);
	assert_string_equal(failure.stderr_tail, "t: no");
	assert_int_equal(failure.exit_status, 1);
	assert_string_equal(failure.engine, "fake");
	failure_release(&failure);
	r->answered = true;
}

static void the_reason_is_written_before_the_errno_is_told(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	struct result r = { .fixture = x };
	scoped_ref struct ref t = simple_thunk(x, "fail", "t");
	struct force_request request = { .ref = t, .done = record_when_told, .arg = &r };
	assert_ok(force_start(x->forcer, &request, &r.force, &err));
	run_until_answered(x, &r);
}

static void each_outcome_has_its_errno(void **state)
{
	static const struct {
		enum outcome outcome;
		int code;
		bool remembered;
	} table[] = {
		{ OUTCOME_TIMED_OUT, ETIMEDOUT, true }, { OUTCOME_NO_ROOM, ENOSPC, true },
		{ OUTCOME_REFUSED, ENETDOWN, true },    { OUTCOME_CANCELLED, ECANCELED, false },
		{ OUTCOME_BAD_INPUT, EIO, false },
	};
	struct fixture *x = *state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct thunk t;
		struct failure failure;
		scoped_free char *name = xformat("t%zu", i);
		thunk_begin(&t, "outcome", name);
		strv_add_format(&t.args, "%d", table[i].outcome);
		scoped_ref struct ref ref = thunk_end(x, &t);
		scoped_free char *reason = force_failure(x, &ref, -table[i].code, NULL);
		assert_string_equal(reason, "as told");
		if (table[i].remembered)
			assert_remembered(x, &ref.digest, table[i].code, false);
		else
			assert_int_equal(index_failure_get(x->index, &ref.digest, &failure),
			                 -ENOENT);
		free(force_failure(x, &ref, -table[i].code, NULL));
		assert_int_equal(fake_runs(&x->fake, name), table[i].remembered ? 1 : 2);
	}
}

static void a_failure_whose_time_is_over_is_tried_again(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	char text[] = "";
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	struct failure old = {
		.thunk = t.digest,
		.code = ENOSPC,
		.when_ns = wall_ns() - 10000000000,
		.until_ns = wall_ns() - 5000000000,
		.reason = text,
		.stderr_tail = text,
		.engine = text,
	};
	assert_ok(index_failure_put(x->index, &old, &err));
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t()");
}

static void a_dependant_fails_with_the_root_named_and_no_record_of_its_own(void **state)
{
	struct fixture *x = *state;
	struct failure failure;
	struct digest failed;
	scoped_ref struct ref bad = simple_thunk(x, "fail", "bad");
	scoped_ref struct ref middle = thunk_of(x, "join", "m", &bad, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &middle, NULL);
	for (int i = 0; i < 2; i++) {
		scoped_free char *reason = force_failure(x, &top, -EREMOTEIO, &failed);
		assert_string_equal(reason, "exit status 1");
		assert_memory_equal(&failed, &bad.digest, sizeof(failed));
	}
	assert_int_equal(index_failure_get(x->index, &top.digest, &failure), -ENOENT);
	assert_int_equal(index_failure_get(x->index, &middle.digest, &failure), -ENOENT);
	assert_int_equal(fake_runs(&x->fake, "bad"), 1);
	assert_int_equal(fake_runs(&x->fake, "m") + fake_runs(&x->fake, "t"), 0);
}

static void a_failure_of_the_resolved_thunk_is_the_original_ones(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	scoped_ref struct ref input = simple_thunk(x, "join", "i");
	scoped_ref struct ref t = thunk_of(x, "fail", "t", &input, NULL);
	free(force_failure(x, &t, -EREMOTEIO, &failed));
	assert_memory_equal(&failed, &t.digest, sizeof(failed));
	assert_remembered(x, &t.digest, EREMOTEIO, true);
	/* One retry is enough: nothing else remembers it. */
	assert_int_equal(index_failure_delete(x->index, &t.digest), 0);
	free(force_failure(x, &t, -EREMOTEIO, NULL));
	assert_int_equal(fake_runs(&x->fake, "t"), 2);
}

static void without_keep_going_the_first_failure_drops_what_has_not_started(void **state)
{
	struct fixture *x = *state;
	struct force_counts counts;
	scoped_ref struct ref bad = simple_thunk(x, "fail", "bad");
	scoped_ref struct ref slow = simple_thunk(x, "join", "slow");
	scoped_ref struct ref later = thunk_of(x, "join", "later", &slow, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &bad, &later);
	x->fake.jobs = 1;
	free(force_failure(x, &top, -EREMOTEIO, NULL));
	run_until_idle(x);
	assert_int_equal(fake_runs(&x->fake, "later"), 0);
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.queued, 0);
}

static void with_keep_going_the_other_inputs_are_made_before_it_fails(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref bad = simple_thunk(x, "fail", "bad");
	scoped_ref struct ref slow = simple_thunk(x, "join", "slow");
	scoped_ref struct ref later = thunk_of(x, "join", "later", &slow, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &bad, &later);
	struct force_request request = { .ref = top, .keep_going = true };
	x->fake.jobs = 1;
	start_request(x, &request, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, -EREMOTEIO);
	assert_memory_equal(&r.failed, &bad.digest, sizeof(r.failed));
	assert_int_equal(fake_runs(&x->fake, "later"), 1);
	assert_int_equal(fake_runs(&x->fake, "t"), 0);
	result_release(&r);
}

static void engine_trouble_is_tried_again(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	thunk_begin(&t, "lost", "t");
	strv_add(&t.args, "2");
	scoped_ref struct ref ref = thunk_end(x, &t);
	scoped_free char *bytes = force_bytes(x, &ref);
	assert_string_equal(bytes, "t()");
	assert_int_equal(fake_runs(&x->fake, "t"), FORCE_RETRIES_MAX);
}

static void spent_retries_are_enetdown(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	thunk_begin(&t, "lost", "t");
	strv_add(&t.args, "100");
	scoped_ref struct ref ref = thunk_end(x, &t);
	scoped_free char *reason = force_failure(x, &ref, -ENETDOWN, NULL);
	assert_string_equal(reason, "the worker went away");
	assert_int_equal(fake_runs(&x->fake, "t"), FORCE_RETRIES_MAX);
	assert_remembered(x, &ref.digest, ENETDOWN, false);
}

static void a_submit_that_is_refused_counts_as_a_try(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	x->fake.refuse_submit = true;
	scoped_free char *reason = force_failure(x, &t, -ENETDOWN, NULL);
	assert_string_equal(reason, "not today");
	assert_int_equal(x->fake.submits, FORCE_RETRIES_MAX);
}

/* --- cancelling --- */

static void queued_work_nobody_wants_is_dropped(void **state)
{
	struct fixture *x = *state;
	struct result first, second;
	struct force_counts counts;
	scoped_ref struct ref blocker = simple_thunk(x, "join", "blocker");
	scoped_ref struct ref low = simple_thunk(x, "join", "low");
	scoped_ref struct ref top = thunk_of(x, "join", "top", &low, NULL);
	x->fake.hold = true;
	x->fake.jobs = 1;
	start(x, &blocker, PRIORITY_READER, &first);
	run_until_held(x, "blocker");
	start(x, &top, PRIORITY_READER, &second);
	force_cancel(second.force);
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.queued, 0);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &first);
	run_until_idle(x);
	assert_int_equal(x->fake.submits, 1);
	assert_false(second.answered);
	result_release(&first);
}

static void what_others_still_want_goes_on(void **state)
{
	struct fixture *x = *state;
	struct result one, two;
	scoped_ref struct ref low = simple_thunk(x, "join", "low");
	scoped_ref struct ref a = thunk_of(x, "join", "a", &low, NULL);
	scoped_ref struct ref b = thunk_of(x, "join", "b", &low, NULL);
	x->fake.hold = true;
	start(x, &a, PRIORITY_READER, &one);
	start(x, &b, PRIORITY_READER, &two);
	run_until_held(x, "low");
	force_cancel(one.force);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &two);
	assert_bytes(x, &two.ref, "b(low())");
	assert_int_equal(fake_runs(&x->fake, "a"), 0);
	result_release(&two);
}

static void started_work_is_finished_and_kept(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	x->fake.hold = true;
	start(x, &t, PRIORITY_READER, &r);
	run_until_held(x, "t");
	force_cancel(r.force);
	assert_int_equal(x->fake.cancels, 0);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_idle(x);
	assert_false(r.answered);
	start(x, &t, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_true(r.memoised);
	result_release(&r);
}

static void a_force_cancelled_at_once_leaves_nothing(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	start(x, &t, PRIORITY_READER, &r);
	force_cancel(r.force);
	scoped_ref struct ref blob = ref_of_bytes(x, "x");
	start(x, &blob, PRIORITY_READER, &r);
	force_cancel(r.force);
	run_until_idle(x);
	assert_int_equal(x->fake.submits, 0);
	assert_false(r.answered);
}

static void cancelling_a_thunk_kills_it_and_tells_all_who_wait(void **state)
{
	struct fixture *x = *state;
	struct result direct, above;
	struct failure failure;
	scoped_ref struct ref input = simple_thunk(x, "join", "i");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &input, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "top", &t, NULL);
	free(force_bytes(x, &input));
	x->fake.hold = true;
	start(x, &t, PRIORITY_READER, &direct);
	start(x, &top, PRIORITY_READER, &above);
	run_until_held(x, "t");
	assert_int_equal(forcer_cancel_thunk(x->forcer, &t.digest), 0);
	run_until_answered(x, &direct);
	run_until_answered(x, &above);
	assert_int_equal(x->fake.cancels, 1);
	assert_int_equal(direct.code, -ECANCELED);
	assert_int_equal(above.code, -ECANCELED);
	assert_memory_equal(&above.failed, &t.digest, sizeof(above.failed));
	result_release(&direct);
	result_release(&above);
	/* Not remembered. */
	assert_int_equal(index_failure_get(x->index, &t.digest, &failure), -ENOENT);
	assert_int_equal(forcer_cancel_thunk(x->forcer, &t.digest), -ENOENT);
	x->fake.hold = false;
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "top(t(i()))");
}

static void cancelling_all_leaves_nothing_queued_or_running(void **state)
{
	enum { COUNT = 20 };
	struct fixture *x = *state;
	struct result r[COUNT];
	struct force_counts counts;
	struct ref last = REF_INIT;
	x->fake.hold = true;
	x->fake.jobs = 2;
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("t%d", i);
		struct ref t = thunk_of(x, "join", name, i % 3 ? &last : NULL, NULL);
		start(x, &t, i % 2 ? PRIORITY_READER : PRIORITY_BATCH, &r[i]);
		ref_release(&last);
		last = t;
	}
	run_until_held(x, "t3");
	forcer_cancel_all(x->forcer);
	for (int i = 0; i < COUNT; i++) {
		run_until_answered(x, &r[i]);
		assert_int_equal(r[i].code, -ECANCELED);
		result_release(&r[i]);
	}
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.queued + counts.running, 0);
	x->fake.hold = false;
	scoped_free char *bytes = force_bytes(x, &last);
	assert_string_equal(bytes, "t19(t18())");
	ref_release(&last);
}

static void freeing_the_forcer_tells_everyone_first(void **state)
{
	struct fixture *x = *state;
	struct result r, queued;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	scoped_ref struct ref top = thunk_of(x, "join", "top", &t, NULL);
	x->fake.hold = true;
	start(x, &t, PRIORITY_READER, &r);
	start(x, &top, PRIORITY_READER, &queued);
	run_until_held(x, "t");
	fixture_new_forcer(x);
	assert_true(r.answered && queued.answered);
	assert_int_equal(r.code, -ECANCELED);
	assert_int_equal(queued.code, -ECANCELED);
	result_release(&r);
	result_release(&queued);
}

/* --- deadlines --- */

static void past_its_deadline_a_caller_is_told_and_the_work_goes_on(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref input = simple_thunk(x, "join", "i");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &input, NULL);
	struct force_request request = { .ref = t, .deadline_ms = 1 };
	x->fake.hold = true;
	start_request(x, &request, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, -ETIMEDOUT);
	result_release(&r);
	run_until_held(x, "i");
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_idle(x);
	start(x, &t, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_true(r.memoised);
	assert_bytes(x, &r.ref, "t(i())");
	result_release(&r);
}

static void a_deadline_that_is_kept_changes_nothing(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	struct force_request request = { .ref = t, .deadline_ms = 50000 };
	start_request(x, &request, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, 0);
	result_release(&r);
}

int main(void)
{
#define FORCE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		FORCE_TEST(a_failure_is_remembered_until_it_is_retried),
		FORCE_TEST(the_reason_is_written_before_the_errno_is_told),
		FORCE_TEST(each_outcome_has_its_errno),
		FORCE_TEST(a_failure_whose_time_is_over_is_tried_again),
		FORCE_TEST(a_dependant_fails_with_the_root_named_and_no_record_of_its_own),
		FORCE_TEST(a_failure_of_the_resolved_thunk_is_the_original_ones),
		FORCE_TEST(without_keep_going_the_first_failure_drops_what_has_not_started),
		FORCE_TEST(with_keep_going_the_other_inputs_are_made_before_it_fails),
		FORCE_TEST(engine_trouble_is_tried_again),
		FORCE_TEST(spent_retries_are_enetdown),
		FORCE_TEST(a_submit_that_is_refused_counts_as_a_try),
		FORCE_TEST(queued_work_nobody_wants_is_dropped),
		FORCE_TEST(what_others_still_want_goes_on),
		FORCE_TEST(started_work_is_finished_and_kept),
		FORCE_TEST(a_force_cancelled_at_once_leaves_nothing),
		FORCE_TEST(cancelling_a_thunk_kills_it_and_tells_all_who_wait),
		FORCE_TEST(cancelling_all_leaves_nothing_queued_or_running),
		FORCE_TEST(freeing_the_forcer_tells_everyone_first),
		FORCE_TEST(past_its_deadline_a_caller_is_told_and_the_work_goes_on),
		FORCE_TEST(a_deadline_that_is_kept_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
