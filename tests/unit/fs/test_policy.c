#include "tests/lib/test.h"

#include "fs/policy.h"

/* What a block of an environment says, else fallback. */
static enum mount_force policy(const char *block, size_t len, enum mount_force fallback)
{
	enum mount_force force = fallback;
	bool found = policy_in_environment(block, len, &force);
	assert_true(found || force == fallback);
	return force;
}
#define POLICY(block, fallback) policy(block, sizeof(block), fallback)

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
	assert_int_equal(policy(NULL, 0, MOUNT_FORCE_OFF), MOUNT_FORCE_OFF);
}

static void a_block_cut_off_anywhere_is_read_within_its_bounds(void **state)
{
	static const char block[] = "A=1\0GGFS_FORCE=off";
	(void)state;
	for (size_t len = 0; len < sizeof(block) - 1; len++) {
		char *copy = malloc(len ? len : 1); /* its exact size, for the sanitizer */
		memcpy(copy, block, len);
		assert_int_equal(policy(copy, len, MOUNT_FORCE_ON), MOUNT_FORCE_ON);
		free(copy);
	}
}

static void programs_that_only_look_are_known_by_their_line(void **state)
{
	static const char list[] =
	        "# comment\nclamd # a scanner\n\ntracker-*\na-name-longer-than-15\n";
	(void)state;
	assert_true(policy_lists_program(list, sizeof(list) - 1, "clamd"));
	assert_true(policy_lists_program(list, sizeof(list) - 1, "tracker-miner"));
	assert_true(policy_lists_program(list, sizeof(list) - 1, "a-name-longer-t"));
	assert_false(policy_lists_program(list, sizeof(list) - 1, "clam"));
	assert_false(policy_lists_program(list, sizeof(list) - 1, "comment"));
	assert_false(policy_lists_program(list, sizeof(list) - 1, ""));
	assert_false(policy_lists_program("", 0, "clamd"));
}

static enum mount_force of_cgroup(const char *list, const char *cgroup)
{
	enum mount_force force = (enum mount_force) - 1;
	policy_of_cgroup(list, strlen(list), cgroup, &force);
	return force;
}

static void the_nearest_cgroup_with_a_line_decides(void **state)
{
	static const char list[] =
	        "# off /\noff /user\nlocal /user/1000/ # mine\non /user/1000/build\n"
	        "off /with space\nnonsense /user/1000/build/x\noff relative\n"
	        "on\n";
	const enum mount_force none = (enum mount_force) - 1;
	(void)state;
	assert_int_equal(of_cgroup(list, "/user"), MOUNT_FORCE_OFF);
	assert_int_equal(of_cgroup(list, "/user/7/a"), MOUNT_FORCE_OFF);
	assert_int_equal(of_cgroup(list, "/user/1000"), MOUNT_FORCE_LOCAL);
	assert_int_equal(of_cgroup(list, "/user/1000/build/x"), MOUNT_FORCE_ON);
	assert_int_equal(of_cgroup(list, "/user/10000"), MOUNT_FORCE_OFF);
	assert_int_equal(of_cgroup(list, "/with space/x"), MOUNT_FORCE_OFF);
	assert_int_equal(of_cgroup(list, "/userland"), none);
	assert_int_equal(of_cgroup(list, "/"), none);
	assert_int_equal(of_cgroup("off /", "/anything"), MOUNT_FORCE_OFF);
	assert_int_equal(of_cgroup("off /a\non /a\n", "/a"), MOUNT_FORCE_ON);
	assert_int_equal(of_cgroup("", "/a"), none);
}

static void the_cgroup_is_that_of_version_2_else_systemds(void **state)
{
	static const char both[] = "10:memory:/m\n9:name=systemd:/one\n0::/two/x y\n";
	static const char old[] = "10:memory:/m0::\n9:name=systemd:/one\n";
	scoped_free char *of_both = policy_cgroup_path(both, sizeof(both) - 1);
	scoped_free char *of_old = policy_cgroup_path(old, sizeof(old) - 1);
	(void)state;
	assert_string_equal(of_both, "/two/x y");
	assert_string_equal(of_old, "/one");
	assert_null(policy_cgroup_path("8:pids:/p\n", 10));
	assert_null(policy_cgroup_path(NULL, 0));
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
		cmocka_unit_test(the_nearest_cgroup_with_a_line_decides),
		cmocka_unit_test(the_cgroup_is_that_of_version_2_else_systemds),
		cmocka_unit_test(the_asker_is_named_also_when_it_is_gone),
	};
	return cmocka_run_group_tests_name("fs policy", tests, NULL, NULL);
}
