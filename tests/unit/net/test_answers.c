#include "tests/lib/test.h"

#include <string.h>

#include "common/aws/answers.h"
#include "common/aws/words.h"
#include "common/aws/xml.h"

static void times_of_all_spellings_mean_what_they_say(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t since_1970;
	} right[] = {
		{ "2026-02-03T04:05:06Z", 1770091506 },
		{ "2026-02-03T04:05:06.123Z", 1770091506 },
		{ "2026-02-03T04:05:06UTC", 1770091506 },
		{ "2026-02-03T05:05:06+01:00", 1770091506 },
		{ "2026-02-03T00:35:06-0330", 1770091506 },
		{ "1970-01-01T00:00:00Z", 0 },
	};
	static const char *const wrong[] = { "",
		                             "2026",
		                             "2026-02-03",
		                             "2026-02-03T04:05:06",
		                             "2026-02-03T04:05:06X",
		                             "2026-13-03T04:05:06Z",
		                             "2026-02-03T04:05:06+1",
		                             "2026-02-03T04:05:06+24:00",
		                             "2026-02-03T04:05:06Z ",
		                             "2026-02-03T04:05:06+01:00x" };
	int64_t at;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_true(aws_answer_time(right[i].text, &at));
		assert_int_equal(at, right[i].since_1970);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(aws_answer_time(wrong[i], &at));
}

typedef int answer_fn(const char *, size_t, struct aws_keys *, struct error *);

static void refused(answer_fn *fn, const char *text)
{
	struct error err;
	struct aws_keys keys = { .expires_s = 42 };
	assert_error(fn(text, strlen(text), &keys, &err), -EBADMSG);
	assert_null(strstr(err.text, "hidden"));
	assert_int_equal(keys.expires_s, 42);
	assert_null(keys.secret_key);
}

static void keys_without_an_end_or_with_bytes_that_fit_no_header_are_refused(void **state)
{
	(void)state;
	refused(aws_answer_sso, "{\"roleCredentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":"
	                        "\"hidden\",\"sessionToken\":\"T\"}}");
	refused(aws_answer_sso, "{\"roleCredentials\":[]}");
	refused(aws_answer_metadata, "{\"AccessKeyId\":\"A\\r\\nB: c\",\"SecretAccessKey\":"
	                             "\"hidden\"}");
	refused(aws_answer_metadata, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hidden\","
	                             "\"Token\":\"hidden\xc3\xbc\"}");
	refused(aws_answer_metadata, "{\"AccessKeyId\":1,\"SecretAccessKey\":\"hidden\"}");
	refused(aws_answer_metadata, "[1]");
	refused(aws_answer_process, "{\"Version\":1,\"AccessKeyId\":\"A\"}");
	refused(aws_answer_process, "{\"Version\":\"1\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":"
	                            "\"hidden\"}");
	refused(aws_answer_sts, "<R><AccessKeyId>A</AccessKeyId><SecretAccessKey>hidden"
	                        "</SecretAccessKey></R>");
}

static void a_process_may_leave_out_what_it_has_not(void **state)
{
	(void)state;
	struct error err;
	struct aws_keys keys;
	static const char text[] = "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\","
	                           "\"SessionToken\":\"\",\"Other\":{}}";
	assert_ok(aws_answer_process(text, sizeof(text) - 1, &keys, &err));
	assert_string_equal(keys.access_key, "A");
	assert_null(keys.session_token);
	assert_int_equal(keys.expires_s, 0);
	aws_keys_release(&keys);
}

static void xml_gives_the_first_of_each_name_with_entities_resolved(void **state)
{
	(void)state;
	static const char text[] = "<?xml version=\"1.0\"?><a:E xmlns:a='u'><a:Code>x &amp; y"
	                           "</a:Code><Code>second</Code><Empty/></a:E>";
	static const char *const names[] = { "Code", "Empty", "Absent" };
	char *values[3];
	assert_true(xml_texts(text, sizeof(text) - 1, names, 3, values));
	assert_string_equal(values[0], "x & y");
	assert_string_equal(values[1], "");
	assert_null(values[2]);
	free(values[0]);
	free(values[1]);
}

static void xml_that_is_none_or_that_swells_is_not_sound(void **state)
{
	(void)state;
	static const char *const names[] = { "a" };
	char *values[1];
	static const char *const texts[] = { "", "<a>", "<a></b>", "<a>1</a><a>2</a>", "{}" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(xml_texts(texts[i], strlen(texts[i]), names, 1, values));
		free(values[0]);
	}
	/* Each entity ten of the one before: 10^9 bytes. */
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "<!DOCTYPE a [<!ENTITY e0 \"0123456789\">");
	for (int i = 1; i < 9; i++) {
		buf_add_format(&b, "<!ENTITY e%d \"", i);
		for (int j = 0; j < 10; j++)
			buf_add_format(&b, "&e%d;", i - 1);
		buf_add_str(&b, "\">");
	}
	buf_add_str(&b, "]><a>&e8;</a>");
	assert_false(xml_texts(b.data, b.len, names, 1, values));
	free(values[0]);
}

static void words_are_split_as_a_shell_quotes_and_no_more(void **state)
{
	(void)state;
	scoped_strv struct strv words = STRV_INIT;
	assert_true(words_split("  a 'b c' \"d \\\" \\$e\" f\\ g '' $HOME;x h'i'\"j\" ", &words));
	static const char *const wanted[] = {
		"a", "b c", "d \" \\$e", "f g", "", "$HOME;x", "hij"
	};
	assert_int_equal(words.count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < words.count; i++)
		assert_string_equal(words.items[i], wanted[i]);
	static const char *const wrong[] = { "'a", "\"a", "a\\", "a 'b\\'c'" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(words_split(wrong[i], &words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_of_all_spellings_mean_what_they_say),
		cmocka_unit_test(keys_without_an_end_or_with_bytes_that_fit_no_header_are_refused),
		cmocka_unit_test(a_process_may_leave_out_what_it_has_not),
		cmocka_unit_test(xml_gives_the_first_of_each_name_with_entities_resolved),
		cmocka_unit_test(xml_that_is_none_or_that_swells_is_not_sound),
		cmocka_unit_test(words_are_split_as_a_shell_quotes_and_no_more),
	};
	return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
