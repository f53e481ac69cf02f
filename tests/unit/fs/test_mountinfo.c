#include "tests/lib/test.h"

#include <string.h>

#include "fs/mountinfo.h"

static bool parse(const char *line, struct mountinfo_entry *e)
{
	*e = (struct mountinfo_entry){ 0 };
	return mountinfo_parse(line, strlen(line), e);
}

static void a_mount_of_ours_gives_directory_store_and_device(void **state)
{
	struct mountinfo_entry e;
	(void)state;
	assert_true(
	        parse("42 27 0:39 / /home/u/tree rw,nosuid - fuse.ggfs ggfs:/home/u/store rw", &e));
	assert_string_equal(e.directory, "/home/u/tree");
	assert_string_equal(e.store, "/home/u/store");
	assert_string_equal(e.device, "0:39");
	mountinfo_entry_release(&e);
}

static void escapes_of_the_kernel_are_decoded(void **state)
{
	struct mountinfo_entry e;
	(void)state;
	assert_true(parse("42 27 0:39 / /a\\040b\\134c rw - fuse.ggfs ggfs:/s\\011t\\012 rw", &e));
	assert_string_equal(e.directory, "/a b\\c");
	assert_string_equal(e.store, "/s\tt\n");
	mountinfo_entry_release(&e);
}

static void optional_tags_before_the_dash_are_passed_over(void **state)
{
	struct mountinfo_entry e;
	(void)state;
	assert_true(parse("42 27 0:39 / /d rw shared:1 master:2 - fuse.ggfs ggfs:/s rw", &e));
	assert_string_equal(e.store, "/s");
	mountinfo_entry_release(&e);
}

static void other_mounts_are_not_ours(void **state)
{
	static const char *const lines[] = {
		"22 27 0:20 / /proc rw - proc proc rw",
		"42 27 0:39 / /d rw - fuse.sshfs ggfs:/s rw",
		"42 27 0:39 / /d rw - fuse.ggfs other rw",
		"42 27 0:39 / /d rw - fuse.ggfs ggfs: rw",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct mountinfo_entry e;
		assert_true(parse(lines[i], &e));
		assert_null(e.store);
		mountinfo_entry_release(&e);
	}
}

static void malformed_lines_are_refused_wherever_they_are_cut(void **state)
{
	static const char line[] = "42 27 0:39 / /d rw - fuse.ggfs ";
	struct mountinfo_entry e;
	(void)state;
	for (size_t len = 0; len < sizeof(line) - 1; len++)
		assert_false(mountinfo_parse(line, len, &e));
	assert_false(parse("no dash in any of all these many fields", &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_of_ours_gives_directory_store_and_device),
		cmocka_unit_test(escapes_of_the_kernel_are_decoded),
		cmocka_unit_test(optional_tags_before_the_dash_are_passed_over),
		cmocka_unit_test(other_mounts_are_not_ours),
		cmocka_unit_test(malformed_lines_are_refused_wherever_they_are_cut),
	};
	return cmocka_run_group_tests_name("fs mountinfo", tests, NULL, NULL);
}
