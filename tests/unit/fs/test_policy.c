#include "tests/lib/test.h"

#include "fs/policy.h"

#define POLICY(block, fallback) policy_in_environment(block, sizeof(block), fallback)

static void each_value_is_understood(void **state)
{
	(void)state;
	assert_int_equal(POLICY("A=1\0GGFS_FORCE=on", MOUNT_FORCE_OFF), MOUNT_FORCE_ON);
	assert_int_equal(POLICY("GGFS_FORCE=local\0B=2", MOUNT_FORCE_OFF), MOUNT_FORCE_LOCAL);
	assert_int_equal(POLICY("GGFS_FORCE=off", MOUNT_FORCE_ON), MOUNT_FORCE_OFF);
}

static void what_is_absent_or_unknown_is_the_mounts(void **state)
{
	(void)state;
	assert_int_equal(POLICY("", MOUNT_FORCE_OFF), MOUNT_FORCE_OFF);
	assert_int_equal(POLICY("GGFS_FORCE=", MOUNT_FORCE_LOCAL), MOUNT_FORCE_LOCAL);
	assert_int_equal(POLICY("GGFS_FORCE=offal", MOUNT_FORCE_ON), MOUNT_FORCE_ON);
	assert_int_equal(POLICY("XGGFS_FORCE=off\0GGFS_FORCEX=off", MOUNT_FORCE_ON),
	                 MOUNT_FORCE_ON);
	assert_int_equal(policy_in_environment(NULL, 0, MOUNT_FORCE_OFF), MOUNT_FORCE_OFF);
}

static void a_block_cut_off_anywhere_is_read_within_its_bounds(void **state)
{
	static const char block[] = "A=1\0GGFS_FORCE=off";
	(void)state;
	for (size_t len = 0; len < sizeof(block) - 1; len++) {
		char *copy = malloc(len ? len : 1); /* its exact size, for the sanitizer */
		memcpy(copy, block, len);
		assert_int_equal(policy_in_environment(copy, len, MOUNT_FORCE_ON), MOUNT_FORCE_ON);
		free(copy);
	}
}

static void programs_that_only_look_are_known_by_their_line(void **state)
{
	static const char list[] = "# comment\nclamd # a scanner\n\ntracker-*\na-name-longer-than-15\n";
	(void)state;
	assert_true(policy_only_looks(list, sizeof(list) - 1, "clamd"));
	assert_true(policy_only_looks(list, sizeof(list) - 1, "tracker-miner"));
	assert_true(policy_only_looks(list, sizeof(list) - 1, "a-name-longer-t"));
	assert_false(policy_only_looks(list, sizeof(list) - 1, "clam"));
	assert_false(policy_only_looks(list, sizeof(list) - 1, "comment"));
	assert_false(policy_only_looks(list, sizeof(list) - 1, ""));
	assert_false(policy_only_looks("", 0, "clamd"));
}

static void the_asker_is_named_also_when_it_is_gone(void **state)
{
	char asker[POLICY_ASKER_SIZE];
	(void)state;
	policy_asker(getpid(), asker);
	assert_non_null(strchr(asker, '['));
	assert_true(asker[0] != '?');
	policy_asker(0x7fffffff, asker);
	assert_string_equal(asker, "?[2147483647]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_is_understood),
		cmocka_unit_test(what_is_absent_or_unknown_is_the_mounts),
		cmocka_unit_test(a_block_cut_off_anywhere_is_read_within_its_bounds),
		cmocka_unit_test(programs_that_only_look_are_known_by_their_line),
		cmocka_unit_test(the_asker_is_named_also_when_it_is_gone),
	};
	return cmocka_run_group_tests_name("fs policy", tests, NULL, NULL);
}
