#include "tests/lib/test.h"

#include <limits.h>
#include <string.h>

#include "common/escape.h"
#include "common/fields.h"

static void assert_spelling(const char *text, const char *spelling)
{
	scoped_buf struct buf b = BUF_INIT;
	escape_add(&b, text);
	assert_string_equal(b.data, spelling);
	scoped_free char *back = escape_decode(b.data, b.len);
	assert_non_null(back);
	assert_string_equal(back, text);
}

static void each_string_has_its_one_spelling(void **state)
{
	(void)state;
	assert_spelling("", "%");
	assert_spelling("plain/Path-1.o~", "plain/Path-1.o~");
	assert_spelling("a b", "a%20b");
	assert_spelling("100%", "100%25");
	assert_spelling("%41", "%2541");
	assert_spelling("line\nline\ttab", "line%0Aline%09tab");
	assert_spelling("\x7f\x80\xff", "%7F%80%FF");
	assert_spelling("caf\xc3\xa9", "caf%C3%A9");
}

static void every_byte_comes_back(void **state)
{
	(void)state;
	char all[256];
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	scoped_buf struct buf b = BUF_INIT;
	escape_add(&b, all);
	for (size_t i = 0; i < b.len; i++)
		assert_in_range((unsigned char)b.data[i], 0x21, 0x7e);
	scoped_free char *back = escape_decode(b.data, b.len);
	assert_string_equal(back, all);
}

static void other_spellings_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"", " ", "a b", "a\n", "\x80", "\x7f", "%2", "%", "a%", "a%2", "%%", "%0a",
		"%c3", "%41", "%2F", "%00", "a%00", "%G0", "%0G", "% 1", "%+1",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (strcmp(wrong[i], "%") == 0)
			continue; /* the empty string */
		char *text = escape_decode(wrong[i], strlen(wrong[i]));
		if (text)
			fail_msg("\"%s\" was taken for \"%s\"", wrong[i], text);
	}
	assert_null(escape_decode("a\0b", 3));
}

static void only_normal_paths_are_normal(void **state)
{
	(void)state;
	static const char *const normal[] = {
		"a", "a/b", ".a", "..a", "a..", "...", "a/.b/..c", " ", "\n", "\xff", "-", "a\\b",
	};
	static const char *const wrong[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..",
		"a/../b", "//", "a/b/",
	};
	for (size_t i = 0; i < sizeof(normal) / sizeof(*normal); i++)
		if (!path_is_normal(normal[i]))
			fail_msg("\"%s\" is normal", normal[i]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (path_is_normal(wrong[i]))
			fail_msg("\"%s\" is not normal", wrong[i]);
}

static void path_lengths_are_bounded(void **state)
{
	(void)state;
	char path[PATH_MAX + 2];
	memset(path, 'a', sizeof(path));
	path[255] = '\0';
	assert_true(path_is_normal(path));
	path[255] = 'a', path[256] = '\0';
	assert_false(path_is_normal(path));
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/', path[i + 1 < sizeof(path) ? i + 1 : i] = 'a';
	path[4095] = '\0';
	assert_true(path_is_normal(path));
	path[4095] = 'a', path[4096] = '\0';
	assert_false(path_is_normal(path));
}

/* Reads the whole text as a number. */
static bool number(const char *text, uint64_t *out)
{
	const char *at = text, *end = text + strlen(text);
	bool taken = field_number(&at, end, out);
	assert_true(at == (taken ? end : text));
	return taken;
}

static void only_canonical_numbers_are_numbers(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"", "00", "01", "-1", "+1", "1a", "0x1", "1.", "9223372036854775808",
		"18446744073709551616", "99999999999999999999999999",
	};
	uint64_t value = 77;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (number(wrong[i], &value))
			fail_msg("\"%s\" was taken for %llu", wrong[i], (unsigned long long)value);
	assert_int_equal(value, 77);
	assert_true(number("0", &value) && value == 0);
	assert_true(number("10", &value) && value == 10);
	assert_true(number("9223372036854775807", &value) && value == INT64_MAX);
}

static void fields_are_separated_by_single_spaces(void **state)
{
	(void)state;
	const char *text = "word a%20b  x", *at = text, *end = text + strlen(text);
	assert_false(field_word(&at, end, "wor"));
	assert_false(field_space(&at, end));
	assert_true(field_word(&at, end, "word"));
	assert_true(field_space(&at, end));
	scoped_free char *field = field_string(&at, end);
	assert_string_equal(field, "a b");
	assert_false(field_space(&at, end)); /* two */
	const char *last = " ", *stop = last + 1;
	assert_false(field_space(&last, stop)); /* with nothing after it */
}

static void line_needs_its_newline(void **state)
{
	(void)state;
	const char *text = "one\n\ncut", *at = text, *end = text + strlen(text), *line, *line_end;
	assert_true(line_next(&at, end, &line, &line_end));
	assert_int_equal(line_end - line, 3);
	assert_true(line_next(&at, end, &line, &line_end));
	assert_int_equal(line_end - line, 0);
	assert_false(line_next(&at, end, &line, &line_end));
	assert_string_equal(at, "cut");
	at = end;
	assert_false(line_next(&at, end, &line, &line_end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_string_has_its_one_spelling),
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(other_spellings_are_refused),
		cmocka_unit_test(only_normal_paths_are_normal),
		cmocka_unit_test(path_lengths_are_bounded),
		cmocka_unit_test(only_canonical_numbers_are_numbers),
		cmocka_unit_test(fields_are_separated_by_single_spaces),
		cmocka_unit_test(line_needs_its_newline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
