/* Each message: what is encoded is decoded, and what is cut off anywhere is -EBADMSG. */
#include <errno.h>

#include "engine/service/messages.h"
#include "tests/lib/test.h"

typedef int decode_fn(const char *p, size_t len);

/* The whole decodes; every shorter piece, and the whole with a byte more, do not. */
static void check_cuts(const struct buf *b, decode_fn *decode, bool may_grow)
{
	assert_int_equal(decode(b->data, b->len), 0);
	for (size_t len = 0; len < b->len; len++) {
		scoped_free char *exact = xmalloc(len);
		memcpy(exact, b->data, len);
		assert_int_equal(decode(exact, len), -EBADMSG);
	}
	scoped_free char *more = xcalloc(1, b->len + 1);
	memcpy(more, b->data, b->len);
	assert_int_equal(decode(more, b->len + 1), may_grow ? 0 : -EBADMSG);
}

static int decode_hello(const char *p, size_t len)
{
	struct message_hello m;
	int r = message_hello_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_string_equal(m.version, "1.2");
		message_hello_release(&m);
	}
	return r;
}

static void a_greeting_may_grow_but_not_shrink(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char version[] = "1.2", store[] = "/s";
	struct message_hello m = { .protocol = 3, .pid = 4, .version = version, .store = store };
	message_hello_encode(&b, &m);
	check_cuts(&b, decode_hello, true);
}

static int decode_infer(const char *p, size_t len)
{
	struct infer_request m;
	int r = message_infer_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_string_equal(m.argv.items[1], "-c");
		assert_int_equal(m.umask, 022);
		assert_int_equal(m.discovery_status, 1);
		infer_request_release(&m);
	}
	return r;
}

static void infer_requests(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct infer_request m = { .cwd = xstrdup("/d"),
		                   .tool = xstrdup("/usr/bin/gcc"),
		                   .umask = 022,
		                   .discovered = true,
		                   .discovery = xstrdup("x"),
		                   .discovery_len = 1,
		                   .discovery_status = 1 };
	strv_add(&m.argv, "gcc");
	strv_add(&m.argv, "-c");
	strv_add(&m.env, "A=b");
	strv_add(&m.eager, "conftest*");
	message_infer_encode(&b, &m);
	check_cuts(&b, decode_infer, false);
	free(m.cwd);
	m.cwd = xstrdup("relative");
	buf_reset(&b);
	message_infer_encode(&b, &m);
	assert_int_equal(decode_infer(b.data, b.len), -EBADMSG);
	infer_request_release(&m);
}

static int decode_infer_answer(const char *p, size_t len)
{
	struct infer_answer m;
	int r = message_infer_answer_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.file_count, 1);
		assert_memory_equal(m.files[0].bytes, "a\0b", 3);
		infer_answer_release(&m);
	}
	return r;
}

static void infer_answers(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct infer_answer m = { .kind = INFER_RECORDED, .reason = xstrdup("") };
	array_grow(m.files, m.file_count, m.file_capacity);
	m.files[m.file_count++] = (struct infer_file){
		.path = xstrdup("/d/x.o"), .mode = 0644, .bytes = xcalloc(1, 3), .len = 3
	};
	memcpy(m.files[0].bytes, "a\0b", 3);
	message_infer_answer_encode(&b, &m);
	check_cuts(&b, decode_infer_answer, false);
	infer_answer_release(&m);
}

static int decode_force(const char *p, size_t len)
{
	struct message_force m;
	int r = message_force_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.count, 1);
		assert_string_equal(m.refs[0].output, "o");
		assert_string_equal(m.asker, "me");
		assert_true(m.local_only);
		assert_false(m.leave_far);
		assert_int_equal(m.budget_nanodollars, 1u << 31);
		message_force_release(&m);
	}
	return r;
}

static void forces(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char output[] = "o", asker[] = "me", engine[] = "local";
	struct ref ref = { .kind = REF_THUNK, .output = output };
	struct message_force m = { .refs = &ref,
		                   .count = 1,
		                   .engine = engine,
		                   .asker = asker,
		                   .deadline_ms = 7,
		                   .priority = PRIORITY_READER,
		                   .events = true,
		                   .local_only = true,
		                   .budget_nanodollars = 1u << 31 };
	message_force_encode(&b, &m);
	check_cuts(&b, decode_force, false);
	m.priority = 9;
	buf_reset(&b);
	message_force_encode(&b, &m);
	assert_int_equal(decode_force(b.data, b.len), -EBADMSG);
}

static int decode_event(const char *p, size_t len)
{
	struct message_event m;
	int r = message_event_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.counts.failed, 4);
		assert_int_equal(m.counts.cost_nanodollars, 6);
		assert_string_equal(m.event.label, "x.o");
		message_event_release(&m);
	}
	return r;
}

static void events(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct message_event m = { .counts = { 1, 2, 3, 4, 5, 6 }, .has_event = true };
	m.event.kind = FORCE_EVENT_KNOWN;
	m.event.label = "x.o";
	m.event.stderr_tail = "";
	message_event_encode(&b, &m);
	check_cuts(&b, decode_event, false);
}

static int decode_result(const char *p, size_t len)
{
	uint32_t index;
	struct client_force_result m;
	int r = message_result_decode(p, len, &index, &m, NULL);
	if (r == 0) {
		assert_int_equal(index, 11);
		assert_int_equal(m.code, -EREMOTEIO);
		client_force_result_release(&m);
	}
	return r;
}

static void results(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char reason[] = "exit status 1";
	struct client_force_result m = { .code = -EREMOTEIO, .reason = reason };
	message_result_encode(&b, 11, &m);
	check_cuts(&b, decode_result, false);
	m.code = 5;
	buf_reset(&b);
	message_result_encode(&b, 11, &m);
	assert_int_equal(decode_result(b.data, b.len), -EBADMSG);
}

static int decode_look(const char *p, size_t len)
{
	struct force_look m;
	int r = message_look_decode(p, len, &m, NULL);
	if (r == 0) {
		if (m.state == STATE_FAILED)
			assert_string_equal(m.failure.stderr_tail, "oh");
		ref_release(&m.ref);
		failure_release(&m.failure);
	}
	return r;
}

static void looks_in_every_state(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char reason[] = "no", tail[] = "oh", engine[] = "local";
	struct force_look m = { .state = STATE_FAILED, .size_guess = UINT64_MAX };
	m.failure = (struct failure){ .code = EREMOTEIO,
		                      .exit_status = 1,
		                      .reason = reason,
		                      .stderr_tail = tail,
		                      .engine = engine };
	message_look_encode(&b, &m);
	check_cuts(&b, decode_look, false);
	m.state = STATE_READY;
	m.ref = (struct ref){ .kind = REF_BLOB, .size_bytes = 3 };
	buf_reset(&b);
	message_look_encode(&b, &m);
	check_cuts(&b, decode_look, false);
	m.state = STATE_FORCING;
	buf_reset(&b);
	message_look_encode(&b, &m);
	check_cuts(&b, decode_look, false);
	b.data[0] = 17;
	assert_int_equal(decode_look(b.data, b.len), -EBADMSG);
}

static int decode_estimate(const char *p, size_t len)
{
	struct force_estimate m;
	int r = message_estimate_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.to_run, 1);
		assert_int_equal(m.nanodollars, 5);
		assert_int_equal(m.spent_nanodollars, 7);
		assert_true(m.is_cut);
	}
	return r;
}

static void estimates(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct force_estimate m = { 1, 2, 3, 4, 5, 6, 7, true };
	message_estimate_encode(&b, &m);
	check_cuts(&b, decode_estimate, false);
}

static int decode_bill(const char *p, size_t len)
{
	struct client_bill m;
	int r = message_bill_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.totals.spent, 1);
		assert_int_equal(m.totals.cold_starts, 9);
		assert_int_equal(m.totals.far_received_bytes, 13);
		assert_string_equal(m.far_url, "s3://b");
		client_bill_release(&m);
	}
	return r;
}

static void bills(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char url[] = "s3://b", date[] = "2026-11-24";
	struct client_bill m = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 }, date, url, true };
	message_bill_encode(&b, &m);
	check_cuts(&b, decode_bill, false);
}

static int decode_info(const char *p, size_t len)
{
	struct client_service_info m;
	int r = message_info_decode(p, len, &m, NULL);
	if (r == 0) {
		assert_int_equal(m.jobs, 6);
		assert_string_equal(m.mounts.items[0], "/m");
		client_service_info_release(&m);
	}
	return r;
}

static void infos(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char version[] = "1", store[] = "/s", engine[] = "local";
	struct client_service_info m = {
		.pid = 5, .version = version, .store = store, .engine = engine, .jobs = 6
	};
	strv_add(&m.mounts, "/m");
	message_info_encode(&b, &m);
	check_cuts(&b, decode_info, false);
	strv_release(&m.mounts);
}

static int decode_record(const char *p, size_t len)
{
	struct wire_reader r = wire_reader(p, len);
	struct log_record m;
	message_log_record_read(&r, &m);
	int code = wire_done(&r, NULL);
	if (code == 0) {
		assert_string_equal(m.label, "x.o");
		assert_string_equal(m.stderr_tail, "warning");
		assert_int_equal(m.micros, 12);
		assert_true(m.memoised);
	}
	log_record_release(&m);
	return code;
}

static void records_of_the_log(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	char label[] = "x.o", asker[] = "cat[1]", engine[] = "local", tail[] = "warning";
	struct log_record m = { .when_ns = 5,
		                .label = label,
		                .asker = asker,
		                .engine = engine,
		                .micros = 12,
		                .code = 0,
		                .memoised = true,
		                .stderr_tail = tail };
	message_log_record_encode(&b, &m);
	check_cuts(&b, decode_record, false);
}

/* 2^32 is 0 in 32 bits: no success may be made of it. */
static void numbers_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	uint32_t index;
	struct client_force_result result;
	scoped_buf struct buf b = BUF_INIT;
	struct ref ref = { .kind = REF_BLOB };
	struct digest d = { { 0 } };
	wire_u32(&b, 0);
	wire_i64(&b, -(INT64_C(1) << 32));
	wire_ref(&b, &ref);
	wire_string(&b, "");
	wire_digest(&b, &d);
	wire_u8(&b, 0);
	assert_int_equal(message_result_decode(b.data, b.len, &index, &result, NULL), -EBADMSG);
}

static void a_deadline_of_ages_is_none(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct message_force m = { .deadline_ms = INT64_MAX }, got;
	message_force_encode(&b, &m);
	assert_int_equal(message_force_decode(b.data, b.len, &got, NULL), 0);
	assert_int_equal(got.deadline_ms, 0);
	message_force_release(&got);
	/* Who sends one all the same: now and it together would be past the end of time. */
	size_t at = 4 + 4 + 4 + 4; /* no refs, jobs, two empty strings */
	memset(b.data + at, 0xff, 7);
	b.data[at + 7] = 0x7f;
	assert_int_equal(message_force_decode(b.data, b.len, &got, NULL), -EBADMSG);
}

static void errors_carry_their_code_and_sentence(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;
	message_error_encode(&b, -ENOENT, "no such blob");
	assert_int_equal(message_error_decode(b.data, b.len, &err), -ENOENT);
	assert_string_equal(err.text, "no such blob");
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(message_error_decode(b.data, len, NULL), -EBADMSG);
	buf_reset(&b);
	message_error_encode(&b, 0, "not an error");
	assert_int_equal(message_error_decode(b.data, b.len, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_may_grow_but_not_shrink),
		cmocka_unit_test(infer_requests),
		cmocka_unit_test(infer_answers),
		cmocka_unit_test(forces),
		cmocka_unit_test(events),
		cmocka_unit_test(results),
		cmocka_unit_test(looks_in_every_state),
		cmocka_unit_test(estimates),
		cmocka_unit_test(bills),
		cmocka_unit_test(infos),
		cmocka_unit_test(records_of_the_log),
		cmocka_unit_test(numbers_that_do_not_fit_are_refused),
		cmocka_unit_test(a_deadline_of_ages_is_none),
		cmocka_unit_test(errors_carry_their_code_and_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
