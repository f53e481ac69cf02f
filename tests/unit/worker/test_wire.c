#include "tests/lib/test.h"

#include <string.h>

#include "engine/remote/wire_impl.h"

static struct digest digest_for(const char *text)
{
	struct digest d;
	digest_of(&d, text, strlen(text));
	return d;
}

static void add_blob(struct remote_blobs *b, const char *bytes, size_t len)
{
	struct digest d;
	digest_of(&d, bytes, len);
	remote_blobs_add(b, &d, bytes, len);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void request_comes_back_as_it_was_sent(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	struct digest thunks[2] = { digest_for("a"), digest_for("b") };
	struct digest next[2] = { digest_for("c"), digest_for("d") };
	char version[] = "0.1.0", url[] = "s3://bucket/\"pre\\fix\"", region[] = "eu-central-1";
	struct remote_pack packs[] = { { digest_for("m"), digest_for("p"), 1234567 } };
	struct remote_request sent = { .version = version,
		                       .packs = packs,
		                       .pack_count = 1,
		                       .thunks = thunks,
		                       .thunk_count = 2,
		                       .next = next,
		                       .next_count = 2,
		                       .far_url = url,
		                       .far_region = region,
		                       .far_path_style = 1,
		                       .keep_results = true,
		                       .inline_max = 65536 };
	char zeros[5000] = { 0 };
	add_blob(&sent.blobs, "", 0);
	add_blob(&sent.blobs, "x\0y", 3);
	add_blob(&sent.blobs, zeros, sizeof(zeros));
	remote_request_encode(&sent, &text);
	remote_blobs_release(&sent.blobs);
	assert_true(text.len < 1450); /* the zeros are packed */

	struct remote_request got = { 0 };
	assert_ok(remote_request_decode(text.data, text.len, &got, &err));
	assert_string_equal(got.version, "0.1.0");
	assert_int_equal(got.thunk_count, 2);
	assert_memory_equal(got.thunks, thunks, sizeof(thunks));
	assert_int_equal(got.next_count, 2);
	assert_memory_equal(got.next, next, sizeof(next));
	assert_string_equal(got.far_url, url);
	assert_null(got.far_endpoint);
	assert_string_equal(got.far_region, region);
	assert_int_equal(got.far_path_style, 1);
	assert_int_equal(got.pack_count, 1);
	assert_memory_equal(&got.packs[0], &packs[0], sizeof(packs[0]));
	assert_true(got.keep_results);
	assert_int_equal(got.inline_max, 65536);
	assert_int_equal(got.blobs.count, 3);
	assert_int_equal(got.blobs.items[0].len, 0);
	assert_memory_equal(got.blobs.items[1].bytes, "x\0y", 3);
	assert_int_equal(got.blobs.items[2].len, sizeof(zeros));
	assert_memory_equal(got.blobs.items[2].bytes, zeros, sizeof(zeros));
	remote_request_release(&got);
}

static void request_without_a_far_store_has_none(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	struct digest thunk = digest_for("a");
	struct remote_request sent = { .thunks = &thunk, .thunk_count = 1 }, got = { 0 };
	remote_request_encode(&sent, &text);
	assert_ok(remote_request_decode(text.data, text.len, &got, &err));
	assert_string_equal(got.version, GGFS_VERSION);
	assert_null(got.far_url);
	assert_int_equal(got.far_path_style, -1);
	assert_false(got.keep_results);
	remote_request_release(&got);
}

#define D "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
#define HEAD "{\"protocol\":1,\"version\":\"0.1.0\",\"thunks\":[\"" D "\"]"

static void malformed_requests_are_refused_and_leave_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int code;
	} wrong[] = {
		{ "", -EBADMSG },
		{ "{", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "{\"protocol\":\"1\"}", -EBADMSG },
		{ "{\"protocol\":1}", -EBADMSG },
		{ "{\"protocol\":1,\"version\":\"v\"}", -EBADMSG },
		{ "{\"protocol\":1,\"version\":\"v\",\"thunks\":[]}", -EBADMSG },
		{ "{\"protocol\":1,\"version\":\"v\",\"thunks\":[1]}", -EBADMSG },
		{ "{\"protocol\":1,\"version\":\"v\",\"thunks\":[\"abc\"]}", -EBADMSG },
		{ "{\"protocol\":1,\"version\":7,\"thunks\":[\"" D "\"]}", -EBADMSG },
		{ HEAD ",\"version\":\"twice\"}", -EBADMSG },
		{ HEAD ",\"far\":[]}", -EBADMSG },
		{ HEAD ",\"far\":{\"region\":\"r\"}}", -EBADMSG },
		{ HEAD ",\"far\":{\"url\":\"u\",\"path_style\":2}}", -EFBIG },
		{ HEAD ",\"keep_results\":1}", -EBADMSG },
		{ HEAD ",\"inline_max\":-1}", -EBADMSG },
		{ HEAD ",\"inline_max\":4294967296}", -EFBIG },
		{ HEAD ",\"inline_max\":1.5}", -EBADMSG },
		{ HEAD ",\"blobs\":{}}", -EBADMSG },
		{ HEAD ",\"blobs\":[1]}", -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\"}]}", -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"bytes\":\"YWJk\"}]}", -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"bytes\":\"Y\"}]}", -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"zstd\":\"YWJj\",\"size\":3}]}",
		  -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"zstd\":\"\",\"size\":268435457}]}",
		  -EFBIG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"zstd\":\"\",\"size\":0}]}", -EBADMSG },
		{ HEAD ",\"blobs\":[{\"digest\":\"" D "\",\"bytes\":\"\",\"zstd\":\"\"}]}",
		  -EBADMSG },
		{ HEAD ",\"version2\":\"\xff\"}", -EBADMSG },
		{ HEAD "}x", -EBADMSG },
	};
	static const struct remote_request empty;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err;
		struct remote_request got = { 0 };
		assert_error(
		        remote_request_decode(wrong[i].text, strlen(wrong[i].text), &got, &err),
		        wrong[i].code);
		assert_memory_equal(&got, &empty, sizeof(got));
	}
}

static void members_that_are_not_known_are_ignored(void **state)
{
	(void)state;
	struct error err;
	struct remote_request got = { 0 };
	static const char text[] = HEAD ",\"blobs\":null,\"hint\":{\"a\":[1,2]},\"x\":1e9}";
	assert_ok(remote_request_decode(text, strlen(text), &got, &err));
	assert_int_equal(got.blobs.count, 0);
	remote_request_release(&got);
}

static void another_protocol_is_eproto_and_names_the_sender(void **state)
{
	(void)state;
	struct error err;
	struct remote_request got = { 0 };
	static const char text[] = "{\"protocol\":2,\"version\":\"9.9\",\"thunks\":5}";
	assert_error(remote_request_decode(text, strlen(text), &got, &err), -EPROTO);
	assert_string_equal(got.version, "9.9");
	assert_null(got.thunks);
	remote_request_release(&got);
}

static void too_many_thunks_are_efbig(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	static struct digest thunks[REMOTE_THUNKS_MAX + 1];
	struct remote_request sent = { .thunks = thunks, .thunk_count = REMOTE_THUNKS_MAX + 1 };
	struct remote_request got = { 0 };
	remote_request_encode(&sent, &text);
	assert_error(remote_request_decode(text.data, text.len, &got, &err), -EFBIG);
}

static void messages_over_the_limit_are_efbig(void **state)
{
	(void)state;
	struct error err;
	struct remote_request got = { 0 };
	size_t len = (size_t)REMOTE_HTTP_BYTES_MAX + 1;
	scoped_free char *text = xmalloc(len);
	memset(text, ' ', len);
	assert_error(remote_request_decode(text, len, &got, &err), -EFBIG);
}

static void a_blob_takes_no_more_than_its_cost(void **state)
{
	(void)state;
	static uint8_t bytes[70000];
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
	for (size_t len = 0; len <= sizeof(bytes); len += 1 + len / 3) {
		struct remote_blobs blobs = { 0 };
		scoped_buf struct buf none = BUF_INIT, one = BUF_INIT;
		json_wire_add_blobs(&none, &blobs);
		remote_blobs_add(&blobs, &(struct digest){ 0 }, bytes, len);
		json_wire_add_blobs(&one, &blobs);
		assert_true(one.len - none.len < remote_blob_cost(len));
		remote_blobs_release(&blobs);
	}
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void fill_done(struct remote_result *r)
{
	struct ref ref = { .kind = REF_BLOB, .digest = digest_for("out"), .size_bytes = 3 };
	*r = (struct remote_result){ .thunk = digest_for("a"),
		                     .outcome = OUTCOME_DONE,
		                     .stored = true,
		                     .usage = { .micros = 1,
		                                .function_micros = 2,
		                                .max_rss_kib = 3,
		                                .far_gets = 4,
		                                .far_puts = 5,
		                                .far_received_bytes = 6,
		                                .far_sent_bytes = 7,
		                                .cold = true } };
	memo_add_output(&r->memo, "out dir/\x01", &ref);
	r->memo.micros = 2;
	r->stderr_tail = xstrdup("warning: \"x\"\n");
}

static void fill_failed(struct remote_result *r)
{
	*r = (struct remote_result){ .thunk = digest_for("b"),
		                     .outcome = OUTCOME_BAD_INPUT,
		                     .exit_status = -1,
		                     .has_absent = true,
		                     .absent = digest_for("gone"),
		                     .reason = xstrdup("gone"),
		                     .stderr_tail = xstrdup("") };
}

static void answer_comes_back_as_it_was_sent(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	struct remote_answer sent = { .version = xstrdup("0.1.0"),
		                      .worker = xstrdup("host/1"),
		                      .results = xcalloc(2, sizeof(struct remote_result)),
		                      .result_count = 2 };
	fill_done(&sent.results[0]);
	fill_failed(&sent.results[1]);
	add_blob(&sent.blobs, "out", 3);
	remote_answer_encode(&sent, &text);

	struct remote_answer got = { 0 };
	assert_ok(remote_answer_decode(text.data, text.len, &got, &err));
	assert_string_equal(got.worker, "host/1");
	assert_false(got.wrong_version);
	assert_null(got.reason);
	assert_int_equal(got.result_count, 2);
	const struct remote_result *done = &got.results[0], *failed = &got.results[1];
	assert_int_equal(done->outcome, OUTCOME_DONE);
	assert_int_equal(done->exit_status, 0);
	assert_true(done->stored);
	assert_int_equal(memo_output(&done->memo, "out dir/\x01")->size_bytes, 3);
	assert_string_equal(done->stderr_tail, "warning: \"x\"\n");
	assert_memory_equal(&done->usage, &sent.results[0].usage, sizeof(done->usage));
	assert_null(done->reason);
	assert_int_equal(failed->outcome, OUTCOME_BAD_INPUT);
	assert_int_equal(failed->exit_status, -1);
	assert_string_equal(failed->reason, "gone");
	assert_true(failed->has_absent);
	assert_true(digest_equal(&failed->absent, &sent.results[1].absent));
	assert_false(failed->stored);
	struct digest out = digest_for("out");
	assert_memory_equal(remote_blobs_find(&got.blobs, &out)->bytes, "out", 3);
	assert_null(remote_blobs_find(&got.blobs, &sent.results[0].thunk));
	remote_answer_release(&sent);
	remote_answer_release(&got);
}

static void every_outcome_comes_back(void **state)
{
	(void)state;
	for (int outcome = OUTCOME_FAILED; outcome <= OUTCOME_REFUSED; outcome++) {
		struct error err;
		scoped_buf struct buf text = BUF_INIT;
		struct remote_result result = { .outcome = (enum outcome)outcome,
			                        .exit_status = 137 };
		struct remote_answer sent = { .results = &result, .result_count = 1 }, got = { 0 };
		remote_answer_encode(&sent, &text);
		assert_ok(remote_answer_decode(text.data, text.len, &got, &err));
		assert_int_equal(got.results[0].outcome, outcome);
		assert_int_equal(got.results[0].exit_status, 137);
		remote_answer_release(&got);
	}
}

static void refusal_of_a_version_comes_back(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	char reason[] = "other";
	struct remote_answer sent = { .wrong_version = true, .reason = reason }, got = { 0 };
	remote_answer_encode(&sent, &text);
	assert_ok(remote_answer_decode(text.data, text.len, &got, &err));
	assert_true(got.wrong_version);
	assert_string_equal(got.reason, "other");
	assert_int_equal(got.result_count, 0);
	remote_answer_release(&got);
}

/* What a function writes may be anything; an answer is JSON, which is UTF-8. */
static void stderr_of_any_bytes_is_sent_as_utf_8(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\t\r\n\x1b\x7f", NULL },
		{ "\xff", "\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
		{ "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd" },               /* cut off */
		{ "\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct error err;
		scoped_buf struct buf text = BUF_INIT;
		scoped_free char *tail = xstrdup(pairs[i][0]);
		struct remote_result result = { .outcome = OUTCOME_FAILED, .stderr_tail = tail };
		struct remote_answer sent = { .results = &result, .result_count = 1 }, got = { 0 };
		remote_answer_encode(&sent, &text);
		assert_ok(remote_answer_decode(text.data, text.len, &got, &err));
		assert_string_equal(got.results[0].stderr_tail,
		                    pairs[i][1] ? pairs[i][1] : pairs[i][0]);
		remote_answer_release(&got);
	}
}

static void of_a_long_stderr_the_end_is_sent(void **state)
{
	(void)state;
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	size_t len = 2 * REMOTE_STDERR_MAX;
	scoped_free char *tail = xmalloc(len + 1);
	memset(tail, 'a', len);
	memcpy(tail + len - 3, "end", 4);
	struct remote_result result = { .outcome = OUTCOME_FAILED, .stderr_tail = tail };
	struct remote_answer sent = { .results = &result, .result_count = 1 }, got = { 0 };
	remote_answer_encode(&sent, &text);
	assert_ok(remote_answer_decode(text.data, text.len, &got, &err));
	assert_int_equal(strlen(got.results[0].stderr_tail), REMOTE_STDERR_MAX);
	assert_string_equal(got.results[0].stderr_tail + REMOTE_STDERR_MAX - 3, "end");
	remote_answer_release(&got);
}

#define RESULT "{\"thunk\":\"" D "\",\"outcome\":\"failed\""
#define ANSWER(members) "{\"protocol\":1,\"version\":\"v\",\"results\":[" members "]}"

static void malformed_answers_are_refused_and_leave_nothing(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		ANSWER("7"),
		ANSWER("{}"),
		ANSWER("{\"thunk\":\"" D "\"}"),
		ANSWER("{\"thunk\":\"" D "\",\"outcome\":\"splendid\"}"),
		ANSWER("{\"thunk\":\"" D "\",\"outcome\":\"done\"}"),
		ANSWER("{\"thunk\":\"" D "\",\"outcome\":\"done\",\"memo\":\"ggfs-memo 1\"}"),
		ANSWER("{\"thunk\":\"" D "\",\"outcome\":\"done\",\"memo\":\"ggfs-memo 1\\nthunk "
		       "aaaa813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
		       "\\nengine %\\nmicros 0\\ncost 0\\n\"}"),
		ANSWER(RESULT ",\"exit_status\":256}"),
		ANSWER(RESULT ",\"exit_status\":\"1\"}"),
		ANSWER(RESULT ",\"absent\":\"x\"}"),
		ANSWER(RESULT ",\"stored\":\"yes\"}"),
		ANSWER(RESULT ",\"usage\":{\"micros\":-1}}"),
		ANSWER(RESULT ",\"usage\":{\"cold\":0}}"),
		ANSWER(RESULT "}," RESULT ",\"reason\":[]}"),
	};
	static const struct remote_answer empty;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err;
		struct remote_answer got = { 0 };
		assert_error(remote_answer_decode(wrong[i], strlen(wrong[i]), &got, &err),
		             -EBADMSG);
		assert_memory_equal(&got, &empty, sizeof(got));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_comes_back_as_it_was_sent),
		cmocka_unit_test(request_without_a_far_store_has_none),
		cmocka_unit_test(malformed_requests_are_refused_and_leave_nothing),
		cmocka_unit_test(members_that_are_not_known_are_ignored),
		cmocka_unit_test(another_protocol_is_eproto_and_names_the_sender),
		cmocka_unit_test(too_many_thunks_are_efbig),
		cmocka_unit_test(messages_over_the_limit_are_efbig),
		cmocka_unit_test(a_blob_takes_no_more_than_its_cost),
		cmocka_unit_test(answer_comes_back_as_it_was_sent),
		cmocka_unit_test(every_outcome_comes_back),
		cmocka_unit_test(refusal_of_a_version_comes_back),
		cmocka_unit_test(stderr_of_any_bytes_is_sent_as_utf_8),
		cmocka_unit_test(of_a_long_stderr_the_end_is_sent),
		cmocka_unit_test(malformed_answers_are_refused_and_leave_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
