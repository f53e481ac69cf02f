#include "force_fixture.h"

#include <string.h>

static void a_thunk_is_run_once_and_then_comes_from_its_memo(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	start(x, &t, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, 0);
	assert_false(r.memoised);
	assert_bytes(x, &r.ref, "t()");
	result_release(&r);
	start(x, &t, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_true(r.memoised);
	assert_bytes(x, &r.ref, "t()");
	result_release(&r);
	assert_int_equal(fake_runs(&x->fake, "t"), 1);
}

static void a_memo_outlives_the_forcer(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	free(force_bytes(x, &t));
	fixture_new_forcer(x);
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t()");
	assert_int_equal(fake_runs(&x->fake, "t"), 1);
}

static void a_diamond_runs_what_is_shared_once(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref shared = simple_thunk(x, "join", "s");
	scoped_ref struct ref left = thunk_of(x, "join", "l", &shared, NULL);
	scoped_ref struct ref right = thunk_of(x, "join", "r", &shared, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &left, &right);
	scoped_free char *bytes = force_bytes(x, &top);
	assert_string_equal(bytes, "t(l(s()),r(s()))");
	assert_int_equal(fake_runs(&x->fake, "s"), 1);
	assert_int_equal(x->fake.submits, 4);
}

static void hundred_readers_share_one_run(void **state)
{
	enum { READERS = 100 };
	struct fixture *x = *state;
	struct result r[READERS];
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	x->fake.hold = true;
	for (int i = 0; i < READERS; i++)
		start(x, &t, PRIORITY_READER, &r[i]);
	run_until_held(x, "t");
	fake_release(&x->fake);
	for (int i = 0; i < READERS; i++) {
		run_until_answered(x, &r[i]);
		assert_bytes(x, &r[i].ref, "t()");
		result_release(&r[i]);
	}
	assert_int_equal(x->fake.submits, 1);
}

static void inputs_are_made_in_parallel(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref b = simple_thunk(x, "join", "b");
	scoped_ref struct ref top = thunk_of(x, "join", "t", &a, &b);
	x->fake.hold = true;
	start(x, &top, PRIORITY_READER, &r);
	run_until_held(x, "a");
	run_until_held(x, "b");
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &r);
	assert_bytes(x, &r.ref, "t(a(),b())");
	result_release(&r);
}

static void no_more_jobs_are_submitted_than_the_engine_takes(void **state)
{
	struct fixture *x = *state;
	struct result r[3];
	struct force_counts counts;
	const char *names[] = { "a", "b", "c" };
	x->fake.hold = true;
	x->fake.jobs = 2;
	for (int i = 0; i < 3; i++) {
		scoped_ref struct ref t = simple_thunk(x, "join", names[i]);
		start(x, &t, PRIORITY_BATCH, &r[i]);
	}
	run_until_held(x, "b");
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.running, 2);
	assert_int_equal(counts.queued, 1);
	assert_int_equal(x->fake.submits, 2);
	x->fake.hold = false;
	fake_release(&x->fake);
	for (int i = 0; i < 3; i++) {
		run_until_answered(x, &r[i]);
		assert_int_equal(r[i].code, 0);
		result_release(&r[i]);
	}
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.done, 3);
	assert_int_equal(counts.running, 0);
}

static void readers_go_before_batches_and_lift_what_they_wait_for(void **state)
{
	struct fixture *x = *state;
	struct result first, batch, lifted, reader;
	scoped_ref struct ref blocker = simple_thunk(x, "join", "blocker");
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref deep = simple_thunk(x, "join", "deep");
	scoped_ref struct ref top = thunk_of(x, "join", "top", &deep, NULL);
	x->fake.hold = true;
	x->fake.jobs = 1;
	start(x, &blocker, PRIORITY_BATCH, &first);
	run_until_held(x, "blocker");
	start(x, &a, PRIORITY_BATCH, &batch);
	start(x, &top, PRIORITY_BATCH, &lifted);
	start(x, &top, PRIORITY_READER, &reader);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &batch);
	run_until_answered(x, &reader);
	run_until_answered(x, &lifted);
	run_until_answered(x, &first);
	assert_string_equal(x->fake.started.items[1], "deep");
	assert_string_equal(x->fake.started.items[2], "top");
	assert_string_equal(x->fake.started.items[3], "a");
	result_release(&first);
	result_release(&batch);
	result_release(&lifted);
	result_release(&reader);
}

static void queued_work_is_lifted_by_a_reader_that_comes_later(void **state)
{
	struct fixture *x = *state;
	struct result first, a, b, reader;
	scoped_ref struct ref blocker = simple_thunk(x, "join", "blocker");
	scoped_ref struct ref ta = simple_thunk(x, "join", "a");
	scoped_ref struct ref tb = simple_thunk(x, "join", "b");
	x->fake.hold = true;
	x->fake.jobs = 1;
	start(x, &blocker, PRIORITY_BATCH, &first);
	start(x, &ta, PRIORITY_BATCH, &a);
	start(x, &tb, PRIORITY_BATCH, &b);
	run_until_held(x, "blocker");
	start(x, &tb, PRIORITY_READER, &reader);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &a);
	run_until_answered(x, &b);
	assert_string_equal(x->fake.started.items[1], "b");
	run_until_answered(x, &reader);
	run_until_answered(x, &first);
	result_release(&first);
	result_release(&a);
	result_release(&b);
	result_release(&reader);
}

static void the_same_resolved_thunk_is_not_run_twice(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref one = simple_thunk(x, "same", "one");
	scoped_ref struct ref two = simple_thunk(x, "same", "two");
	scoped_ref struct ref first = thunk_of(x, "join", "t", &one, NULL);
	scoped_ref struct ref second = thunk_of(x, "join", "t", &two, NULL);
	struct error err = ERROR_INIT;
	struct memo memo = MEMO_INIT;
	struct result r;
	assert_false(digest_equal(&first.digest, &second.digest));
	free(force_bytes(x, &first));
	start(x, &second, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_bytes(x, &r.ref, "t(same)");
	assert_false(r.memoised); /* "two" did run */
	result_release(&r);
	assert_int_equal(fake_runs(&x->fake, "t"), 1);
	/* Both original thunks have a memo of their own now. */
	assert_ok(index_memo_get(x->index, &first.digest, &memo, &err));
	memo_release(&memo);
	assert_ok(index_memo_get(x->index, &second.digest, &memo, &err));
	assert_memory_equal(&memo.thunk, &second.digest, sizeof(memo.thunk));
	memo_release(&memo);
}

static void two_that_come_to_the_same_at_once_share_the_run(void **state)
{
	struct fixture *x = *state;
	struct result a, b;
	scoped_ref struct ref one = simple_thunk(x, "same", "one");
	scoped_ref struct ref two = simple_thunk(x, "same", "two");
	scoped_ref struct ref first = thunk_of(x, "join", "t", &one, NULL);
	scoped_ref struct ref second = thunk_of(x, "join", "t", &two, NULL);
	start(x, &first, PRIORITY_READER, &a);
	start(x, &second, PRIORITY_READER, &b);
	run_until_answered(x, &a);
	run_until_answered(x, &b);
	assert_bytes(x, &a.ref, "t(same)");
	assert_bytes(x, &b.ref, "t(same)");
	assert_int_equal(fake_runs(&x->fake, "t"), 1);
	result_release(&a);
	result_release(&b);
}

static void thunks_in_a_set_are_resolved(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	scoped_ref struct ref made = simple_thunk(x, "join", "gen");
	scoped_ref struct ref plain = ref_of_bytes(x, "plain");
	struct digest set;
	manifest_add_file(&m, "h/gen.h", 0644, &made);
	manifest_add_file(&m, "h/plain.h", 0644, &plain);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	assert_ok(store_put_bytes(x->store, text.data, text.len, &set, &err));
	const char *names[] = { "a", "b" };
	for (int i = 0; i < 2; i++) {
		struct thunk t;
		thunk_begin(&t, "join", names[i]);
		thunk_add_set(&t, &set, text.len);
		scoped_ref struct ref ref = thunk_end(x, &t);
		scoped_free char *bytes = force_bytes(x, &ref);
		assert_string_equal(bytes + 1, "(gen(),plain)");
	}
	assert_int_equal(fake_runs(&x->fake, "gen"), 1);
}

static int count_one(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)d;
	(void)size_bytes;
	++*(size_t *)arg;
	return 0;
}

static void a_set_without_thunks_leaves_the_thunk_as_it_is(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	scoped_ref struct ref plain = ref_of_bytes(x, "plain");
	struct sized_digest set;
	size_t memos = 0;
	manifest_add_file(&m, "h/plain.h", 0644, &plain);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	assert_ok(store_put_bytes(x->store, text.data, text.len, &set.digest, &err));
	for (int i = 0; i < 3; i++) {
		struct thunk t;
		scoped_free char *name = xformat("t%d", i);
		thunk_begin(&t, "join", name);
		thunk_add_set(&t, &set.digest, text.len);
		t.has_toolchain = true;
		t.toolchain = (struct sized_digest){ set.digest, text.len };
		scoped_ref struct ref ref = thunk_end(x, &t);
		free(force_bytes(x, &ref));
		struct memo memo = MEMO_INIT;
		assert_ok(index_memo_get(x->index, &ref.digest, &memo, &err));
		memo_release(&memo);
	}
	/* What the engine ran were the thunks themselves: there are no other memos. */
	assert_ok(store_memo_iterate(x->store, count_one, &memos, &err));
	assert_int_equal(memos, 3);
	assert_int_equal(x->fake.submits, 3);
}

static void a_file_is_selected_from_a_directory_output(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref tree = simple_thunk(x, "tree", "d");
	scoped_ref struct ref select = REF_INIT;
	ref_copy(&select, &tree);
	const char *paths[] = { "a", "sub/b", "link" }, *want[] = { "d a", "b", "b" };
	for (int i = 0; i < 3; i++) {
		free(select.selection);
		select.selection = xstrdup(paths[i]);
		scoped_free char *bytes = force_bytes(x, &select);
		assert_string_equal(bytes, want[i]);
	}
	/* As an input, too. */
	scoped_ref struct ref user = thunk_of(x, "join", "u", &select, NULL);
	scoped_free char *bytes = force_bytes(x, &user);
	assert_string_equal(bytes, "u(b)");
	assert_int_equal(fake_runs(&x->fake, "d"), 1);
}

static void a_directory_is_selected_as_a_tree(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	struct result r;
	scoped_buf struct buf text = BUF_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_ref struct ref select = simple_thunk(x, "tree", "d");
	select.selection = xstrdup("sub");
	start(x, &select, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.ref.kind, REF_TREE);
	assert_ok(store_get_bytes(x->store, &r.ref.digest, 1 << 20, &text, &err));
	assert_ok(manifest_decode(text.data, text.len, &m, &err));
	assert_int_equal(m.count, 1);
	assert_string_equal(m.entries[0].path, "b");
	result_release(&r);
}

static void what_is_not_in_a_directory_output_is_an_error_that_names_it(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	const char *paths[] = { "nothing", "a/below", "out", "sub/none" };
	for (int i = 0; i < 4; i++) {
		scoped_ref struct ref select = simple_thunk(x, "tree", "d");
		select.selection = xstrdup(paths[i]);
		scoped_free char *reason = force_failure(x, &select, -EREMOTEIO, &failed);
		assert_non_null(strstr(reason, "output od"));
		assert_memory_equal(&failed, &select.digest, sizeof(failed));
	}
	scoped_ref struct ref file = simple_thunk(x, "join", "f");
	file.selection = xstrdup("x");
	free(force_failure(x, &file, -EREMOTEIO, NULL));
	scoped_ref struct ref other = simple_thunk(x, "join", "f");
	free(other.output);
	other.output = xstrdup("of2");
	scoped_free char *reason = force_failure(x, &other, -EREMOTEIO, NULL);
	assert_non_null(strstr(reason, "no output of2"));
}

static void a_directory_output_as_input_is_given_as_a_tree(void **state)
{
	struct fixture *x = *state;
	x->fake.hook = simple_thunk(x, "join", "inner"); /* a lazy file within the tree */
	scoped_ref struct ref tree = simple_thunk(x, "tree", "d");
	scoped_ref struct ref user = thunk_of(x, "join", "u", &tree, NULL);
	scoped_free char *bytes = force_bytes(x, &user);
	assert_non_null(strstr(bytes, "d a,inner(),b"));
	scoped_ref struct ref select = REF_INIT;
	ref_copy(&select, &tree);
	select.selection = xstrdup("lazy");
	scoped_free char *inner = force_bytes(x, &select);
	assert_string_equal(inner, "inner()");
	assert_int_equal(fake_runs(&x->fake, "inner"), 1);
}

static void a_ref_that_is_bytes_is_answered_without_work(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref blob = ref_of_bytes(x, "bytes");
	scoped_free char *bytes = force_bytes(x, &blob);
	assert_string_equal(bytes, "bytes");
	blob.digest.bytes[0] ^= 1;
	scoped_free char *reason = force_failure(x, &blob, -EIO, NULL);
	assert_non_null(strstr(reason, digest_hex(&blob.digest).text));
	assert_int_equal(x->fake.submits, 0);
}

static void an_absent_thunk_is_eio_and_named(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	struct ref absent = { .kind = REF_THUNK, .digest.bytes = { 1 }, .output = xstrdup("o") };
	scoped_free char *reason = force_failure(x, &absent, -EIO, &failed);
	assert_non_null(strstr(reason, digest_hex(&absent.digest).text));
	assert_memory_equal(&failed, &absent.digest, sizeof(failed));
	/* One that needs it says the same. */
	scoped_ref struct ref user = thunk_of(x, "join", "u", &absent, NULL);
	free(force_failure(x, &user, -EIO, &failed));
	assert_memory_equal(&failed, &absent.digest, sizeof(failed));
	ref_release(&absent);
}

static void a_blob_that_is_no_thunk_is_eio(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref ref = ref_of_bytes(x, "ggfs-thunk 1\nnonsense\n");
	ref.kind = REF_THUNK;
	ref.size_bytes = 0;
	ref.output = xstrdup("o");
	scoped_free char *reason = force_failure(x, &ref, -EIO, NULL);
	assert_non_null(strstr(reason, "not a thunk"));
}

static void an_absent_input_set_is_eio_and_names_the_set_and_the_thunk(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	struct digest failed, set = { .bytes = { 9 } };
	thunk_begin(&t, "join", "t");
	thunk_add_set(&t, &set, 100);
	scoped_ref struct ref ref = thunk_end(x, &t);
	scoped_free char *reason = force_failure(x, &ref, -EIO, &failed);
	assert_non_null(strstr(reason, digest_hex(&set).text));
	assert_memory_equal(&failed, &ref.digest, sizeof(failed));
}

static int keep_last(void *arg, const struct log_record *r)
{
	struct log_record *kept = arg;
	log_record_release(kept);
	*kept = (struct log_record){
		.thunk = r->thunk,
		.label = xstrdup(r->label),
		.asker = xstrdup(r->asker),
		.engine = xstrdup(r->engine),
		.code = r->code,
		.memoised = r->memoised,
		.stderr_tail = xstrdup(r->stderr_tail ? r->stderr_tail : ""),
	};
	return 0;
}

static void warnings_and_the_asker_are_in_the_log(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	struct log_record last = { 0 };
	scoped_ref struct ref one = simple_thunk(x, "same", "one");
	scoped_ref struct ref t = thunk_of(x, "warn", "w", &one, NULL);
	free(force_bytes(x, &t));
	assert_ok(index_log_iterate(x->index, 1, keep_last, &last, &err));
	assert_memory_equal(&last.thunk, &t.digest, sizeof(last.thunk));
	assert_string_equal(last.label, "ow");
	assert_string_equal(last.asker, "test[1]");
	assert_string_equal(last.engine, "fake");
	assert_string_equal(last.stderr_tail, "w: warning");
	assert_int_equal(last.code, 0);
	log_record_release(&last);
}

static void the_log_tells_a_thunk_that_came_to_a_known_one_from_one_that_ran(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	struct log_record last = { 0 };
	scoped_ref struct ref one = simple_thunk(x, "same", "one");
	scoped_ref struct ref two = simple_thunk(x, "same", "two");
	scoped_ref struct ref first = thunk_of(x, "join", "t", &one, NULL);
	scoped_ref struct ref second = thunk_of(x, "join", "t", &two, NULL);
	free(force_bytes(x, &first));
	assert_ok(index_log_iterate(x->index, 1, keep_last, &last, &err));
	assert_memory_equal(&last.thunk, &first.digest, sizeof(last.thunk));
	assert_false(last.memoised);
	free(force_bytes(x, &second));
	assert_ok(index_log_iterate(x->index, 1, keep_last, &last, &err));
	assert_memory_equal(&last.thunk, &second.digest, sizeof(last.thunk));
	assert_true(last.memoised); /* though "two" ran for it */
	log_record_release(&last);
}

struct heard {
	struct strv lines;
	struct fixture *fixture;
};

static void hear_settled(void *arg, const struct digest *thunk, int code)
{
	struct heard *heard = arg;
	strv_add_format(&heard->lines, "settled %.4s %d", digest_hex(thunk).text, code);
}

static void hear_event(void *arg, const struct force_event *event)
{
	static const char *const kinds[] = { "started", "done", "failed", "known" };
	struct heard *heard = arg;
	strv_add_format(&heard->lines, "%s %s %s", kinds[event->kind], event->label,
	                event->stderr_tail);
}

static void events_and_settlings_are_told(void **state)
{
	struct fixture *x = *state;
	struct heard heard = { .fixture = x };
	forcer_on_settled(x->forcer, hear_settled, &heard);
	forcer_on_event(x->forcer, hear_event, &heard);
	scoped_ref struct ref good = simple_thunk(x, "warn", "g");
	scoped_ref struct ref bad = thunk_of(x, "fail", "b", &good, NULL);
	free(force_failure(x, &bad, -EREMOTEIO, NULL));
	scoped_free char *good_line = xformat("settled %.4s 0", digest_hex(&good.digest).text);
	scoped_free char *bad_line =
	        xformat("settled %.4s %d", digest_hex(&bad.digest).text, -EREMOTEIO);
	const char *want[] = { "started og ", "done og g: warning", "started ob ",
		               "failed ob b: no" };
	for (int i = 0; i < 4; i++)
		assert_true(strv_contains(&heard.lines, want[i]));
	assert_true(strv_contains(&heard.lines, good_line));
	assert_true(strv_contains(&heard.lines, bad_line));
	assert_int_equal(heard.lines.count, 6);
	free(force_bytes(x, &good));
	assert_string_equal(heard.lines.items[heard.lines.count - 1], "known og ");
	strv_release(&heard.lines);
	forcer_on_settled(x->forcer, NULL, NULL);
	forcer_on_event(x->forcer, NULL, NULL);
}

int main(void)
{
#define FORCE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		FORCE_TEST(a_thunk_is_run_once_and_then_comes_from_its_memo),
		FORCE_TEST(a_memo_outlives_the_forcer),
		FORCE_TEST(a_diamond_runs_what_is_shared_once),
		FORCE_TEST(hundred_readers_share_one_run),
		FORCE_TEST(inputs_are_made_in_parallel),
		FORCE_TEST(no_more_jobs_are_submitted_than_the_engine_takes),
		FORCE_TEST(readers_go_before_batches_and_lift_what_they_wait_for),
		FORCE_TEST(queued_work_is_lifted_by_a_reader_that_comes_later),
		FORCE_TEST(the_same_resolved_thunk_is_not_run_twice),
		FORCE_TEST(two_that_come_to_the_same_at_once_share_the_run),
		FORCE_TEST(thunks_in_a_set_are_resolved),
		FORCE_TEST(a_set_without_thunks_leaves_the_thunk_as_it_is),
		FORCE_TEST(a_file_is_selected_from_a_directory_output),
		FORCE_TEST(a_directory_is_selected_as_a_tree),
		FORCE_TEST(what_is_not_in_a_directory_output_is_an_error_that_names_it),
		FORCE_TEST(a_directory_output_as_input_is_given_as_a_tree),
		FORCE_TEST(a_ref_that_is_bytes_is_answered_without_work),
		FORCE_TEST(an_absent_thunk_is_eio_and_named),
		FORCE_TEST(a_blob_that_is_no_thunk_is_eio),
		FORCE_TEST(an_absent_input_set_is_eio_and_names_the_set_and_the_thunk),
		FORCE_TEST(warnings_and_the_asker_are_in_the_log),
		FORCE_TEST(events_and_settlings_are_told),
		FORCE_TEST(the_log_tells_a_thunk_that_came_to_a_known_one_from_one_that_ran),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
