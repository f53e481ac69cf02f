/* Thunks one behind the other, and an engine that runs them in one go. */
#include "force_fixture.h"

#include <string.h>

enum { DEEP = 100 };

/* NAME0 to NAME<count - 1>, each an input of the next; the last. */
static struct ref row_of(struct fixture *x, const char *name, unsigned count)
{
	struct ref last = REF_INIT;
	for (unsigned i = 0; i < count; i++) {
		scoped_free char *full = xformat("%s%u", name, i);
		struct ref next = thunk_of(x, "join", full, i ? &last : NULL, NULL);
		ref_release(&last);
		last = next;
	}
	return last;
}

static void a_row_is_submitted_once_and_counts_as_what_it_is(void **state)
{
	struct fixture *x = *state;
	struct force_counts counts;
	scoped_ref struct ref top = row_of(x, "t", 3);
	x->fake.runs_next = true;
	x->fake.cost = 5;
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "t2(t1(t0()))");
	assert_int_equal(x->fake.submits, 1);
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.done, 3);
	assert_int_equal(counts.memoised, 0);
	assert_int_equal(counts.cost_nanodollars, 15);
	fixture_new_forcer(x);
	scoped_free char *again = force_bytes(x, &top);
	assert_string_equal(again, "t2(t1(t0()))");
	assert_int_equal(x->fake.submits, 1);
}

static void an_engine_that_runs_only_what_it_was_asked_for_will_do(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref top = row_of(x, "t", 4);
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "t3(t2(t1(t0())))");
	assert_int_equal(x->fake.submits, 4);
}

static void an_engine_that_has_no_use_for_it_is_told_of_one_alone(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref top = row_of(x, "t", 4);
	x->fake.ops.takes_next = false;
	x->fake.runs_next = true;
	free(force_bytes(x, &top));
	assert_int_equal(x->fake.submits, 4);
}

static void a_long_row_goes_in_pieces_so_that_nobody_waits_for_all_of_it(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref top = row_of(x, "t", DEEP);
	x->fake.runs_next = true;
	free(force_bytes(x, &top));
	/* Of what never ran, eight with the first. */
	assert_int_equal(x->fake.submits, (DEEP + 8) / 9);
}

static void what_two_wait_for_is_the_end_of_a_row(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref shared = simple_thunk(x, "join", "s");
	scoped_ref struct ref left = thunk_of(x, "join", "l", &shared, NULL);
	scoped_ref struct ref right = thunk_of(x, "join", "r", &shared, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &left, &right);
	scoped_ref struct ref above = thunk_of(x, "join", "a", &top, NULL);
	x->fake.runs_next = true;
	scoped_free char *bytes = force_bytes(x, &above);
	assert_string_equal(bytes, "a(t(l(s()),r(s())))");
	/* a with t; the others each by itself. */
	assert_int_equal(x->fake.submits, 4);
}

static void what_a_reader_waits_for_is_the_end_of_a_row(void **state)
{
	struct fixture *x = *state;
	struct result below, above;
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref b = thunk_of(x, "join", "b", &a, NULL);
	x->fake.runs_next = true;
	start(x, &a, PRIORITY_READER, &below);
	start(x, &b, PRIORITY_READER, &above);
	run_until_answered(x, &below);
	run_until_answered(x, &above);
	assert_bytes(x, &above.ref, "b(a())");
	assert_int_equal(x->fake.submits, 2);
	result_release(&below);
	result_release(&above);
}

static void other_inputs_are_filled_in_before_it_goes(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	scoped_ref struct ref early = simple_thunk(x, "join", "e");
	free(force_bytes(x, &early));
	scoped_ref struct ref plain = ref_of_bytes(x, "plain");
	scoped_ref struct ref first = simple_thunk(x, "join", "f");
	thunk_begin(&t, "join", "t");
	thunk_needs(&t, "1", &early);
	thunk_needs(&t, "2", &first);
	thunk_needs(&t, "3", &plain);
	scoped_ref struct ref top = thunk_end(x, &t);
	x->fake.runs_next = true;
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "t(e(),f(),plain)");
	assert_int_equal(x->fake.submits, 2);
}

static void a_failure_in_a_row_is_asked_for_again_and_is_its_own(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref b = thunk_of(x, "fail", "b", &a, NULL);
	scoped_ref struct ref c = thunk_of(x, "join", "c", &b, NULL);
	x->fake.runs_next = true;
	scoped_free char *reason = force_failure(x, &c, -EREMOTEIO, &failed);
	assert_string_equal(reason, "exit status 1");
	assert_true(digest_equal(&failed, &b.digest));
	assert_int_equal(x->fake.submits, 2);
	assert_int_equal(fake_runs(&x->fake, "b"), 1);
}

static void answers_that_may_be_thunks_end_a_row(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	scoped_ref struct ref target = simple_thunk(x, "join", "target");
	thunk_begin(&t, "yield", "y");
	strv_add(&t.args, digest_hex(&target.digest).text);
	strv_add(&t.args, target.output);
	t.yields = true;
	scoped_ref struct ref y = thunk_end(x, &t);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &y, NULL);
	x->fake.runs_next = true;
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "t(target())");
	/* Once the answer is followed, the target and what waits for it are a row. */
	assert_int_equal(x->fake.submits, 2);
}

static void what_came_for_nobody_is_kept(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref b = thunk_of(x, "join", "b", &a, NULL);
	x->fake.runs_next = true;
	x->fake.hold = true;
	start(x, &b, PRIORITY_READER, &r);
	run_until_held(x, "a");
	/* Somebody wants a alone by now, and b nobody. */
	struct result other;
	start(x, &a, PRIORITY_READER, &other);
	force_cancel(r.force);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &other);
	run_until_idle(x);
	result_release(&other);
	fixture_new_forcer(x);
	scoped_free char *bytes = force_bytes(x, &b);
	assert_string_equal(bytes, "b(a())");
	assert_int_equal(x->fake.submits, 1);
}

static void a_row_is_left_behind_where_the_budget_ends(void **state)
{
	struct fixture *x = *state;
	struct result r;
	struct purse *purse = purse_new(15 * 1000000000ull);
	scoped_ref struct ref top = row_of(x, "t", 2);
	struct force_request request = { .purse = purse, .ref = top };
	x->fake.runs_next = true;
	x->fake.price = 1000000000; /* ten seconds are taken for what was never seen */
	x->fake.cost = 1000000000;
	start_request(x, &request, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, 0);
	assert_int_equal(x->fake.submits, 2);
	assert_int_equal(purse->spent, 2000000000);
	assert_int_equal(purse->reserved, 0);
	result_release(&r);
	purse_unshare(purse);
}

static void a_row_within_the_budget_is_paid_for_link_by_link(void **state)
{
	struct fixture *x = *state;
	struct result r;
	struct purse *purse = purse_new(100 * 1000000000ull);
	scoped_ref struct ref top = row_of(x, "t", 3);
	struct force_request request = { .purse = purse, .ref = top };
	x->fake.runs_next = true;
	x->fake.price = 1000000000;
	x->fake.cost = 7;
	start_request(x, &request, &r);
	run_until_answered(x, &r);
	assert_int_equal(x->fake.submits, 1);
	assert_int_equal(purse->spent, 21);
	assert_int_equal(purse->reserved, 0);
	result_release(&r);
	purse_unshare(purse);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_is_submitted_once_and_counts_as_what_it_is),
		TEST(an_engine_that_runs_only_what_it_was_asked_for_will_do),
		TEST(an_engine_that_has_no_use_for_it_is_told_of_one_alone),
		TEST(a_long_row_goes_in_pieces_so_that_nobody_waits_for_all_of_it),
		TEST(what_two_wait_for_is_the_end_of_a_row),
		TEST(what_a_reader_waits_for_is_the_end_of_a_row),
		TEST(other_inputs_are_filled_in_before_it_goes),
		TEST(a_failure_in_a_row_is_asked_for_again_and_is_its_own),
		TEST(answers_that_may_be_thunks_end_a_row),
		TEST(what_came_for_nobody_is_kept),
		TEST(a_row_is_left_behind_where_the_budget_ends),
		TEST(a_row_within_the_budget_is_paid_for_link_by_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
