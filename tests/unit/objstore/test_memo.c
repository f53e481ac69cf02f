#include "tests/lib/test.h"

#include <string.h>

#include "objstore/memo.h"

#define D "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
#define HEAD "ggfs-memo 1\nthunk " D "\n"
#define TAIL "engine local\nmicros 1500\ncost 0\n"

static int decode(const char *text, struct memo *memo, struct error *err)
{
	return memo_decode(text, strlen(text), memo, err);
}

static void canonical_text_comes_back(void **state)
{
	(void)state;
	static const char *const texts[] = {
		HEAD TAIL,
		HEAD "output blob " D " 3 a.o\noutput thunk " D " out b%0Ac\n"
		     "output tree " D " 99 d\n" TAIL,
		HEAD "stderr " D " 17\nengine %\nmicros 0\ncost 9223372036854775807\n",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct error err;
		scoped_memo struct memo memo = MEMO_INIT, copy = MEMO_INIT;
		scoped_buf struct buf b = BUF_INIT;
		assert_ok(decode(texts[i], &memo, &err));
		memo_copy(&copy, &memo);
		memo_encode(&copy, &b);
		assert_string_equal(b.data, texts[i]);
	}
}

static void outputs_are_sorted_and_found_by_path(void **state)
{
	(void)state;
	struct error err;
	scoped_memo struct memo memo = MEMO_INIT, back = MEMO_INIT;
	scoped_buf struct buf b = BUF_INIT;
	for (uint64_t i = 0; i < 3; i++) {
		static const char *const paths[] = { "z", "a b", "m/n" };
		struct ref ref = { .kind = REF_BLOB, .size_bytes = i };
		memo_add_output(&memo, paths[i], &ref);
	}
	memo.engine = xstrdup("local");
	memo_encode(&memo, &b);
	assert_ok(memo_decode(b.data, b.len, &back, &err));
	assert_string_equal(back.outputs[0].path, "a b");
	assert_int_equal(memo_output(&back, "z")->size_bytes, 0);
	assert_int_equal(memo_output(&back, "m/n")->size_bytes, 2);
	assert_null(memo_output(&back, "absent"));
	assert_string_equal(memo.outputs[0].path, "z"); /* encoding changes nothing */
}

static void anything_but_the_canonical_text_is_einval(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",
		"ggfs-memo 2\nthunk " D "\n" TAIL,
		"ggfs-memo 1 1\nthunk " D "\n" TAIL,
		"ggfs-memo 1\nthunk " D "0\n" TAIL,
		"ggfs-memo 1\n" TAIL,
		HEAD "engine local\nmicros 1500\n",
		HEAD "engine local\nmicros 1500\ncost 0",
		HEAD TAIL "\n",
		HEAD TAIL TAIL,
		HEAD "engine\nmicros 1\ncost 0\n",
		HEAD "engine a b\nmicros 1\ncost 0\n",
		HEAD "engine local\nmicros 01\ncost 0\n",
		HEAD "engine local\nmicros 1\ncost -1\n",
		HEAD "engine local\nmicros 1\ncost 9223372036854775808\n",
		HEAD "engine local\ncost 0\nmicros 1\n",
		HEAD "stderr " D "\n" TAIL,
		HEAD "stderr " D " 1 2\n" TAIL,
		HEAD "stderr x 1\n" TAIL,
		HEAD "stderr " D " 1\nstderr " D " 1\n" TAIL,
		HEAD "stderr " D " 1\noutput blob " D " 3 a\n" TAIL,
		HEAD "output blob " D " 3\n" TAIL,
		HEAD "output blob " D " 3 a b\n" TAIL,
		HEAD "output blob " D " 3 ../a\n" TAIL,
		HEAD "output blob " D " 3 /a\n" TAIL,
		HEAD "output blob " D " 3 b\noutput blob " D " 3 a\n" TAIL,
		HEAD "output blob " D " 3 a\noutput blob " D " 3 a\n" TAIL,
		HEAD "output fifo " D " 3 a\n" TAIL,
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err = ERROR_INIT;
		scoped_memo struct memo memo = MEMO_INIT;
		if (decode(wrong[i], &memo, &err) != -EINVAL)
			fail_msg("accepted: %s", wrong[i]);
		assert_non_null(strstr(err.text, "line "));
		assert_int_equal(memo.count, 0);
		assert_null(memo.outputs);
		assert_null(memo.engine);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	static const char text[] = HEAD "output blob " D " 3 a.o\nstderr " D " 17\n" TAIL;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		scoped_memo struct memo memo = MEMO_INIT;
		assert_int_equal(memo_decode(text, len, &memo, NULL), -EINVAL);
	}
}

static void oversized_memo_is_efbig(void **state)
{
	(void)state;
	struct error err;
	scoped_memo struct memo memo = MEMO_INIT;
	scoped_buf struct buf b = BUF_INIT;
	assert_error(memo_decode(HEAD TAIL, MEMO_BYTES_MAX + 1, &memo, &err), -EFBIG);
	buf_add_str(&b, HEAD);
	for (int i = 0; i <= MEMO_OUTPUTS_MAX; i++)
		buf_add_format(&b, "output blob " D " 3 %05d\n", i);
	buf_add_str(&b, TAIL);
	assert_error(memo_decode(b.data, b.len, &memo, &err), -EFBIG);
	assert_null(memo.outputs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_text_comes_back),
		cmocka_unit_test(outputs_are_sorted_and_found_by_path),
		cmocka_unit_test(anything_but_the_canonical_text_is_einval),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(oversized_memo_is_efbig),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
