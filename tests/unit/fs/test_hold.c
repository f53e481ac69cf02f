#include "tests/lib/test.h"

#include "fs/hold.h"

enum { LIMIT = 3 };

static bool answer;
static unsigned asked;

static bool allowed(void *arg, const char *name)
{
	(void)arg, (void)name;
	asked++;
	return answer;
}

static bool ask(struct hold *h, const char *name, int64_t now_ms)
{
	return hold_ask(h, name, LIMIT, now_ms, allowed, NULL);
}

static int begin(void **state)
{
	static struct hold hold;
	hold_init(&hold);
	*state = &hold;
	answer = false;
	asked = 0;
	return 0;
}

static void a_program_is_held_at_the_limit_and_stays_so(void **state)
{
	for (int i = 0; i < LIMIT; i++)
		assert_true(ask(*state, "grep", i));
	assert_int_equal(asked, 0);
	assert_false(ask(*state, "grep", 10));
	assert_false(ask(*state, "grep", 10 + 100 * HOLD_PAUSE_MS));
	assert_true(ask(*state, "cat", 10));
}

static void one_whose_first_go_ended_by_itself_is_not_held_later(void **state)
{
	assert_true(ask(*state, "cc", 0));
	assert_true(ask(*state, "cc", 1));
	for (int i = 0; i < 10 * LIMIT; i++)
		assert_true(ask(*state, "cc", 2 + HOLD_PAUSE_MS + i));
}

static void a_go_lasts_as_long_as_its_answers_take(void **state)
{
	int64_t now_ms = 0;
	for (int i = 0; i < LIMIT; i++) {
		assert_true(ask(*state, "grep", now_ms));
		now_ms += 2 * HOLD_PAUSE_MS;
		hold_answered(*state, "grep", now_ms, false);
	}
	assert_false(ask(*state, "grep", now_ms));
}

static void what_was_known_already_does_not_count(void **state)
{
	for (int i = 0; i < 10 * LIMIT; i++) {
		assert_true(ask(*state, "tar", i));
		hold_answered(*state, "tar", i, true);
	}
	hold_answered(*state, "tar", 0, true);
	hold_answered(*state, "never asked", 0, true);
}

static void one_that_is_allowed_goes_on_and_nobody_is_asked_again(void **state)
{
	for (int i = 0; i < LIMIT; i++)
		assert_true(ask(*state, "ld", i));
	assert_false(ask(*state, "ld", 10));
	answer = true;
	assert_true(ask(*state, "ld", 11));
	answer = false;
	assert_true(ask(*state, "ld", 12));
	assert_int_equal(asked, 2);
}

static void of_too_many_programs_the_one_longest_ago_is_forgotten(void **state)
{
	char name[HOLD_NAME_SIZE];
	for (int i = 0; i < LIMIT; i++)
		assert_true(ask(*state, "old", 0));
	for (int i = 0; i < LIMIT; i++)
		assert_true(ask(*state, "new", 1000));
	for (int i = 0; i < HOLD_PROGRAMS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_true(ask(*state, name, 500 + i));
	}
	assert_false(ask(*state, "new", 1001));
	assert_true(ask(*state, "old", 1002));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_program_is_held_at_the_limit_and_stays_so, begin),
		cmocka_unit_test_setup(one_whose_first_go_ended_by_itself_is_not_held_later, begin),
		cmocka_unit_test_setup(a_go_lasts_as_long_as_its_answers_take, begin),
		cmocka_unit_test_setup(what_was_known_already_does_not_count, begin),
		cmocka_unit_test_setup(one_that_is_allowed_goes_on_and_nobody_is_asked_again,
		                       begin),
		cmocka_unit_test_setup(of_too_many_programs_the_one_longest_ago_is_forgotten,
		                       begin),
	};
	return cmocka_run_group_tests_name("fs hold", tests, NULL, NULL);
}
