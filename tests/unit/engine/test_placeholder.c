#include "tests/lib/test.h"

#include <string.h>

#include "engine/placeholder.h"

static struct ref thunk_ref(const char *output, const char *selection)
{
	struct ref ref = { .kind = REF_THUNK };
	memset(ref.digest.bytes, 0x5a, sizeof(ref.digest.bytes));
	ref.output = xstrdup(output);
	ref.selection = selection ? xstrdup(selection) : NULL;
	return ref;
}

static void each_kind_of_ref_comes_back(void **state)
{
	(void)state;
	struct error err;
	struct ref refs[] = {
		{ .kind = REF_BLOB, .digest.bytes = { 1 }, .size_bytes = 12345 },
		{ .kind = REF_TREE, .digest.bytes = { 2 }, .size_bytes = 1 },
		thunk_ref("home/u/a b\n.o", NULL),
		thunk_ref("d", "sub/\xff"),
	};
	for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
		char bytes[PLACEHOLDER_SIZE];
		scoped_ref struct ref back = REF_INIT;
		assert_ok(placeholder_encode(&refs[i], bytes, &err));
		assert_memory_equal(bytes, PLACEHOLDER_FIRST_LINE, strlen(PLACEHOLDER_FIRST_LINE));
		assert_int_equal(bytes[PLACEHOLDER_SIZE - 1], '\n');
		assert_ok(placeholder_decode(bytes, sizeof(bytes), &back, &err));
		assert_true(ref_equal(&refs[i], &back));
		ref_release(&refs[i]);
	}
}

static void other_files_are_no_placeholders(void **state)
{
	(void)state;
	struct error err;
	struct ref out = REF_INIT;
	char bytes[PLACEHOLDER_SIZE + 1] = { 0 };
	scoped_ref struct ref ref = thunk_ref("o", NULL);
	assert_error(placeholder_decode(bytes, PLACEHOLDER_SIZE, &out, &err), -ENOENT);
	assert_error(placeholder_decode("", 0, &out, &err), -ENOENT);
	assert_ok(placeholder_encode(&ref, bytes, &err));
	assert_error(placeholder_decode(bytes, PLACEHOLDER_SIZE - 1, &out, &err), -ENOENT);
	assert_error(placeholder_decode(bytes, PLACEHOLDER_SIZE + 1, &out, &err), -ENOENT);
	bytes[0] = '%';
	assert_error(placeholder_decode(bytes, PLACEHOLDER_SIZE, &out, &err), -ENOENT);
}

static void every_damaged_byte_is_noticed(void **state)
{
	(void)state;
	struct error err;
	char bytes[PLACEHOLDER_SIZE];
	scoped_ref struct ref ref = thunk_ref("o", NULL);
	size_t first = strlen(PLACEHOLDER_FIRST_LINE);
	assert_ok(placeholder_encode(&ref, bytes, &err));
	size_t digest_at = first + strlen("ggfs-placeholder 1\nthunk ");
	size_t padding_at = digest_at + DIGEST_HEX_SIZE + strlen(" o\n");
	for (size_t i = 0; i < sizeof(bytes); i++) {
		struct ref out = REF_INIT;
		char kept = bytes[i];
		bytes[i] = '\0';
		assert_error(placeholder_decode(bytes, sizeof(bytes), &out, &err),
		             i < first ? -ENOENT : -EBADMSG);
		bytes[i] = 'x';
		int r = placeholder_decode(bytes, sizeof(bytes), &out, &err);
		if (i == padding_at - 2) /* the output's name is another one, as well formed */
			ref_release(&out);
		else if (kept != 'x')
			assert_int_equal(r, i < first ? -ENOENT : -EBADMSG);
		bytes[i] = kept;
	}
}

static void a_ref_that_just_fits_comes_back_and_one_byte_more_does_not_fit(void **state)
{
	(void)state;
	struct error err;
	char bytes[PLACEHOLDER_SIZE];
	size_t head =
	        strlen(PLACEHOLDER_FIRST_LINE "ggfs-placeholder 1\nthunk ") + DIGEST_HEX_SIZE + 1;
	size_t room = PLACEHOLDER_SIZE - head - 1;
	scoped_buf struct buf name = BUF_INIT;
	for (size_t i = 0; i < room; i++)
		buf_add_char(&name, i % 200 == 199 ? '/' : 'n');
	scoped_ref struct ref ref = thunk_ref(name.data, NULL);
	scoped_ref struct ref back = REF_INIT;
	assert_ok(placeholder_encode(&ref, bytes, &err));
	assert_ok(placeholder_decode(bytes, sizeof(bytes), &back, &err));
	assert_true(ref_equal(&ref, &back));
	buf_add_char(&name, 'n');
	scoped_ref struct ref longer = thunk_ref(name.data, NULL);
	assert_error(placeholder_encode(&longer, bytes, &err), -ENAMETOOLONG);
}

static void a_file_is_looked_into_only_when_it_has_the_size(void **state)
{
	(void)state;
	struct error err;
	char *directory = test_directory();
	scoped_free char *path = xformat("%s/p", directory);
	char bytes[PLACEHOLDER_SIZE + 1] = { 0 };
	scoped_ref struct ref ref = thunk_ref("o", NULL);
	scoped_ref struct ref back = REF_INIT;
	struct ref none = REF_INIT;
	struct stat st;
	assert_ok(placeholder_encode(&ref, bytes, &err));
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, PLACEHOLDER_SIZE, 0644, &err));
	scoped_fd int fd = open(path, O_RDONLY);
	assert_ok(placeholder_read_fd(fd, NULL, &back, &err));
	assert_true(ref_equal(&ref, &back));
	assert_int_equal(fstat(fd, &st), 0);
	st.st_size++;
	assert_error(placeholder_read_fd(fd, &st, &none, &err), -ENOENT);
	/* It has grown between the look at its size and the read. */
	st.st_size--;
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, PLACEHOLDER_SIZE + 1, 0644, &err));
	scoped_fd int longer = open(path, O_RDONLY);
	assert_error(placeholder_read_fd(longer, &st, &none, &err), -ENOENT);
	scoped_fd int dir = open(directory, O_RDONLY);
	assert_error(placeholder_read_fd(dir, NULL, &none, &err), -ENOENT);
	assert_error(placeholder_read_fd(-1, NULL, &none, &err), -EBADF);
	test_directory_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_ref_comes_back),
		cmocka_unit_test(other_files_are_no_placeholders),
		cmocka_unit_test(every_damaged_byte_is_noticed),
		cmocka_unit_test(a_ref_that_just_fits_comes_back_and_one_byte_more_does_not_fit),
		cmocka_unit_test(a_file_is_looked_into_only_when_it_has_the_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
