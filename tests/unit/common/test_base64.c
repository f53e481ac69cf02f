#include "tests/lib/test.h"

#include <string.h>

#include "common/base64.h"

static void base64_of_rfc_4648s_examples(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "\xff\xfe\xfd", "//79" },
		{ "foobar", "Zm9vYmFy" },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		scoped_buf struct buf text = BUF_INIT, bytes = BUF_INIT;
		base64_add(&text, pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(text.data, pairs[i][1]);
		assert_true(base64_decode(text.data, text.len, &bytes));
		assert_int_equal(bytes.len, strlen(pairs[i][0]));
		assert_memory_equal(bytes.data, pairs[i][0], bytes.len);
	}
}

static void base64_that_is_not_canonical_is_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = { "Z",      "Zg",       "Zg=",  "Zh==", "Zm9=",
		                             "====",   "Zg==Zg==", "Z=g=", "Zm 9", "Zm9*",
		                             "Zm9v\n", "=Zg=",     "Zm_-" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped_buf struct buf bytes = BUF_INIT;
		if (base64_decode(wrong[i], strlen(wrong[i]), &bytes))
			fail_msg("%s was taken", wrong[i]);
	}
}

static void base64url_has_one_spelling(void **state)
{
	static const char *const good[][2] = {
		{ "", "" }, { "Zg", "f" }, { "Zm8", "fo" }, { "Zm9v", "foo" }, { "-_8", "\xfb\xff" }
	};
	static const char *const bad[] = { "A",    "AAAAA", "Zg==", "Zh",  "Zm9=",
		                           "Zm 9", "+/8=",  "+_8",  "Zm9", "Zm9v\n" };
	scoped_buf struct buf b = BUF_INIT;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		buf_reset(&b);
		assert_true(base64url_decode(good[i][0], strlen(good[i][0]), &b));
		assert_int_equal(b.len, strlen(good[i][1]));
		assert_memory_equal(b.len ? b.data : "", good[i][1], b.len);
	}
	buf_reset(&b);
	buf_add_str(&b, "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(base64url_decode(bad[i], strlen(bad[i]), &b));
		assert_string_equal(b.data, "kept");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_of_rfc_4648s_examples),
		cmocka_unit_test(base64_that_is_not_canonical_is_refused),
		cmocka_unit_test(base64url_has_one_spelling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
