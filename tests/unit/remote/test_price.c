#include <string.h>

#include "engine/price.h"
#include "tests/lib/test.h"

static void the_built_in_table_is_dated_and_dearer_on_x86(void **state)
{
	(void)state;
	struct prices p;
	prices_default(&p);
	assert_string_equal(p.date, "2026-11-24");
	assert_true(p.gb_second_x86 > p.gb_second_arm);
	assert_int_equal(p.http_second, 0);
}

static void an_invocation_costs_its_gigabyte_seconds_and_its_request(void **state)
{
	(void)state;
	struct prices p;
	prices_default(&p);
	assert_int_equal(price_lambda(&p, 1000, 1024, false), 16667 + 200);
	assert_int_equal(price_lambda(&p, 1000, 1024, true), 13333 + 200);
	assert_int_equal(price_lambda(&p, 0, 1024, false), 200);
	/* 1 ms of 128 MiB: 2.08 nanodollars, rounded up. */
	assert_int_equal(price_lambda(&p, 1, 128, false), 3 + 200);
	/* The paper's line to beat: 2,418 invocations of some seconds come to a fraction of a
	 * dollar. */
	uint64_t build = 2418 * price_lambda(&p, 5000, 2048, false);
	assert_true(build > 400000000 && build < 500000000);
}

static void sums_of_absurd_numbers_do_not_wrap(void **state)
{
	(void)state;
	struct prices p;
	prices_default(&p);
	assert_true(price_lambda(&p, UINT64_MAX, UINT32_MAX, false) == UINT64_MAX);
	assert_true(price_far(&p, UINT64_MAX / 1000, 0) > price_far(&p, 1000, 0));
}

static void far_requests_cost_by_kind(void **state)
{
	(void)state;
	struct prices p;
	prices_default(&p);
	assert_int_equal(price_far(&p, 1, 0), 5000);
	assert_int_equal(price_far(&p, 0, 1), 400);
	assert_int_equal(price_far(&p, 3, 10), 19000);
	assert_int_equal(price_far(&p, 0, 0), 0);
}

/* --- a file of prices ------------------------------------------------------------------------- */

static int load(const char *text, struct prices *p, struct error *err)
{
	char *directory = test_directory();
	scoped_free char *path = xformat("%s/prices", directory);
	assert_int_equal(replace_file_at(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
	int r = prices_load(p, path, err);
	test_directory_remove(directory);
	return r;
}

static void a_file_overrides_what_it_names_and_leaves_the_rest(void **state)
{
	(void)state;
	struct error err;
	struct prices p, before;
	prices_default(&p);
	before = p;
	assert_ok(load("# Frankfurt\ndate 2027-01-02\n\ngb_second_x86 20000\nhttp_second 7", &p,
	               &err));
	assert_string_equal(p.date, "2027-01-02");
	assert_int_equal(p.gb_second_x86, 20000);
	assert_int_equal(p.http_second, 7);
	assert_int_equal(p.gb_second_arm, before.gb_second_arm);
	assert_int_equal(p.thousand_gets, before.thousand_gets);
}

static void a_line_that_is_not_understood_is_named_and_nothing_changes(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"thousand_puts 1\ngb_second 5\n",      "thousand_puts 1\ngb_second_x86 -5\n",
		"thousand_puts 1\ngb_second_x86  5\n", "thousand_puts 1\ngb_second_x86 5 6\n",
		"thousand_puts 1\ndate 27-01-02\n",    "thousand_puts 1\ndate 2027/01/02\n",
		"thousand_puts 1\nnonsense\n",         "thousand_puts 1\ngb_second_x86 0.5\n",
	};
	struct error err;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct prices p, before;
		prices_default(&p);
		before = p;
		assert_error(load(bad[i], &p, &err), -EINVAL);
		assert_non_null(strstr(err.text, "line 2"));
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

static void a_file_that_is_not_there_is_enoent(void **state)
{
	(void)state;
	struct error err;
	struct prices p;
	prices_default(&p);
	assert_error(prices_load(&p, "/no/such/prices", &err), -ENOENT);
}

/* --- the ledger ------------------------------------------------------------------------------- */

static void a_ledger_moves_what_was_reserved_to_what_was_spent(void **state)
{
	(void)state;
	struct ledger *l = ledger_new();
	struct ledger_totals t;
	ledger_reserve(l, 1000);
	ledger_reserve(l, 500);
	ledger_totals(l, &t);
	assert_int_equal(t.in_flight, 1500);
	assert_int_equal(t.spent, 0);
	const struct ledger_totals first = {
		.spent = 800, .invocations = 1, .billed_ms = 40, .cold_starts = 1, .far_gets = 3
	};
	const struct ledger_totals second = { .spent = 5,
		                              .invocations = 1,
		                              .failed = 1,
		                              .duplicated = 1,
		                              .throttled = 2,
		                              .retried = 3,
		                              .far_puts = 4,
		                              .far_sent_bytes = 5,
		                              .far_received_bytes = 6 };
	ledger_settle(l, 1000, &first);
	ledger_settle(l, 500, &second);
	ledger_totals(l, &t);
	const struct ledger_totals want = { .spent = 805,
		                            .invocations = 2,
		                            .failed = 1,
		                            .duplicated = 1,
		                            .throttled = 2,
		                            .retried = 3,
		                            .billed_ms = 40,
		                            .cold_starts = 1,
		                            .far_puts = 4,
		                            .far_gets = 3,
		                            .far_sent_bytes = 5,
		                            .far_received_bytes = 6 };
	assert_memory_equal(&t, &want, sizeof(t));
	ledger_free(l);
	ledger_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_built_in_table_is_dated_and_dearer_on_x86),
		cmocka_unit_test(an_invocation_costs_its_gigabyte_seconds_and_its_request),
		cmocka_unit_test(sums_of_absurd_numbers_do_not_wrap),
		cmocka_unit_test(far_requests_cost_by_kind),
		cmocka_unit_test(a_file_overrides_what_it_names_and_leaves_the_rest),
		cmocka_unit_test(a_line_that_is_not_understood_is_named_and_nothing_changes),
		cmocka_unit_test(a_file_that_is_not_there_is_enoent),
		cmocka_unit_test(a_ledger_moves_what_was_reserved_to_what_was_spent),
	};
	return cmocka_run_group_tests_name("price", tests, NULL, NULL);
}
