/* Requests of several thunks, and of thunks whose inputs the ones before them make. */
#include <string.h>

#include "tests/unit/worker/worker_fixture.h"

#define OUTPUT "w/out"

static void several_thunks_of_a_request_run_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct digest d[3];
	const char *scripts[] = { "echo 1 >out", "exit 3", "echo 3 >out" };
	for (int i = 0; i < 3; i++) {
		struct thunk t;
		fixture_thunk(f, scripts[i], &t);
		d[i] = fixture_save(f, &t);
	}
	fixture_run(f, d, 3, 0, NULL);
	assert_int_equal(f->answer.result_count, 3);
	fixture_expect_output(f, 0, OUTPUT, "1\n");
	assert_int_equal(f->answer.results[1].outcome, OUTCOME_FAILED);
	assert_int_equal(f->answer.results[1].exit_status, 3);
	fixture_expect_output(f, 2, OUTPUT, "3\n");
}

/* A thunk that reads w/in, which is the output of the thunk called before. */
static struct digest add_next(struct fixture *f, struct remote_request *request, struct buf *text,
                              const char *script, const struct digest *before)
{
	struct thunk t;
	struct digest d;
	struct error err;
	char output[] = OUTPUT;
	const struct ref ref = { .kind = REF_THUNK, .digest = *before, .output = output };
	fixture_thunk(f, script, &t);
	manifest_add_file(&t.inputs, "w/in", 0644, &ref);
	assert_ok(thunk_finish(&t, &err));
	thunk_encode(&t, text);
	thunk_digest(&t, &d);
	thunk_release(&t);
	remote_blobs_add(&request->blobs, &d, text->data, text->len);
	request->next[request->next_count++] = d;
	return d;
}

static void what_comes_next_gets_what_was_made_before_it(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	struct buf texts[3] = { BUF_INIT, BUF_INIT, BUF_INIT };
	char url[] = "s3://fake";
	struct digest next[3], stranger = { { 7 } };
	struct remote_request request = { .far_url = url,
		                          .far_path_style = -1,
		                          .keep_results = true,
		                          .inline_max = 1 << 20,
		                          .next = next };
	fixture_thunk(f, "echo one >out", &t);
	struct digest first = fixture_save(f, &t);
	struct digest second = add_next(f, &request, &texts[0], "cat in in >out", &first);
	add_next(f, &request, &texts[1], "cat in >out", &stranger);
	add_next(f, &request, &texts[2], "cat in in >out", &second);
	fixture_run(f, &first, 1, 0, &request);
	assert_int_equal(f->answer.result_count, 3);
	fixture_expect_output(f, 0, OUTPUT, "one\n");
	fixture_expect_output(f, 1, OUTPUT, "one\none\n");
	fixture_expect_output(f, 2, OUTPUT, "one\none\none\none\n");
	/* What they are results of has digests where the names of others were. */
	assert_false(digest_equal(&f->answer.results[1].thunk, &second));
	assert_true(f->answer.results[2].stored);
	remote_blobs_release(&request.blobs);
	for (int i = 0; i < 3; i++)
		buf_release(&texts[i]);
}

static void nothing_comes_next_after_a_failure(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	struct buf texts[2] = { BUF_INIT, BUF_INIT };
	char url[] = "s3://fake";
	struct digest next[2];
	struct remote_request request = { .far_url = url, .far_path_style = -1, .next = next };
	fixture_thunk(f, "echo one >out", &t);
	struct digest first = fixture_save(f, &t);
	struct digest second = add_next(f, &request, &texts[0], "exit 3", &first);
	add_next(f, &request, &texts[1], "cat in >out", &second);
	fixture_run(f, &first, 1, 0, &request);
	assert_int_equal(f->answer.result_count, 2);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
	assert_int_equal(f->answer.results[1].outcome, OUTCOME_FAILED);
	remote_blobs_release(&request.blobs);
	for (int i = 0; i < 2; i++)
		buf_release(&texts[i]);
}

static void what_cannot_be_stored_together_is_stored_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct digest d[3];
	const char *scripts[] = { "echo 1 >out", "echo 2 >out", "echo 3 >out" };
	char url[] = "s3://fake";
	struct remote_request request = { .far_url = url, .keep_results = true };
	for (int i = 0; i < 3; i++) {
		struct thunk t;
		fixture_thunk(f, scripts[i], &t);
		d[i] = fixture_save(f, &t);
	}
	fake_far_fail_pushes(-EIO, 2); /* all, and then the first */
	fixture_run(f, d, 3, 0, &request);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_LOST);
	assert_true(f->answer.results[1].stored);
	assert_true(f->answer.results[2].stored);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(several_thunks_of_a_request_run_one_after_the_other),
		TEST(what_comes_next_gets_what_was_made_before_it),
		TEST(nothing_comes_next_after_a_failure),
		TEST(what_cannot_be_stored_together_is_stored_one_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
