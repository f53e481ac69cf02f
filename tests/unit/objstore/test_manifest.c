#include "tests/lib/test.h"

#include <limits.h>
#include <string.h>

#include "objstore/manifest.h"

#define D "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
#define FIRST "ggfs-manifest 1\n"

static const struct ref blob = { .kind = REF_BLOB, .size_bytes = 3 };

static int decode(const char *text, struct manifest *m, struct error *err)
{
	return manifest_decode(text, strlen(text), m, err);
}

static void assert_comes_back(const char *text)
{
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf b = BUF_INIT;
	assert_ok(decode(text, &m, &err));
	manifest_encode(&m, &b);
	assert_string_equal(b.data, text);
}

static void canonical_text_comes_back(void **state)
{
	(void)state;
	assert_comes_back(FIRST);
	assert_comes_back(FIRST "file 0644 blob " D " 3 a\n"
				"link ../b%20c a-b\n"
				"file 0755 thunk " D " out.o b/c\n"
				"dir b/d\n"
				"file 0644 select " D " dir x/y b/e\n"
				"file 0644 tree " D " 99 c\n");
}

static void facts_in_any_order_give_the_same_bytes(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT, n = MANIFEST_INIT;
	scoped_buf struct buf a = BUF_INIT, b = BUF_INIT;
	manifest_add_file(&m, "z", 0644, &blob);
	manifest_add_link(&m, "a/link", "target");
	manifest_add_dir(&m, "empty");
	manifest_add_dir(&n, "empty");
	manifest_add_file(&n, "z", 0600, &blob); /* reduced to 0644 */
	manifest_add_link(&n, "a/link", "target");
	manifest_add_file(&n, "z", 0644, &blob); /* the same twice */
	manifest_add_dir(&n, "a");               /* not empty, so it needs no entry */
	assert_ok(manifest_finish(&m, &err));
	assert_ok(manifest_finish(&n, &err));
	manifest_encode(&m, &a);
	manifest_encode(&n, &b);
	assert_string_equal(a.data, b.data);
}

static void awkward_names_come_back(void **state)
{
	(void)state;
	static const char *const names[] = {
		"new\nline", "sp ace", "\xff\xfe", "100%", "%41", "caf\xc3\xa9/\x01", "-", "..a",
		"~", "\"", "back\\slash",
	};
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT, back = MANIFEST_INIT;
	scoped_buf struct buf b = BUF_INIT;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		manifest_add_link(&m, names[i], names[i]);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &b);
	assert_ok(manifest_decode(b.data, b.len, &back, &err));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct manifest_entry *entry = manifest_find(&back, names[i]);
		assert_non_null(entry);
		assert_string_equal(entry->target, names[i]);
	}
}

static void executable_bit_of_anybody_makes_0755(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	manifest_add_file(&m, "a", 0644, &blob);
	manifest_add_file(&m, "b", 0100, &blob);
	manifest_add_file(&m, "c", S_IFREG | 04755, &blob);
	assert_ok(manifest_finish(&m, &err));
	assert_int_equal(manifest_find(&m, "a")->mode, 0644);
	assert_int_equal(manifest_find(&m, "b")->mode, 0755);
	assert_int_equal(manifest_find(&m, "c")->mode, 0755);
	assert_null(manifest_find(&m, "d"));
}

static void finish_names_the_path_that_breaks_a_rule(void **state)
{
	(void)state;
	static const char *const wrong[] = { "",     "/abs", "../up", "a/..", "a//b",
					     "a/./b", "a/",   ".",     "a/../b" };
	struct error err;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		manifest_add_file(&m, "fine", 0644, &blob);
		manifest_add_file(&m, wrong[i], 0644, &blob);
		assert_error(manifest_finish(&m, &err), -EINVAL);
		scoped_free char *quoted = xformat("\"%s\"", wrong[i]);
		assert_non_null(strstr(err.text, quoted));
	}
}

static void finish_refuses_a_path_with_two_meanings(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT, n = MANIFEST_INIT;
	manifest_add_file(&m, "a", 0644, &blob);
	manifest_add_file(&m, "a", 0755, &blob);
	assert_error(manifest_finish(&m, &err), -EINVAL);
	manifest_add_link(&n, "a", "b");
	manifest_add_link(&n, "a", "c");
	assert_error(manifest_finish(&n, &err), -EINVAL);
}

static void nothing_lies_beneath_a_file_or_link(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT, n = MANIFEST_INIT, fine = MANIFEST_INIT;
	manifest_add_file(&m, "a", 0644, &blob);
	manifest_add_file(&m, "a-b", 0644, &blob); /* sorts between them */
	manifest_add_file(&m, "a/b/c", 0644, &blob);
	assert_error(manifest_finish(&m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a/b/c"));
	manifest_add_link(&n, "a", "elsewhere");
	manifest_add_dir(&n, "a/b");
	assert_error(manifest_finish(&n, &err), -EINVAL);
	manifest_add_file(&fine, "a", 0644, &blob);
	manifest_add_file(&fine, "a.b/c", 0644, &blob);
	manifest_add_file(&fine, "ab/c", 0644, &blob);
	assert_ok(manifest_finish(&fine, &err));
}

static void finish_refuses_a_ref_or_target_that_cannot_be_written(void **state)
{
	(void)state;
	struct error err;
	char output[] = "../up", ok[] = "out";
	const struct ref wrong[] = {
		{ .kind = REF_BLOB, .size_bytes = UINT64_MAX },
		{ .kind = REF_THUNK },
		{ .kind = REF_THUNK, .output = output },
		{ .kind = REF_THUNK, .output = ok, .selection = output },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		manifest_add_file(&m, "a", 0644, &wrong[i]);
		assert_error(manifest_finish(&m, &err), -EINVAL);
	}
	scoped_free char *target = xcalloc(1, PATH_MAX + 1);
	memset(target, 't', PATH_MAX);
	scoped_manifest struct manifest m = MANIFEST_INIT, n = MANIFEST_INIT;
	manifest_add_link(&m, "a", "");
	assert_error(manifest_finish(&m, &err), -EINVAL);
	manifest_add_link(&n, "a", target);
	assert_error(manifest_finish(&n, &err), -EINVAL);
}

static void anything_but_the_canonical_text_is_einval(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",
		"ggfs-manifest 1",
		"ggfs-manifest 2\n",
		"ggfs-manifest 1 \n",
		"ggfs-manifest 1\r\n",
		FIRST "\n",
		FIRST "dir a",
		FIRST "dir a\n\n",
		FIRST "dir a\ndir a\n",
		FIRST "dir b\ndir a\n",
		FIRST "dir  a\n",
		FIRST "dir a \n",
		FIRST " dir a\n",
		FIRST "dir a b\n",
		FIRST "dir\n",
		FIRST "dir /a\n",
		FIRST "dir ../a\n",
		FIRST "dir a/../b\n",
		FIRST "dir %61\n",
		FIRST "dir a%2fb\n",
		FIRST "dir a%0a\n",
		FIRST "dir \xff\n",
		FIRST "dir %\n",
		FIRST "Dir a\n",
		FIRST "fifo a\n",
		FIRST "dir a\nfile 0644 blob " D " 3 a/b\n",
		FIRST "link x a\ndir a/b\n",
		FIRST "link % a\n",
		FIRST "link a\n",
		FIRST "file 0600 blob " D " 3 a\n",
		FIRST "file 644 blob " D " 3 a\n",
		FIRST "file 0644 blob " D " 03 a\n",
		FIRST "file 0644 blob " D " a\n",
		FIRST "file 0644 blob " D " 3\n",
		FIRST "file 0644 blob " D " 3 a\nfile 0644 blob " D " 3 a/b\n",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err = ERROR_INIT;
		scoped_manifest struct manifest m = MANIFEST_INIT;
		if (decode(wrong[i], &m, &err) != -EINVAL)
			fail_msg("accepted: %s", wrong[i]);
		assert_non_null(strstr(err.text, "line "));
		assert_int_equal(m.count, 0);
		assert_null(m.entries);
	}
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	static const char nul[] = FIRST "dir a\0b\n";
	assert_error(manifest_decode(nul, sizeof(nul) - 1, &m, &err), -EINVAL);
}

static void error_names_the_line(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	assert_error(decode(FIRST "dir a\ndir b\ndir ..\n", &m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 4"));
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	static const char text[] = FIRST "file 0644 blob " D " 3 a%20b\nlink t c\n";
	const char *second = strchr(text + strlen(FIRST), '\n') + 1;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		int r = manifest_decode(text, len, &m, NULL);
		/* Cut between lines it is another manifest; digests are what tells those apart. */
		bool between = len == strlen(FIRST) || text + len == second;
		assert_int_equal(r, between ? 0 : -EINVAL);
	}
}

static void oversized_manifest_is_efbig(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	assert_error(manifest_decode(FIRST, (size_t)MANIFEST_BYTES_MAX + 1, &m, &err), -EFBIG);
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, FIRST);
	for (int i = 0; i <= MANIFEST_ENTRIES_MAX; i++)
		buf_add_format(&b, "dir %07d\n", i);
	assert_error(manifest_decode(b.data, b.len, &m, &err), -EFBIG);
	assert_int_equal(m.count, 0);
	for (int i = 0; i <= MANIFEST_ENTRIES_MAX; i++) {
		char path[16];
		snprintf(path, sizeof(path), "%07d", i);
		manifest_add_dir(&m, path);
	}
	assert_error(manifest_finish(&m, &err), -EFBIG);
}

static void entry_alone_comes_back(void **state)
{
	(void)state;
	struct error err;
	static const char line[] = "file 0755 thunk " D " out a/b%20c";
	struct manifest_entry entry;
	scoped_buf struct buf b = BUF_INIT;
	assert_ok(manifest_entry_decode(line, strlen(line), &entry, &err));
	manifest_entry_encode(&entry, &b);
	assert_string_equal(b.data, line);
	manifest_entry_release(&entry);
	assert_error(manifest_entry_decode("dir a\n", 6, &entry, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_text_comes_back),
		cmocka_unit_test(facts_in_any_order_give_the_same_bytes),
		cmocka_unit_test(awkward_names_come_back),
		cmocka_unit_test(executable_bit_of_anybody_makes_0755),
		cmocka_unit_test(finish_names_the_path_that_breaks_a_rule),
		cmocka_unit_test(finish_refuses_a_path_with_two_meanings),
		cmocka_unit_test(nothing_lies_beneath_a_file_or_link),
		cmocka_unit_test(finish_refuses_a_ref_or_target_that_cannot_be_written),
		cmocka_unit_test(anything_but_the_canonical_text_is_einval),
		cmocka_unit_test(error_names_the_line),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(oversized_manifest_is_efbig),
		cmocka_unit_test(entry_alone_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
