#include "tests/lib/test.h"

#include "objstore/far.h"
#include "objstore/s3_retry.h"

static void budget_is_spent_by_retries_and_earned_by_success(void **state)
{
	(void)state;
	struct s3_budget budget;
	s3_budget_fill(&budget);
	for (int i = 0; i < S3_BUDGET_TOKENS; i++)
		assert_true(s3_budget_take(&budget));
	assert_false(s3_budget_take(&budget));
	s3_budget_refund(&budget);
	assert_false(s3_budget_take(&budget));
	s3_budget_refund(&budget);
	assert_true(s3_budget_take(&budget));
	assert_false(s3_budget_take(&budget));
}

static void budget_never_grows_past_its_size(void **state)
{
	(void)state;
	struct s3_budget budget;
	unsigned taken = 0;
	s3_budget_fill(&budget);
	for (int i = 0; i < 1000; i++)
		s3_budget_refund(&budget);
	while (s3_budget_take(&budget))
		taken++;
	assert_int_equal(taken, S3_BUDGET_TOKENS);
}

static void waiting_is_anything_up_to_a_bound_that_doubles_and_ends(void **state)
{
	(void)state;
	const struct s3_limits limits = S3_LIMITS;
	for (unsigned attempt = 0; attempt < 100; attempt++) {
		int64_t bound = limits.backoff_ms;
		for (unsigned i = 0; i < attempt && bound < limits.backoff_max_ms; i++)
			bound *= 2;
		if (bound > limits.backoff_max_ms)
			bound = limits.backoff_max_ms;
		assert_int_equal(s3_backoff_ms(&limits, attempt, 0), 0);
		assert_int_equal(s3_backoff_ms(&limits, attempt, (uint32_t)bound), bound);
		for (uint32_t random = 0; random < 4000000000u; random += 123456789u)
			assert_in_range(s3_backoff_ms(&limits, attempt, random), 0, bound);
	}
}

static void probes_are_never_at_once_and_at_most_their_bound_apart(void **state)
{
	(void)state;
	const struct s3_limits limits = S3_LIMITS;
	for (unsigned probes = 0; probes < 100; probes++)
		for (uint32_t random = 0; random < 4000000000u; random += 123456789u)
			assert_in_range(s3_probe_ms(&limits, probes, random), limits.probe_ms / 2,
			                limits.probe_max_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budget_is_spent_by_retries_and_earned_by_success),
		cmocka_unit_test(budget_never_grows_past_its_size),
		cmocka_unit_test(waiting_is_anything_up_to_a_bound_that_doubles_and_ends),
		cmocka_unit_test(probes_are_never_at_once_and_at_most_their_bound_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
