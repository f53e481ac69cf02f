/* What answers mean, row by row; and Lambda's report. */
#include <string.h>

#include "common/base64.h"
#include "engine/remote/verdict.h"
#include "engine/remote/wire_impl.h"
#include "tests/lib/test.h"

struct row {
	int status;
	const char *headers[3];
	const char *body;
	enum verdict_kind kind;
	const char *words; /* of the reason; NULL: there is none */
};

static void judge(void (*of)(const struct http_response *, struct verdict *), const struct row *row)
{
	struct http_response r = { .status = row->status };
	struct verdict v;
	for (size_t i = 0; i < 3 && row->headers[i]; i++)
		strv_add(&r.headers, row->headers[i]);
	buf_add_str(&r.body, row->body ? row->body : "");
	of(&r, &v);
	if (v.kind != row->kind || !v.reason != !row->words ||
	    (row->words && !strstr(v.reason, row->words)))
		fail_msg("status %d: kind %d, \"%s\" instead of kind %d, \"%s\"", row->status,
		         v.kind, v.reason ? v.reason : "", row->kind, row->words);
	verdict_release(&v);
	http_response_release(&r);
}

static void each_answer_of_lambda_means_one_thing(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ 200, { NULL }, "{}", VERDICT_ANSWER, NULL },
		{ 429,
		  { "x-amzn-errortype: TooManyRequestsException", "retry-after: 3" },
		  "{\"Reason\":\"ConcurrentInvocationLimitExceeded\",\"message\":\"Rate "
		  "Exceeded.\"}",
		  VERDICT_THROTTLED,
		  "429 TooManyRequestsException: Rate Exceeded." },
		{ 500, { "x-amzn-errortype: ServiceException" }, "{}", VERDICT_TROUBLE, "500" },
		{ 502, { NULL }, "<html>bad gateway</html>", VERDICT_TROUBLE, "502" },
		{ 503, { NULL }, "", VERDICT_TROUBLE, "503" },
		{ 504, { NULL }, "", VERDICT_TROUBLE, "504" },
		{ 409, { NULL }, "", VERDICT_TROUBLE, "409" },
		{ 403,
		  { "x-amzn-errortype: AccessDeniedException" },
		  "{}",
		  VERDICT_DENIED,
		  "AccessDenied" },
		{ 401, { NULL }, "", VERDICT_DENIED, "401" },
		{ 404, { NULL }, "", VERDICT_REFUSED, "ggfs lambda deploy" },
		{ 400, { NULL }, "", VERDICT_REFUSED, "400" },
		{ 302, { "location: http://elsewhere/" }, "", VERDICT_REFUSED, "302" },
		{ 413, { NULL }, "", VERDICT_TOO_LARGE, "413" },
		{ 200,
		  { "x-amz-function-error: Unhandled", "x-amzn-requestid: abc-1" },
		  "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"exit status 2\"}",
		  VERDICT_DIED,
		  "died (Unhandled Runtime.ExitError: exit status 2; request abc-1)" },
		{ 200,
		  { "x-amz-function-error: Unhandled" },
		  "{\"errorMessage\":\"2026 abc Task timed out after 3.00 seconds\"}",
		  VERDICT_DEADLINE,
		  "timeout" },
		{ 200,
		  { "x-amz-function-error: Unhandled" },
		  "{\"errorType\":\"Runtime.OutOfMemory\",\"errorMessage\":\"killed\"}",
		  VERDICT_NO_MEMORY,
		  "out of memory" },
		{ 200,
		  { "x-amz-function-error: Unhandled" },
		  "no JSON \xff",
		  VERDICT_DIED,
		  "died" },
		{ 200, { "x-amz-function-error: Unhandled" }, "", VERDICT_DIED, "unknown" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		judge(verdict_of_lambda, &rows[i]);
}

static void each_answer_of_a_worker_means_one_thing(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ 200, { NULL }, "{}", VERDICT_ANSWER, NULL },
		{ 401, { NULL }, "", VERDICT_DENIED, "401" },
		{ 403, { NULL }, "", VERDICT_DENIED, "403" },
		{ 404, { NULL }, "", VERDICT_REFUSED, "404" },
		{ 413, { NULL }, "", VERDICT_TOO_LARGE, "413" },
		{ 429, { NULL }, "", VERDICT_THROTTLED, "429" },
		{ 503, { NULL }, "", VERDICT_TROUBLE, "503" },
		{ 503, { "retry-after: 1" }, "", VERDICT_THROTTLED, "503" },
		{ 301, { "location: http://elsewhere/" }, "", VERDICT_REFUSED, "301" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		judge(verdict_of_http, &rows[i]);
}

static void without_a_status_the_fault_decides(void **state)
{
	(void)state;
	static const struct {
		int code;
		enum http_fault fault;
		uint64_t sent_bytes;
		enum verdict_kind kind;
		bool may_have_run;
	} rows[] = {
		{ -EHOSTUNREACH, HTTP_FAULT_RESOLVE, 0, VERDICT_UNREACHABLE, false },
		{ -ECONNREFUSED, HTTP_FAULT_CONNECT, 0, VERDICT_UNREACHABLE, false },
		{ -EPERM, HTTP_FAULT_TLS, 0, VERDICT_UNTRUSTED, false },
		{ -ETIMEDOUT, HTTP_FAULT_TIMEOUT, 0, VERDICT_UNREACHABLE, false },
		{ -ETIMEDOUT, HTTP_FAULT_TIMEOUT, 9, VERDICT_TROUBLE, true },
		{ -ECONNRESET, HTTP_FAULT_CUT, 9, VERDICT_TROUBLE, true },
		{ -EFBIG, HTTP_FAULT_TOO_LARGE, 9, VERDICT_TROUBLE, true },
		{ -EACCES, HTTP_FAULT_OTHER, 0, VERDICT_DENIED, false },
		{ -EIO, HTTP_FAULT_OTHER, 0, VERDICT_TROUBLE, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char words[] = "the words";
		const struct http_response r = { .code = rows[i].code,
			                         .fault = rows[i].fault,
			                         .sent_bytes = rows[i].sent_bytes,
			                         .reason = words };
		struct verdict v;
		verdict_of_lambda(&r, &v);
		assert_int_equal(v.kind, rows[i].kind);
		assert_int_equal(v.may_have_run, rows[i].may_have_run);
		assert_string_equal(v.reason, words);
		verdict_release(&v);
	}
}

static void what_a_service_asks_us_to_wait_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		int64_t ms;
	} rows[] = {
		{ "retry-after: 3", 3000 },
		{ "retry-after: 0", 0 },
		{ "retry-after: Tue, 24 Nov 2026 12:00:00 GMT", 1000 },
		{ "retry-after: 99999999999999999999999", 1000000000000 },
		{ "other: 3", 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct http_response r = { .status = 429 };
		struct verdict v;
		strv_add(&r.headers, rows[i].header);
		verdict_of_lambda(&r, &v);
		assert_true(rows[i].ms < 1000000 ? v.retry_after_ms == rows[i].ms
		                                 : v.retry_after_ms > 1000000);
		assert_true(v.retry_after_ms >= 0);
		verdict_release(&v);
		http_response_release(&r);
	}
}

/* --- reports -----------------------------------------------------------------------------------
 */

static bool parse(const char *log, struct report *out)
{
	scoped_buf struct buf text = BUF_INIT;
	base64_add(&text, log, strlen(log));
	return report_parse(text.data ? text.data : "", out);
}

#define REPORT                                                                                     \
	"REPORT RequestId: 3604209a-e9a3-11e6-939a-754dd98c7be3\tDuration: 12.34 ms\t"             \
	"Billed Duration: 100 ms\tMemory Size: 128 MB\tMax Memory Used: 18 MB\t"

static void a_report_is_read(void **state)
{
	(void)state;
	struct report r;
	assert_true(parse("START\n" REPORT "\n", &r));
	assert_int_equal(r.billed_ms, 100);
	assert_int_equal(r.memory_mib, 128);
	assert_int_equal(r.used_mib, 18);
	assert_false(r.cold);
	assert_true(parse(REPORT "Init Duration: 265.01 ms\t\nXRAY\n", &r));
	assert_true(r.cold);
	assert_int_equal(r.init_ms, 266);
	assert_true(parse(REPORT, &r));
}

static void the_last_report_counts_since_functions_can_print_one_too(void **state)
{
	(void)state;
	struct report r;
	assert_true(parse("REPORT RequestId: x\tBilled Duration: 1 ms\tMemory Size: 1 MB\t\n" REPORT
	                  "\n",
	                  &r));
	assert_int_equal(r.billed_ms, 100);
	/* In the middle of a line it is something else. */
	assert_true(parse(REPORT "\nI say REPORT RequestId: x\tBilled Duration: 1 ms\t"
	                         "Memory Size: 1 MB\t\n",
	                  &r));
	assert_int_equal(r.billed_ms, 100);
}

static void what_is_no_report_is_none(void **state)
{
	(void)state;
	struct report r = { .billed_ms = 7 };
	assert_false(parse("", &r));
	assert_false(parse("START RequestId: 1\nEND RequestId: 1\n", &r));
	assert_false(parse("REPORT RequestId: 1\tDuration: 1 ms\t\n", &r));
	assert_false(parse("REPORT RequestId: 1\tBilled Duration: x ms\tMemory Size: 1 MB\n", &r));
	assert_false(report_parse("!!!!", &r));
	scoped_free char *huge = xcalloc(1, 100001);
	memset(huge, 'A', 100000);
	assert_false(report_parse(huge, &r));
	assert_int_equal(r.billed_ms, 7);
	assert_true(parse("REPORT RequestId: 1\tBilled Duration: 99999999999999999999999 ms\t"
	                  "Memory Size: 1 MB\n",
	                  &r));
	assert_true(r.billed_ms < 100000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_of_lambda_means_one_thing),
		cmocka_unit_test(each_answer_of_a_worker_means_one_thing),
		cmocka_unit_test(without_a_status_the_fault_decides),
		cmocka_unit_test(what_a_service_asks_us_to_wait_is_read),
		cmocka_unit_test(a_report_is_read),
		cmocka_unit_test(the_last_report_counts_since_functions_can_print_one_too),
		cmocka_unit_test(what_is_no_report_is_none),
	};
	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
