/* Which placeholders are directories, what stands for their entries, and how they are laid out. */
#include "engine/lay_out.h"
#include "engine/placeholder.h"
#include "fs/expand.h"
#include "fs/tree.h"
#include "tests/lib/test.h"

static void a_thunks_text_tells_which_outputs_are_directories(void **state)
{
	static const char text[] = "ggfs-thunk 1\nprogram bin/f\narg output%20tree%20x\n"
	                           "output file a\noutput tree a%20b\noutput tree d\n"
	                           "timeout 60\n";
	(void)state;
	assert_true(tree_is_output(text, strlen(text), "d"));
	assert_true(tree_is_output(text, strlen(text), "a b"));
	assert_false(tree_is_output(text, strlen(text), "a"));
	assert_false(tree_is_output(text, strlen(text), "x"));
	assert_false(tree_is_output(text, strlen(text), "d\ntimeout 60"));
	assert_false(tree_is_output(text, strlen("ggfs-thunk 1\n"), "d"));
	assert_false(tree_is_output("", 0, "d"));
}

static void who_may_read_a_directory_may_enter_it(void **state)
{
	struct stat st = { .st_mode = S_IFREG | 04640, .st_size = 2029, .st_blksize = 4096 };
	(void)state;
	tree_present(&st);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_blocks, 0);
}

static struct ref directory_ref(char *selection)
{
	return (struct ref){ .kind = REF_THUNK,
		             .output = (char *)(uintptr_t) "out/d",
		             .selection = selection };
}

static void a_file_of_a_thunks_directory_is_selected_from_it(void **state)
{
	char selection[] = "sub", path[] = "x/y";
	struct ref directory = directory_ref(NULL), within = directory_ref(selection);
	struct manifest_entry e = { .kind = ENTRY_FILE, .path = path };
	scoped_ref struct ref one = REF_INIT, two = REF_INIT;
	(void)state;
	e.ref.kind = REF_BLOB;
	e.ref.size_bytes = 3;
	expand_entry_ref(&directory, &e, &one);
	assert_int_equal(one.kind, REF_THUNK);
	assert_string_equal(one.output, "out/d");
	assert_string_equal(one.selection, "x/y");
	expand_entry_ref(&within, &e, &two);
	assert_string_equal(two.selection, "sub/x/y");
}

static void what_is_not_made_of_the_thunk_itself_is_what_the_list_says(void **state)
{
	char path[] = "x";
	struct ref directory = directory_ref(NULL), digest = { .kind = REF_TREE };
	struct manifest_entry e = { .kind = ENTRY_FILE, .path = path };
	scoped_ref struct ref one = REF_INIT, two = REF_INIT;
	(void)state;
	e.ref = directory_ref(path);
	expand_entry_ref(&directory, &e, &one);
	assert_true(ref_equal(&one, &e.ref));
	e.ref = (struct ref){ .kind = REF_BLOB, .size_bytes = 5 };
	expand_entry_ref(&digest, &e, &two);
	assert_true(ref_equal(&two, &e.ref));
}

static int make_placeholder(void *arg, int dirfd, const struct manifest_entry *e, struct error *err)
{
	++*(int *)arg;
	return lay_out_placeholder(dirfd, e->path, e->mode, &e->ref, err);
}

static void list_of_all_kinds(struct manifest *m)
{
	const struct ref blob = { .kind = REF_BLOB, .size_bytes = 7 };
	manifest_add_file(m, "b/c/f", 0755, &blob);
	manifest_add_file(m, "a", 0644, &blob);
	manifest_add_link(m, "b/link", "c/f");
	manifest_add_dir(m, "b/none");
	assert_int_equal(manifest_finish(m, NULL), 0);
}

static void a_list_is_laid_out_with_one_time_for_everything(void **state)
{
	static const char *const paths[] = { "a", "b", "b/c", "b/c/f", "b/link", "b/none", "." };
	const struct timespec mtime = { .tv_sec = 1000000, .tv_nsec = 5 };
	scoped_manifest struct manifest m = MANIFEST_INIT;
	char *directory = test_directory();
	scoped_fd int fd = open(directory, O_RDONLY | O_DIRECTORY);
	scoped_ref struct ref ref = REF_INIT;
	int files = 0;
	(void)state;
	list_of_all_kinds(&m);
	assert_int_equal(lay_out(&m, fd, &mtime, make_placeholder, &files, NULL), 0);
	assert_int_equal(files, 2);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct stat st;
		assert_int_equal(fstatat(fd, paths[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mtim.tv_sec, 1000000);
		assert_int_equal(st.st_mtim.tv_nsec, 5);
	}
	scoped_fd int made = openat(fd, "b/link", O_RDONLY);
	struct stat st;
	assert_int_equal(fstat(made, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(placeholder_read_fd(made, NULL, &ref, NULL), 0);
	assert_int_equal(ref.size_bytes, 7);
	test_directory_remove(directory);
}

static void what_is_there_already_is_not_replaced(void **state)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	char *directory = test_directory();
	scoped_fd int fd = open(directory, O_RDONLY | O_DIRECTORY);
	struct error err = ERROR_INIT;
	int files = 0;
	(void)state;
	list_of_all_kinds(&m);
	assert_int_equal(replace_file_at(fd, "a", "mine", 4, 0644, NULL), 0);
	assert_int_equal(lay_out(&m, fd, NULL, make_placeholder, &files, &err), -EEXIST);
	assert_non_null(strstr(err.text, "a"));
	test_directory_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thunks_text_tells_which_outputs_are_directories),
		cmocka_unit_test(who_may_read_a_directory_may_enter_it),
		cmocka_unit_test(a_file_of_a_thunks_directory_is_selected_from_it),
		cmocka_unit_test(what_is_not_made_of_the_thunk_itself_is_what_the_list_says),
		cmocka_unit_test(a_list_is_laid_out_with_one_time_for_everything),
		cmocka_unit_test(what_is_there_already_is_not_replaced),
	};
	return cmocka_run_group_tests_name("fs tree", tests, NULL, NULL);
}
