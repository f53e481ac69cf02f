/* What Lambda and the way to it may do, and what becomes of the thunks. */
#include <stdatomic.h>
#include <string.h>

#include "common/base64.h"
#include "engine/remote/wire_impl.h"
#include "tests/unit/remote/scene.h"

/* --- faults that pass --------------------------------------------------------------------------
 */

enum fault {
	FAULT_NONE,
	FAULT_STATUS,
	FAULT_CUT_BEFORE,
	FAULT_CUT_MIDDLE,
	FAULT_CUT_AFTER,
	FAULT_UNHANDLED,
	FAULT_NO_JSON,
	FAULT_WRONG_DIGEST,
	FAULT_OTHER_THUNK,
	FAULT_OTHER_OUTPUT,
	FAULT_MISSING_OUTPUT,
	FAULT_MISSING_BLOB,
	FAULT_LOST,
	FAULT_SLOW,
	FAULT_COUNT,
};

struct faulty {
	enum fault fault;
	int status;
	const char *type, *message;
	unsigned times; /* the first so many requests; UINT_MAX: all */
};

static void function_error(struct fake_act *act, const char *type, const char *message)
{
	buf_reset(&act->body);
	buf_add_format(&act->body, "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}", message, type);
	free(act->headers);
	act->headers = xstrdup("X-Amz-Function-Error: Unhandled\r\n"
	                       "x-amzn-RequestId: 11111111-2222\r\n");
}

static void spoil_answer(enum fault fault, const struct remote_request *request,
                         struct fake_act *act)
{
	struct remote_answer a;
	fake_answer_begin(&a, request);
	struct remote_result *r = &a.results[0];
	if (fault == FAULT_WRONG_DIGEST && a.blobs.count) {
		a.blobs.items[0].digest.bytes[5] ^= 1;
	} else if (fault == FAULT_OTHER_THUNK) {
		r->thunk.bytes[5] ^= 1;
		r->memo.thunk = r->thunk;
	} else if (fault == FAULT_OTHER_OUTPUT && r->memo.count) {
		memo_add_output(&r->memo, "etc/passwd", &r->memo.outputs[0].ref);
	} else if (fault == FAULT_MISSING_OUTPUT) {
		memo_release(&r->memo);
		r->memo = MEMO_INIT;
		r->memo.thunk = r->thunk;
		r->memo.engine = xstrdup("worker");
	} else if (fault == FAULT_MISSING_BLOB && r->memo.count) {
		r->memo.outputs[0].ref.digest.bytes[5] ^= 1;
	} else if (fault == FAULT_LOST) {
		memo_release(&r->memo);
		r->outcome = OUTCOME_LOST;
		r->reason = xstrdup("the worker had trouble");
	}
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void spoil(const struct faulty *f, const struct remote_request *request,
                  struct fake_act *act)
{
	switch (f->fault) {
	case FAULT_NONE:
	case FAULT_COUNT:
		break;
	case FAULT_STATUS:
		fake_act_error(act, f->status, f->type, f->message);
		break;
	case FAULT_CUT_BEFORE:
		act->cut = CUT_BEFORE;
		break;
	case FAULT_CUT_MIDDLE:
		act->cut = CUT_MIDDLE;
		break;
	case FAULT_CUT_AFTER:
		act->cut = CUT_AFTER;
		break;
	case FAULT_UNHANDLED:
		function_error(act, f->type ? f->type : "Runtime.ExitError",
		               f->message ? f->message : "Runtime exited with error");
		break;
	case FAULT_NO_JSON:
		buf_reset(&act->body);
		buf_add_str(&act->body, "<html>captive portal</html>");
		break;
	case FAULT_SLOW:
		act->delay_ms = 300;
		break;
	default:
		spoil_answer(f->fault, request, act);
	}
}

static void act_faulty(void *arg, unsigned number, const struct remote_request *request,
                       struct fake_act *act)
{
	const struct faulty *f = arg;
	if (number < f->times)
		spoil(f, request, act);
}

static void trouble_that_passes_is_outlived(void **state)
{
	(void)state;
	static const struct faulty rows[] = {
		{ FAULT_STATUS, 429, "TooManyRequestsException", "Rate Exceeded", 2 },
		{ FAULT_STATUS, 500, "ServiceException", "internal", 2 },
		{ FAULT_STATUS, 502, "EC2UnexpectedException", "", 2 },
		{ FAULT_STATUS, 503, "ServiceUnavailableException", "", 2 },
		{ FAULT_STATUS, 504, "", "gateway", 2 },
		{ FAULT_STATUS, 409, "ResourceConflictException", "being updated", 2 },
		{ .fault = FAULT_CUT_BEFORE, .times = 2 },
		{ .fault = FAULT_CUT_MIDDLE, .times = 2 },
		{ .fault = FAULT_UNHANDLED, .times = 2 },
		{ .fault = FAULT_NO_JSON, .times = 2 },
		{ .fault = FAULT_WRONG_DIGEST, .times = 2 },
		{ .fault = FAULT_OTHER_THUNK, .times = 2 },
		{ .fault = FAULT_OTHER_OUTPUT, .times = 2 },
		{ .fault = FAULT_MISSING_OUTPUT, .times = 2 },
		{ .fault = FAULT_MISSING_BLOB, .times = 2 },
		{ .fault = FAULT_LOST, .times = 2 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct scene s;
		struct task t;
		struct faulty row = rows[i];
		scene_begin_lambda(&s, false, 10, NULL, NULL, act_faulty, &row);
		task_init(&t, "one");
		task_run(&s, &t);
		expect_done(&s, &t);
		/* libcurl asks once more by itself where a kept connection was cut at once. */
		assert_in_range(fake_worker_requests(s.worker), 3, 5);
		assert_int_equal(scene_totals(&s).retried, 2);
		assert_int_equal(scene_totals(&s).throttled, row.status == 429 ? 2 : 0);
		assert_int_equal(scene_totals(&s).in_flight, 0);
		task_release(&t);
		scene_end(&s);
	}
}

static void a_connection_that_ends_after_its_answer_harms_nobody(void **state)
{
	(void)state;
	struct scene s;
	struct faulty row = { .fault = FAULT_CUT_AFTER, .times = UINT32_MAX };
	scene_begin_lambda(&s, false, 10, NULL, NULL, act_faulty, &row);
	for (int i = 0; i < 3; i++) {
		struct task t;
		scoped_free char *name = xformat("%d", i);
		task_init(&t, name);
		task_run(&s, &t);
		expect_done(&s, &t);
		task_release(&t);
	}
	assert_int_equal(scene_totals(&s).retried, 0);
	scene_end(&s);
}

/* --- faults that stay --------------------------------------------------------------------------
 */

struct lasting {
	struct faulty faulty;
	enum outcome outcome;
	unsigned requests; /* at most */
	const char *words;
};

static void trouble_that_stays_ends_in_bounds_and_says_what_it_was(void **state)
{
	(void)state;
	static const struct lasting rows[] = {
		{ { FAULT_STATUS, 403, "AccessDeniedException", "not authorized", UINT32_MAX },
		  OUTCOME_DENIED,
		  1,
		  "AccessDeniedException: not authorized" },
		{ { FAULT_STATUS, 404, "ResourceNotFoundException", "no function", UINT32_MAX },
		  OUTCOME_UNREACHABLE,
		  1,
		  "ggfs lambda deploy" },
		{ { FAULT_STATUS, 400, "InvalidRequestContentException", "bad", UINT32_MAX },
		  OUTCOME_UNREACHABLE,
		  1,
		  "InvalidRequestContentException" },
		{ { FAULT_STATUS, 413, "RequestTooLargeException", "6291456", UINT32_MAX },
		  OUTCOME_REFUSED,
		  1,
		  "RequestTooLargeException" },
		{ { FAULT_STATUS, 301, "", "", UINT32_MAX }, OUTCOME_UNREACHABLE, 1, "301" },
		{ { FAULT_UNHANDLED, 0, "Runtime.OutOfMemory", "killed", UINT32_MAX },
		  OUTCOME_FAILED,
		  REMOTE_DEATHS_MAX,
		  "ran out of memory" },
		{ { FAULT_UNHANDLED, 0, "Sandbox.Timedout",
		    "2026-11-24T12:00:00Z 11111111-2222 Task timed out after 3.00 seconds",
		    UINT32_MAX },
		  OUTCOME_TIMED_OUT,
		  REMOTE_DEATHS_MAX,
		  "reached the function's timeout" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct scene s;
		struct task t;
		struct faulty faulty = rows[i].faulty;
		scene_begin_lambda(&s, false, 10, NULL, NULL, act_faulty, &faulty);
		task_init(&t, "one");
		task_run(&s, &t);
		expect_failed(&t, rows[i].outcome, rows[i].words);
		if (faulty.fault == FAULT_UNHANDLED)
			assert_non_null(strstr(t.result.reason, "11111111-2222"));
		assert_int_equal(fake_worker_requests(s.worker), rows[i].requests);
		task_release(&t);
		scene_end(&s);
	}
}

struct poison {
	struct digest thunk;
	atomic_uint deaths;
};

static void die_of_one(void *arg, unsigned number, const struct remote_request *request,
                       struct fake_act *act)
{
	struct poison *p = arg;
	(void)number;
	for (size_t i = 0; i < request->thunk_count; i++) {
		if (!digest_equal(&request->thunks[i], &p->thunk))
			continue;
		p->deaths++;
		function_error(act, "Runtime.OutOfMemory", "signal: killed");
	}
}

static void a_poison_thunk_fails_alone(void **state)
{
	(void)state;
	enum { COUNT = 40, POISON = 7 };
	static struct task tasks[COUNT];
	struct scene s;
	struct poison p = { 0 };
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		tasks[i].job.expected_micros = 1000; /* so that they share requests */
	}
	assert_int_equal(thunk_finish(&tasks[POISON].thunk, NULL), 0);
	thunk_digest(&tasks[POISON].thunk, &p.thunk);
	scene_begin_lambda(&s, false, 2, NULL, NULL, die_of_one, &p);
	for (int i = 0; i < COUNT; i++)
		task_start(&s, &tasks[i]);
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		if (i == POISON)
			expect_failed(&tasks[i], OUTCOME_FAILED, "ran out of memory");
		else
			expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	assert_in_range(p.deaths, REMOTE_DEATHS_MAX, REMOTE_DEATHS_MAX + 1);
	scene_end(&s);
}

static void say_other_version(void *arg, unsigned number, const struct remote_request *request,
                              struct fake_act *act)
{
	struct remote_answer a = { .version = xstrdup("9.9"),
		                   .worker = xstrdup("old"),
		                   .wrong_version = true };
	(void)arg;
	(void)number;
	(void)request;
	fake_act_answer(act, &a);
	remote_answer_release(&a);
}

static void a_worker_of_another_version_is_not_worked_with(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	scene_begin_lambda(&s, false, 10, NULL, NULL, say_other_version, NULL);
	task_init(&t, "one");
	task_run(&s, &t);
	expect_failed(&t, OUTCOME_UNREACHABLE, "version 9.9");
	assert_int_equal(fake_worker_requests(s.worker), 1);
	task_release(&t);
	scene_end(&s);
}

/* --- too large ---------------------------------------------------------------------------------
 */

static void refuse_inline(void *arg, unsigned number, const struct remote_request *request,
                          struct fake_act *act)
{
	(void)arg;
	(void)number;
	if (request->blobs.count > 1)
		fake_act_error(act, 413, "RequestTooLargeException", "too large");
}

static void what_a_service_finds_too_large_goes_through_the_far_store(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct digest d;
	scene_begin_lambda(&s, true, 10, NULL, NULL, refuse_inline, NULL);
	task_init(&t, "one");
	task_input(&s, &t, "in", "text", 4);
	digest_of(&d, "text", 4);
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_true(fake_far_has(s.far, &d));
	assert_int_equal(fake_worker_requests(s.worker), 2);
	task_release(&t);
	scene_end(&s);
}

/* --- too many ----------------------------------------------------------------------------------
 */

/* Ten at once; who is over is told so at once. Each takes 100 ms, so that the count is about right.
 */
static void ten_at_once(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	struct scene **s = arg;
	(void)number;
	(void)request;
	act->delay_ms = 100;
	if (fake_worker_waiting((*s)->worker) > 10) {
		fake_act_error(act, 429, "TooManyRequestsException", "Rate Exceeded.");
		act->delay_ms = 0;
	}
}

static void a_service_that_takes_ten_at_once_is_learnt(void **state)
{
	(void)state;
	enum { COUNT = 200 };
	static struct task tasks[COUNT];
	struct scene s, *itself = &s;
	scene_begin_lambda(&s, false, COUNT, NULL, NULL, ten_at_once, &itself);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		tasks[i].job.expected_micros = 1000000; /* each by itself */
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		expect_done(&s, &tasks[i]);
		task_release(&tasks[i]);
	}
	/* The first burst. On a machine so slow that refusals are read after what was taken, more
	 * seems to have been out together, and each answer brings one more. */
	assert_true(scene_totals(&s).throttled < 3 * COUNT);
	scene_end(&s);
}

/* --- nobody there ------------------------------------------------------------------------------
 */

static void a_host_that_speaks_no_tls_is_not_trusted_and_not_asked_twice(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct fake_worker *plain = fake_worker_new(NULL, NULL);
	scoped_free char *endpoint = xformat("https%s", strchr(fake_worker_url(plain), ':'));
	int64_t begin = now_ms();
	scene_begin_lambda(&s, false, 10, endpoint, NULL, NULL, NULL);
	task_init(&t, "one");
	task_run(&s, &t);
	assert_int_equal(t.result.outcome, OUTCOME_UNREACHABLE);
	assert_true(now_ms() - begin < 5000);
	task_release(&t);
	scene_end(&s);
	fake_worker_free(plain);
}

/* --- credentials -------------------------------------------------------------------------------
 */

static void without_credentials_nothing_is_sent(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	static char home[] = "HOME=/nonexistent", imds[] = "AWS_EC2_METADATA_DISABLED=true";
	char *none[] = { home, imds, NULL };
	scene_begin_lambda(&s, false, 10, NULL, none, NULL, NULL);
	task_init(&t, "one");
	task_run(&s, &t);
	assert_int_equal(t.result.outcome, OUTCOME_DENIED);
	assert_true(strlen(t.result.reason) > 10);
	assert_int_equal(fake_worker_requests(s.worker), 0);
	task_release(&t);
	scene_end(&s);
}

static void expire_in_the_middle(void *arg, unsigned number, const struct remote_request *request,
                                 struct fake_act *act)
{
	(void)arg;
	(void)request;
	if (number == 5 || number == 6)
		fake_act_error(act, 403, "ExpiredTokenException", "The security token is expired");
}

static void credentials_that_expire_half_way_are_renewed(void **state)
{
	(void)state;
	struct scene s;
	scene_begin_lambda(&s, false, 10, NULL, NULL, expire_in_the_middle, NULL);
	for (int i = 0; i < 8; i++) {
		struct task t;
		scoped_free char *name = xformat("%d", i);
		task_init(&t, name);
		task_run(&s, &t);
		expect_done(&s, &t);
		task_release(&t);
	}
	assert_int_equal(fake_worker_requests(s.worker), 10);
	scene_end(&s);
}

/* --- the bill ----------------------------------------------------------------------------------
 */

static void report(void *arg, unsigned number, const struct remote_request *request,
                   struct fake_act *act)
{
	static const char log[] = "START RequestId: 1 Version: 1\nREPORT RequestId: forged\n"
	                          "END RequestId: 1\n"
	                          "REPORT RequestId: 1\tDuration: 1234.56 ms\t"
	                          "Billed Duration: 1500 ms\tMemory Size: 2048 MB\t"
	                          "Max Memory Used: 99 MB\tInit Duration: 265.44 ms\t\n";
	scoped_buf struct buf text = BUF_INIT;
	(void)arg;
	(void)request;
	if (number == 0)
		function_error(act, "Runtime.ExitError",
		               "Runtime exited with error: exit status 1");
	base64_add(&text, log, strlen(log));
	scoped_free char *before = act->headers;
	act->headers = xformat("%sX-Amz-Log-Result: %s\r\n", before ? before : "", text.data);
}

static void every_try_is_on_the_bill_by_its_report(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	scene_begin_lambda(&s, false, 10, NULL, NULL, report, NULL);
	uint64_t one = price_lambda(&s.prices, 1500, 2048, false);
	task_init(&t, "one");
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_int_equal(t.result.memo.cost_nanodollars, 2 * one);
	struct ledger_totals totals = scene_totals(&s);
	assert_int_equal(totals.spent, 2 * one);
	assert_int_equal(totals.billed_ms, 3000);
	assert_int_equal(totals.cold_starts, 2);
	assert_int_equal(totals.invocations, 2);
	assert_int_equal(totals.failed, 1);
	assert_int_equal(totals.retried, 1);
	/* A second of the memory that was reported, from now on. */
	assert_int_equal(s.engine->ops->price(s.engine, NULL),
	                 price_lambda(&s.prices, 1000, 2048, false));
	task_release(&t);
	scene_end(&s);
}

/* --- all at once -------------------------------------------------------------------------------
 */

static void anything(void *arg, unsigned number, const struct remote_request *request,
                     struct fake_act *act)
{
	uint64_t random = (*(const uint64_t *)arg + number) * 0x9e3779b97f4a7c15u;
	static const int statuses[] = { 429, 500, 502, 503, 504 };
	struct faulty f = { .type = "ServiceException", .message = "by chance" };
	random ^= random >> 29;
	random *= 0xbf58476d1ce4e5b9u;
	random ^= random >> 32;
	if (random % 100 >= 60)
		return;
	f.fault = (enum fault)(random / 100 % FAULT_COUNT);
	f.status = statuses[random / 10000 % 5];
	if (f.fault == FAULT_UNHANDLED)
		f.type = NULL;
	spoil(&f, request, act);
}

static void whatever_happens_every_job_is_answered_and_rightly(void **state)
{
	(void)state;
	enum { COUNT = 100, SEEDS = 3 };
	static struct task tasks[COUNT];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct scene s;
		scene_begin_lambda(&s, false, 32, NULL, NULL, anything, &seed);
		for (int i = 0; i < COUNT; i++) {
			scoped_free char *name = xformat("%d", i);
			task_init(&tasks[i], name);
			tasks[i].job.expected_micros = i % 2 ? 1000 : 1000000;
			task_start(&s, &tasks[i]);
		}
		for (int i = 0; i < COUNT; i++) {
			task_wait(&tasks[i]);
			expect_done(&s, &tasks[i]);
			task_release(&tasks[i]);
		}
		s.engine->ops->free(s.engine);
		s.engine = NULL;
		assert_int_equal(scene_totals(&s).in_flight, 0);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trouble_that_passes_is_outlived),
		cmocka_unit_test(a_connection_that_ends_after_its_answer_harms_nobody),
		cmocka_unit_test(trouble_that_stays_ends_in_bounds_and_says_what_it_was),
		cmocka_unit_test(a_poison_thunk_fails_alone),
		cmocka_unit_test(a_worker_of_another_version_is_not_worked_with),
		cmocka_unit_test(what_a_service_finds_too_large_goes_through_the_far_store),
		cmocka_unit_test(a_service_that_takes_ten_at_once_is_learnt),
		cmocka_unit_test(a_host_that_speaks_no_tls_is_not_trusted_and_not_asked_twice),
		cmocka_unit_test(without_credentials_nothing_is_sent),
		cmocka_unit_test(credentials_that_expire_half_way_are_renewed),
		cmocka_unit_test(every_try_is_on_the_bill_by_its_report),
		cmocka_unit_test(whatever_happens_every_job_is_answered_and_rightly),
	};
	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
