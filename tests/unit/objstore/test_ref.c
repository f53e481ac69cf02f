#include "tests/lib/test.h"

#include <string.h>

#include "objstore/ref.h"

#define D "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"

static int decode(const char *text, struct ref *out, const char **rest, struct error *err)
{
	const char *at = text;
	int r = ref_decode(&at, text + strlen(text), out, err);
	*rest = at;
	return r;
}

static void each_kind_has_its_text_and_comes_back(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"blob " D " 0", "blob " D " 9223372036854775807", "tree " D " 12",
		"thunk " D " out.o", "thunk " D " dir/a%20b%0A", "select " D " dir a/%FF",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct error err;
		scoped_ref struct ref ref = REF_INIT, copy = REF_INIT;
		scoped_buf struct buf b = BUF_INIT;
		const char *rest;
		assert_ok(decode(texts[i], &ref, &rest, &err));
		assert_string_equal(rest, "");
		ref_encode(&ref, &b);
		assert_string_equal(b.data, texts[i]);
		ref_copy(&copy, &ref);
		assert_true(ref_equal(&ref, &copy));
	}
}

static void decoding_stops_at_the_space_that_follows(void **state)
{
	(void)state;
	struct error err;
	scoped_ref struct ref ref = REF_INIT;
	const char *rest;
	assert_ok(decode("thunk " D " out path more", &ref, &rest, &err));
	assert_string_equal(rest, " path more");
	assert_string_equal(ref.output, "out");
	assert_null(ref.selection);
}

static void malformed_ref_is_einval_and_leaves_all_alone(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"", "blob", "blob ", "blob " D, "blob " D " ", "blob " D " 01", "blob " D " -1",
		"blob " D " x", "blob " D " 9223372036854775808", "blob  " D " 1",
		"blob " D "  1", "Blob " D " 1", "blobs " D " 1", "blob abc 1", "blob X" D " 1",
		"tree " D "0 1", "thunk " D, "thunk " D " ", "thunk " D " /abs",
		"thunk " D " ../up", "thunk " D " a//b", "thunk " D " %", "thunk " D " %2e",
		"select " D " dir", "select " D " dir ", "select " D " dir ..",
		"select " D " /dir a", "select " D " dir /a",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err = ERROR_INIT;
		struct ref ref = { .size_bytes = 77 };
		const char *rest;
		if (decode(wrong[i], &ref, &rest, &err) != -EINVAL)
			fail_msg("\"%s\" was accepted", wrong[i]);
		assert_true(err.text[0] != '\0');
		assert_ptr_equal(rest, wrong[i]);
		assert_int_equal(ref.size_bytes, 77);
		assert_null(ref.output);
	}
}

static void refs_differ_in_every_member(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"blob " D " 1", "blob " D " 2", "tree " D " 1", "thunk " D " a", "thunk " D " b",
		"select " D " a a", "select " D " a b",
	};
	enum { COUNT = sizeof(texts) / sizeof(*texts) };
	struct ref refs[COUNT];
	struct error err;
	const char *rest;
	for (size_t i = 0; i < COUNT; i++)
		assert_ok(decode(texts[i], &refs[i], &rest, &err));
	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = 0; j < COUNT; j++)
			assert_int_equal(ref_equal(&refs[i], &refs[j]), i == j);
	for (size_t i = 0; i < COUNT; i++)
		ref_release(&refs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_text_and_comes_back),
		cmocka_unit_test(decoding_stops_at_the_space_that_follows),
		cmocka_unit_test(malformed_ref_is_einval_and_leaves_all_alone),
		cmocka_unit_test(refs_differ_in_every_member),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
