#include "tests/lib/test.h"

#include <string.h>

#include "common/net.h"
#include "objstore/s3_judge.h"

static const struct s3_place place = { .url = (char[]){ "s3://bucket/p" },
	                               .bucket = (char[]){ "bucket" },
	                               .prefix = (char[]){ "p/" },
	                               .region = (char[]){ "us-east-1" },
	                               .scheme = (char[]){ "https" },
	                               .host = (char[]){ "example.com" },
	                               .base = (char[]){ "/bucket" } };

static enum s3_verdict judge(int status, const char *code, const char *more, int *out,
                             struct error *err)
{
	struct http_response r = { .status = status };
	if (code)
		buf_add_format(&r.body,
		               "<?xml version=\"1.0\"?><Error><Code>%s</Code>"
		               "<Message>as told</Message>%s</Error>",
		               code, more);
	enum s3_verdict verdict = s3_judge(&place, &r, false, out, err);
	buf_release(&r.body);
	return verdict;
}

static void each_answer_has_its_verdict_and_code(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *code;
		enum s3_verdict verdict;
		int result;
	} cases[] = {
		{ 200, NULL, S3_SETTLED, 0 },
		{ 206, NULL, S3_SETTLED, 0 },
		{ 204, NULL, S3_SETTLED, 0 },
		{ 404, "NoSuchKey", S3_SETTLED, -ENOENT },
		{ 404, "NoSuchBucket", S3_SETTLED, -ENODEV },
		{ 404, "NoSuchUpload", S3_SETTLED, -ESTALE },
		{ 404, NULL, S3_SETTLED, -EPROTO },
		{ 412, "PreconditionFailed", S3_SETTLED, -EEXIST },
		{ 416, "InvalidRange", S3_SETTLED, -ERANGE },
		{ 403, "AccessDenied", S3_SETTLED, -EACCES },
		{ 403, "SignatureDoesNotMatch", S3_SETTLED, -EACCES },
		{ 401, NULL, S3_SETTLED, -EACCES },
		{ 400, "ExpiredToken", S3_SETTLED, -EACCES },
		{ 301, "PermanentRedirect", S3_SETTLED, -EINVAL },
		{ 307, "TemporaryRedirect", S3_SETTLED, -EINVAL },
		{ 400, "AuthorizationHeaderMalformed", S3_SETTLED, -EINVAL },
		{ 400, "InvalidArgument", S3_SETTLED, -EIO },
		{ 501, "NotImplemented", S3_UNCONDITIONAL, -EOPNOTSUPP },
		{ 503, "SlowDown", S3_SLOW, -ENETDOWN },
		{ 503, NULL, S3_SLOW, -ENETDOWN },
		{ 429, NULL, S3_SLOW, -ENETDOWN },
		{ 500, "InternalError", S3_AGAIN, -ENETDOWN },
		{ 502, NULL, S3_AGAIN, -ENETDOWN },
		{ 504, NULL, S3_AGAIN, -ENETDOWN },
		{ 409, "ConditionalRequestConflict", S3_AGAIN, -ENETDOWN },
		{ 400, "RequestTimeout", S3_AGAIN, -ENETDOWN },
		{ 400, "XAmzContentSHA256Mismatch", S3_AGAIN, -ENETDOWN },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;
		int code = 1;
		enum s3_verdict verdict = judge(cases[i].status, cases[i].code, "", &code, &err);
		if (verdict != cases[i].verdict || code != cases[i].result)
			fail_msg("%d %s: verdict %d, code %d: %s", cases[i].status, cases[i].code,
			         (int)verdict, code, err.text);
		assert_int_equal(err.text[0] != '\0', code < 0);
	}
}

static void lost_connections_are_tried_again_and_refused_certificates_are_not(void **state)
{
	(void)state;
	static const struct {
		enum http_fault fault;
		int code;
		enum s3_verdict verdict;
		int result;
	} cases[] = {
		{ HTTP_FAULT_RESOLVE, -EHOSTUNREACH, S3_AWAY, -ENETDOWN },
		{ HTTP_FAULT_CONNECT, -ECONNREFUSED, S3_AWAY, -ENETDOWN },
		{ HTTP_FAULT_TIMEOUT, -ETIMEDOUT, S3_AGAIN, -ENETDOWN },
		{ HTTP_FAULT_CUT, -ECONNRESET, S3_AGAIN, -ENETDOWN },
		{ HTTP_FAULT_TLS, -EPERM, S3_SETTLED, -EPERM },
		{ HTTP_FAULT_SINK, -ENOSPC, S3_SETTLED, -ENOSPC },
		{ HTTP_FAULT_TOO_LARGE, -EFBIG, S3_SETTLED, -EFBIG },
		{ HTTP_FAULT_OTHER, -EACCES, S3_SETTLED, -EACCES }, /* no credentials */
	};
	char because[] = "because";
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;
		struct http_response r = { .code = cases[i].code,
			                   .fault = cases[i].fault,
			                   .reason = because };
		int code = 1;
		assert_int_equal(s3_judge(&place, &r, false, &code, &err), cases[i].verdict);
		assert_int_equal(code, cases[i].result);
		assert_non_null(strstr(err.text, "because"));
	}
}

static void other_region_is_named_from_body_or_header(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	int code;
	judge(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>", &code, &err);
	assert_non_null(strstr(err.text, "AWS_REGION=eu-west-3"));
	struct http_response r = { .status = 301 };
	strv_add(&r.headers, "x-amz-bucket-region: ap-south-1");
	s3_judge(&place, &r, false, &code, &err);
	assert_non_null(strstr(err.text, "AWS_REGION=ap-south-1"));
	strv_release(&r.headers);
}

static void refusal_tells_the_services_code_and_message(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	int code;
	judge(403, "AccessDenied", "", &code, &err);
	assert_non_null(strstr(err.text, "AccessDenied"));
	assert_non_null(strstr(err.text, "as told"));
	judge(404, "NoSuchBucket", "", &code, &err);
	assert_non_null(strstr(err.text, "aws s3 mb s3://bucket"));
}

static void error_inside_a_success_is_seen_where_it_may_be(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	int code;
	struct http_response r = { .status = 200 };
	buf_add_str(&r.body, "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>");
	assert_int_equal(s3_judge(&place, &r, true, &code, &err), S3_AGAIN);
	assert_int_equal(code, -ENETDOWN);
	assert_int_equal(s3_judge(&place, &r, false, &code, &err), S3_SETTLED);
	assert_int_equal(code, 0);
	buf_release(&r.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_has_its_verdict_and_code),
		cmocka_unit_test(lost_connections_are_tried_again_and_refused_certificates_are_not),
		cmocka_unit_test(other_region_is_named_from_body_or_header),
		cmocka_unit_test(refusal_tells_the_services_code_and_message),
		cmocka_unit_test(error_inside_a_success_is_seen_where_it_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
