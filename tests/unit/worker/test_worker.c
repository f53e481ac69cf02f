#include "tests/unit/worker/worker_fixture.h"

#include <signal.h>
#include <string.h>

#include "engine/placeholder.h"

#define OUTPUT "w/out"

/* --- results -----------------------------------------------------------------------------------
 */

static void a_function_sees_its_world_as_the_root(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	struct digest d;
	fixture_thunk(f,
	              "exec >out; pwd; cat /w/in; cat ../../../w/in; cd ..; pwd; "
	              "echo $0 $PATH ${X-no}",
	              &t);
	strv_add(&t.env, "X=");
	fixture_add_input(f, &t, "w/in", "input\n");
	d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	fixture_expect_output(f, 0, OUTPUT, "/w\ninput\ninput\n/\nsh /usr/bin\n");
}

static void results_stay_in_the_far_store_and_small_ones_come_in_the_answer(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = MEMO_INIT;
	const struct remote_result *r = fixture_script(f, "echo made >out; echo said >&2");
	fixture_expect_output(f, 0, OUTPUT, "made\n");
	assert_true(r->stored);
	assert_int_equal(r->exit_status, 0);
	assert_string_equal(r->stderr_tail, "said\n");
	assert_true(r->usage.function_micros > 0 && r->usage.micros >= r->usage.function_micros);
	assert_true(r->usage.max_rss_kib > 0);
	assert_true(r->usage.cold);
	assert_true(r->usage.far_gets > 0 && r->usage.far_puts > 0);
	assert_ok(store_memo_get(f->far, &r->thunk, &memo, &err));
	assert_ok(store_has(f->far, &memo_output(&memo, OUTPUT)->digest, NULL, &err));
	assert_true(memo.has_stderr);
	assert_ok(store_has(f->far, &memo.stderr_digest, NULL, &err));
	r = fixture_script(f, "echo again >out");
	assert_false(r->usage.cold);
}

static void larger_results_than_are_wanted_are_in_the_far_store_only(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct thunk t;
	char url[] = "s3://fake";
	struct remote_request request = { .far_url = url, .inline_max = 4 };
	fixture_thunk(f, "echo 12345 >out", &t);
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, &request);
	const struct remote_result *r = &f->answer.results[0];
	assert_int_equal(r->outcome, OUTCOME_DONE);
	assert_int_equal(f->answer.blobs.count, 0);
	assert_true(r->stored);
	assert_ok(store_has(f->far, &memo_output(&r->memo, OUTPUT)->digest, NULL, &err));
}

static void a_result_that_can_not_be_stored_is_lost_if_it_is_not_in_the_answer(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	char url[] = "s3://fake";
	struct remote_request request = { .far_url = url, .inline_max = 4 };
	fixture_thunk(f, "echo 12345 >out", &t);
	struct digest d = fixture_save(f, &t);
	fake_far_fail_pushes(-EIO, 2);
	fixture_run(f, &d, 1, 0, &request);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_LOST);
	assert_non_null(strstr(f->answer.results[0].reason, "ordered to fail"));
	const struct remote_result *r = fixture_script(f, "echo 12345 >out");
	assert_int_equal(r->outcome, OUTCOME_DONE); /* in the answer, whole */
	assert_false(r->stored);
}

static void directories_come_back_whole(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct thunk t;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	fixture_thunk(f, "echo 1 >tree/one; echo 2 >tree/two; echo >out", &t);
	thunk_add_output(&t, OUTPUT_TREE, "w/tree");
	fixture_add_input(f, &t, "w/tree/zero", "0");
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
	const struct ref *ref = memo_output(&f->answer.results[0].memo, "w/tree");
	const struct remote_blob *blob = remote_blobs_find(&f->answer.blobs, &ref->digest);
	assert_ok(manifest_decode(blob->bytes, blob->len, &m, &err));
	assert_int_equal(m.count, 3);
	for (size_t i = 0; i < m.count; i++) {
		assert_non_null(remote_blobs_find(&f->answer.blobs, &m.entries[i].ref.digest));
		assert_ok(store_has(f->far, &m.entries[i].ref.digest, NULL, &err));
	}
}

static void yielded_thunks_are_results_too(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct thunk t, next;
	/* The thunk that is yielded is a copy of one that is an input. */
	fixture_thunk(f, "echo next >out", &next);
	scoped_buf struct buf text = BUF_INIT;
	char placeholder[PLACEHOLDER_SIZE + 1] = "";
	assert_ok(thunk_finish(&next, &err));
	thunk_encode(&next, &text);
	struct ref ref = { .kind = REF_THUNK, .output = xstrdup(OUTPUT) };
	thunk_digest(&next, &ref.digest);
	thunk_release(&next);
	assert_ok(placeholder_encode(&ref, placeholder, &err));
	fixture_thunk(f, "cat <$GGFS_THUNK >/dev/null; cat thunk >$GGFS_YIELD/x; cat lazy >out",
	              &t);
	t.yields = true;
	fixture_add_input(f, &t, "w/thunk", text.data);
	fixture_add_input(f, &t, "w/lazy", placeholder);
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	const struct remote_result *r = &f->answer.results[0];
	if (r->outcome != OUTCOME_DONE)
		fail_msg("%s: %s", r->reason, r->stderr_tail);
	assert_int_equal(memo_output(&r->memo, OUTPUT)->kind, REF_THUNK);
	assert_non_null(remote_blobs_find(&f->answer.blobs, &ref.digest));
	assert_ok(store_has(f->far, &ref.digest, NULL, &err));
	ref_release(&ref);
}

/* --- failures ----------------------------------------------------------------------------------
 */

static void a_failure_says_how_and_what_was_written(void **state)
{
	struct fixture *f = *state;
	const struct remote_result *r = fixture_script(f, "echo wrong >&2; exit 7");
	assert_int_equal(r->outcome, OUTCOME_FAILED);
	assert_int_equal(r->exit_status, 7);
	assert_string_equal(r->stderr_tail, "wrong\n");
	assert_false(r->stored);
	r = fixture_script(f, "kill -SEGV $$");
	assert_int_equal(r->outcome, OUTCOME_FAILED);
	assert_int_equal(r->exit_status, 128 + SIGSEGV);
	assert_string_equal(r->reason, "killed by signal 11 (SIGSEGV)");
	r = fixture_script(f, "true");
	assert_int_equal(r->outcome, OUTCOME_FAILED);
	assert_non_null(strstr(r->reason, OUTPUT));
	r = fixture_script(
	        f, "i=0; while [ $i -lt 20000 ]; do echo 123456789; i=$((i+1)); done >&2; exit 1");
	assert_int_equal(strlen(r->stderr_tail), REMOTE_STDERR_MAX);
}

static void an_absent_input_is_named(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct thunk t;
	fixture_thunk(f, "cat in >out", &t);
	fixture_add_input(f, &t, "w/in", "soon gone");
	struct digest gone = t.inputs.entries[0].ref.digest;
	struct digest d = fixture_save(f, &t);
	assert_ok(store_delete(f->far, &gone, &err));
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_BAD_INPUT);
	assert_true(f->answer.results[0].has_absent);
	assert_true(digest_equal(&f->answer.results[0].absent, &gone));
	fixture_run(f, &gone, 1, 0, NULL); /* a thunk that is not there */
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_BAD_INPUT);
	assert_true(digest_equal(&f->answer.results[0].absent, &gone));
}

static void what_is_no_thunk_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d;
	assert_ok(store_put_bytes(f->far, "no thunk", 8, &d, &err));
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_REFUSED);
}

static void a_program_that_is_not_there_is_a_failure(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	fixture_thunk(f, "", &t);
	free(t.program);
	t.program = xstrdup("usr/bin/nothing");
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_FAILED);
	assert_int_equal(f->answer.results[0].exit_status, 127);
}

static void what_cannot_be_done_faithfully_is_refused_though_it_exits_well(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	fixture_thunk(f, "./strange; echo >out", &t);
	fixture_add_input(f, &t, "w/strange",
	                  "\177ELF, but for no machine: as long as a head must be to be looked at");
	t.inputs.entries[0].mode = 0755;
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_REFUSED);
	assert_non_null(strstr(f->answer.results[0].reason, "another machine"));
}

static void another_version_is_told_apart(void **state)
{
	struct fixture *f = *state;
	char version[] = "0.0.0";
	struct remote_request request = { .version = version };
	struct digest d = { 0 };
	fixture_run(f, &d, 1, 0, &request);
	assert_true(f->answer.wrong_version);
	assert_int_equal(f->answer.result_count, 0);
	assert_non_null(strstr(f->answer.reason, GGFS_VERSION));
}

static void nonsense_is_answered_too(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const char *const texts[] = { "", "{}", "nonsense", "{\"protocol\":1}" };
	const struct worker_limits limits = { .answer_max = REMOTE_BYTES_MAX };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		scoped_buf struct buf out = BUF_INIT;
		struct remote_answer answer = { 0 };
		worker_handle(f->worker, texts[i], strlen(texts[i]), &limits, &out);
		assert_ok(remote_answer_decode(out.data, out.len, &answer, &err));
		assert_int_equal(answer.result_count, 0);
		assert_non_null(answer.reason);
		remote_answer_release(&answer);
	}
}

/* --- deadlines ---------------------------------------------------------------------------------
 */

static void a_hanging_function_is_answered_before_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	struct digest d[2];
	for (int i = 0; i < 2; i++) {
		fixture_thunk(f, i ? "sleep 1000; : again" : "sleep 1000", &t);
		d[i] = fixture_save(f, &t);
	}
	int64_t deadline = now_ms() + WORKER_DEADLINE_MARGIN_MS + 3000;
	fixture_run(f, d, 2, deadline, NULL);
	assert_true(now_ms() < deadline);
	assert_int_equal(f->answer.results[0].outcome,
	                 OUTCOME_REFUSED); /* another may have longer */
	assert_int_equal(f->answer.results[1].outcome, OUTCOME_LOST);
}

static void a_thunks_own_timeout_is_its_failure(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	fixture_thunk(f, "sleep 1000", &t);
	t.timeout_s = 1;
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_TIMED_OUT);
}

static void a_far_store_that_hangs_is_given_up_before_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	fixture_thunk(f, "echo >out", &t);
	struct digest d = fixture_save(f, &t);
	fake_far_hang(true);
	int64_t deadline = now_ms() + WORKER_DEADLINE_MARGIN_MS + 200;
	fixture_run(f, &d, 1, deadline, NULL);
	assert_true(now_ms() < deadline);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_LOST);
	fake_far_hang(false);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
}

/* --- nothing of one reaches the next ------------------------------------------------------------
 */

static bool is_gone(const char *pid_text)
{
	pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
	assert_true(pid > 1);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void what_a_function_leaves_running_is_ended(void **state)
{
	struct fixture *f = *state;
	/* In a session of its own it would be: a child of a child, detached from its parent. */
	const struct remote_result *r = fixture_script(
	        f, "(sleep 1000 & echo $! >out) ; (trap '' TERM; sleep 1000 >&2) & :");
	const struct ref *ref = memo_output(&r->memo, OUTPUT);
	assert_non_null(ref);
	const struct remote_blob *blob = remote_blobs_find(&f->answer.blobs, &ref->digest);
	scoped_free char *text = xstrndup(blob->bytes, blob->len);
	assert_true(is_gone(text));
}

static void files_that_are_left_are_gone_for_the_next(void **state)
{
	struct fixture *f = *state;
	fixture_script(f,
	               "echo x >/tmp/left; echo x >/usr/bin/left; echo x >../left; echo x >left; "
	               "echo x >/left; echo >out");
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
	fixture_script(f, "for i in /tmp/left /usr/bin/left /w/left /left /w/out; do "
	                  "[ ! -e $i ] || echo $i; done >/w/new; cat new >out");
	fixture_expect_output(f, 0, OUTPUT, "");
}

static void a_damaged_toolchain_is_repaired_for_the_next(void **state)
{
	struct fixture *f = *state;
	fixture_script(
	        f, "chmod 755 /usr/bin/true && echo damaged >/usr/bin/true; chmod 0 /usr/bin/env; "
	           "chmod 0 /usr; echo >out");
	fixture_script(f, "true && env >out");
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
}

static void directories_without_permission_are_removed(void **state)
{
	struct fixture *f = *state;
	fixture_script(f, "chmod 0 /tmp . ; echo");
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_FAILED);
	fixture_script(f, "echo x >/tmp/y; cat /tmp/y >out");
	fixture_expect_output(f, 0, OUTPUT, "x\n");
}

static void the_workers_environment_is_not_the_functions(void **state)
{
	struct fixture *f = *state;
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_SESSION_TOKEN", "secret", 1);
	fixture_script(f, "env >out");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	fixture_expect_output(f, 0, OUTPUT, "PATH=/usr/bin\nPWD=/w\nTZ=UTC0\n");
}

/* --- the cache ---------------------------------------------------------------------------------
 */

static void what_was_fetched_is_not_fetched_again(void **state)
{
	struct fixture *f = *state;
	fixture_script(f, "echo 1 >out");
	unsigned before = fake_far_pulls();
	fixture_script(f, "echo 2 >out");
	assert_int_equal(fake_far_pulls(), before + 1); /* the thunk itself */
}

static void a_cache_outlives_its_worker(void **state)
{
	struct fixture *f = *state;
	fixture_script(f, "echo 1 >out");
	unsigned before = fake_far_pulls();
	fixture_restart(f, 0);
	fixture_script(f, "echo 2 >out");
	fixture_expect_output(f, 0, OUTPUT, "2\n");
	assert_int_equal(fake_far_pulls(), before + 1);
}

static void a_damaged_cache_is_repaired(void **state)
{
	struct fixture *f = *state;
	struct thunk t;
	fixture_thunk(f, "cat in >out", &t);
	fixture_add_input(f, &t, "w/in", "right");
	struct store_object_path object = store_object_path(&t.inputs.entries[0].ref.digest);
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	fixture_restart(f, 0); /* which lays out anew */
	scoped_free char *path = xformat("%s/store/%s", f->cache, object.text);
	assert_int_equal(chmod(path, 0644), 0);
	scoped_fd int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, "wrong", 5), 0);
	fixture_run(f, &d, 1, 0, NULL);
	fixture_expect_output(f, 0, OUTPUT, "right");
}

static int add_size(void *arg, const struct digest *d, uint64_t size)
{
	(void)d;
	*(uint64_t *)arg += size;
	return 0;
}

static void a_cache_keeps_to_its_bound(void **state)
{
	struct fixture *f = *state;
	struct error err;
	const uint64_t bound = 8 << 20;
	fixture_restart(f, bound);
	for (int i = 0; i < 6; i++) {
		struct thunk t;
		scoped_free char *text = xmalloc((1 << 20) + 1);
		memset(text, 'a' + i, 1 << 20);
		text[1 << 20] = '\0';
		fixture_thunk(f, "cat in in >out", &t);
		fixture_add_input(f, &t, "w/in", text);
		struct digest d = fixture_save(f, &t);
		fixture_run(f, &d, 1, 0, NULL);
		assert_int_equal(f->answer.results[0].outcome, OUTCOME_DONE);
	}
	worker_free(f->worker);
	f->worker = NULL;
	struct store *store;
	uint64_t used = 0;
	scoped_free char *path = xformat("%s/store", f->cache);
	assert_ok(store_open_local(path, false, STORE_SYNC_NONE, &store, &err));
	assert_ok(store_iterate(store, add_size, &used, &err));
	store_free(store);
	assert_true(used > 0 && used <= bound);
}

static void a_cache_has_one_worker(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct worker *second = NULL;
	const struct worker_options options = { .cache = f->cache };
	assert_error(worker_new(&options, &second, &err), -EBUSY);
	assert_null(second);
}

static void without_a_far_store_all_is_in_the_request_and_the_answer(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct thunk t;
	fixture_thunk(f, "echo whole >out", &t);
	struct digest d = fixture_save(f, &t);
	struct remote_request request = { 0 };
	struct buf texts[2] = { BUF_INIT, BUF_INIT };
	assert_ok(store_get_bytes(f->far, &d, 1 << 20, &texts[0], &err));
	remote_blobs_add(&request.blobs, &d, texts[0].data, texts[0].len);
	fixture_run(f, &d, 1, 0, &request);
	assert_int_equal(f->answer.results[0].outcome, OUTCOME_BAD_INPUT); /* the toolchain */
	assert_true(digest_equal(&f->answer.results[0].absent, &f->toolchain.digest));
	fixture_script(f, "echo >out"); /* fetches it */
	fixture_run(f, &d, 1, 0, &request);
	fixture_expect_output(f, 0, OUTPUT, "whole\n");
	assert_false(f->answer.results[0].stored);
	remote_blobs_release(&request.blobs);
	buf_release(&texts[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_function_sees_its_world_as_the_root),
		TEST(results_stay_in_the_far_store_and_small_ones_come_in_the_answer),
		TEST(larger_results_than_are_wanted_are_in_the_far_store_only),
		TEST(a_result_that_can_not_be_stored_is_lost_if_it_is_not_in_the_answer),
		TEST(directories_come_back_whole),
		TEST(yielded_thunks_are_results_too),
		TEST(a_failure_says_how_and_what_was_written),
		TEST(an_absent_input_is_named),
		TEST(what_is_no_thunk_is_refused),
		TEST(a_program_that_is_not_there_is_a_failure),
		TEST(what_cannot_be_done_faithfully_is_refused_though_it_exits_well),
		TEST(another_version_is_told_apart),
		TEST(nonsense_is_answered_too),
		TEST(a_hanging_function_is_answered_before_the_deadline),
		TEST(a_thunks_own_timeout_is_its_failure),
		TEST(a_far_store_that_hangs_is_given_up_before_the_deadline),
		TEST(what_a_function_leaves_running_is_ended),
		TEST(files_that_are_left_are_gone_for_the_next),
		TEST(a_damaged_toolchain_is_repaired_for_the_next),
		TEST(directories_without_permission_are_removed),
		TEST(the_workers_environment_is_not_the_functions),
		TEST(what_was_fetched_is_not_fetched_again),
		TEST(a_cache_outlives_its_worker),
		TEST(a_damaged_cache_is_repaired),
		TEST(a_cache_keeps_to_its_bound),
		TEST(a_cache_has_one_worker),
		TEST(without_a_far_store_all_is_in_the_request_and_the_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
