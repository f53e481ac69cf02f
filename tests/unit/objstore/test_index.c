/* What the index knows: memos, sizes, the stat cache, failures, the log. */
#include "tests/unit/objstore/index_fixture.h"

static void memo_put_is_known_and_the_last_one_counts(void **state)
{
	struct fixture *f = *state;
	put_memo(f, 1, "a.o", 10);
	assert_int_equal(get_memo(f, 1), 10);
	put_memo(f, 1, "a.o", 20);
	assert_int_equal(get_memo(f, 1), 20);
	close_index(f);
	assert_false(open_index(f));
	assert_int_equal(get_memo(f, 1), 20);
}

static void memo_put_is_in_the_store_at_once(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest thunk = numbered(1);
	scoped_memo struct memo got = MEMO_INIT;
	put_memo(f, 1, "a.o", 10);
	assert_ok(store_memo_get(f->store, &thunk, &got, &err));
}

static void memo_only_in_the_store_is_found_and_then_kept(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = make_memo(1, "a.o", 10);
	assert_ok(store_memo_put(f->store, &memo, &err));
	assert_int_equal(get_memo(f, 1), 10);
	assert_ok(store_memo_delete(f->store, &memo.thunk, &err));
	assert_int_equal(get_memo(f, 1), 10);
	uint64_t size = 0;
	assert_int_equal(index_size_get(f->index, "a.o", &size), 0);
	assert_int_equal(size, 10);
}

static void absent_memo_is_enoent_and_broken_one_ebadmsg(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = make_memo(1, "a.o", 10), got = MEMO_INIT;
	assert_error(index_memo_get(f->index, &memo.thunk, &got, &err), -ENOENT);
	assert_error(index_memo_delete(f->index, &memo.thunk, &err), -ENOENT);
	assert_ok(store_memo_put(f->store, &memo, &err));
	struct digest_hex hex = digest_hex(&memo.thunk);
	scoped_free char *name = xformat("memo/%.2s/%s", hex.text, hex.text + 2);
	write_file(f, name, "garbage", 7);
	assert_error(index_memo_get(f->index, &memo.thunk, &got, &err), -EBADMSG);
	assert_null(got.outputs);
}

static void deleted_memo_is_absent_also_after_a_crash(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest thunk = numbered(1);
	scoped_memo struct memo got = MEMO_INIT;
	put_memo(f, 1, "a.o", 10);
	assert_ok(index_memo_delete(f->index, &thunk, &err));
	assert_error(index_memo_get(f->index, &thunk, &got, &err), -ENOENT);
	/* Another connection sees what a crash now would leave. */
	struct index *second;
	assert_ok(index_open(f->store, &second, NULL, &err));
	assert_error(index_memo_get(second, &thunk, &got, &err), -ENOENT);
	index_free(second);
}

static void damaged_row_is_replaced_from_the_store(void **state)
{
	struct fixture *f = *state;
	put_memo(f, 1, "a.o", 10);
	close_index(f);
	run_sql(f, "UPDATE memo SET text = x'00ff'");
	open_index(f);
	assert_int_equal(get_memo(f, 1), 10);
	assert_int_equal(get_memo(f, 1), 10);
}

static void size_is_that_of_the_last_result(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 77;
	assert_int_equal(index_size_get(f->index, "d/\xff\n.o", &size), -ENOENT);
	assert_int_equal(size, 77);
	put_memo(f, 1, "d/\xff\n.o", 10);
	put_memo(f, 2, "d/\xff\n.o", 0);
	assert_int_equal(index_size_get(f->index, "d/\xff\n.o", &size), 0);
	assert_int_equal(size, 0);
}

static void digest_is_known_until_anything_of_the_file_changes(void **state)
{
	struct fixture *f = *state;
	struct stat st = settled_stat();
	struct digest d = numbered(9), got = numbered(7);
	assert_int_equal(index_stat_get(f->index, &st, &got), -ENOENT);
	assert_true(got.bytes[0] == 7);
	index_stat_put(f->index, &st, &d);
	assert_int_equal(index_stat_get(f->index, &st, &got), 0);
	assert_true(digest_equal(&d, &got));
	struct stat changed[6] = { st, st, st, st, st, st };
	changed[0].st_dev++;
	changed[1].st_ino--;
	changed[2].st_size++;
	changed[3].st_mtim.tv_nsec++;
	changed[4].st_ctim.tv_nsec++;
	changed[5].st_ctim.tv_sec++;
	for (int i = 0; i < 6; i++)
		assert_int_equal(index_stat_get(f->index, &changed[i], &got), -ENOENT);
}

static struct timespec from_now(int64_t offset_ns)
{
	int64_t ns = wall_ns() + offset_ns;
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static void file_that_changed_just_now_is_not_remembered(void **state)
{
	struct fixture *f = *state;
	struct digest d = numbered(9), got;
	struct stat st = settled_stat();
	st.st_mtim = from_now(0);
	index_stat_put(f->index, &st, &d);
	assert_int_equal(index_stat_get(f->index, &st, &got), -ENOENT);
	st = settled_stat();
	st.st_ctim = from_now(0);
	index_stat_put(f->index, &st, &d);
	assert_int_equal(index_stat_get(f->index, &st, &got), -ENOENT);
	st.st_ctim = from_now(3600LL * 1000000000); /* a clock that was set back */
	index_stat_put(f->index, &st, &d);
	assert_int_equal(index_stat_get(f->index, &st, &got), -ENOENT);
	st.st_ctim = from_now(-1000000000);
	index_stat_put(f->index, &st, &d);
	assert_int_equal(index_stat_get(f->index, &st, &got), 0);
}

static struct failure make_failure(void)
{
	return (struct failure){
		.thunk = numbered(1),
		.code = EREMOTEIO,
		.exit_status = 128 + 9,
		.when_ns = 123,
		.reason = xstrdup("killed by signal 9"),
		.stderr_tail = xstrdup("oops \xff\n"),
		.engine = xstrdup("local"),
	};
}

static void failure_is_remembered_with_all_its_facts_until_deleted(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct failure failure = make_failure(), got = { .code = 77 };
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), -ENOENT);
	assert_int_equal(got.code, 77);
	assert_ok(index_failure_put(f->index, &failure, &err));
	close_index(f);
	open_index(f);
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), 0);
	assert_true(digest_equal(&got.thunk, &failure.thunk));
	assert_int_equal(got.code, EREMOTEIO);
	assert_int_equal(got.exit_status, 128 + 9);
	assert_int_equal(got.when_ns, 123);
	assert_int_equal(got.until_ns, 0);
	assert_string_equal(got.reason, failure.reason);
	assert_string_equal(got.stderr_tail, failure.stderr_tail);
	assert_string_equal(got.engine, "local");
	failure_release(&got);
	assert_int_equal(index_failure_delete(f->index, &failure.thunk), 0);
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), -ENOENT);
	assert_int_equal(index_failure_delete(f->index, &failure.thunk), -ENOENT);
	failure_release(&failure);
}

static void failure_is_forgotten_when_its_time_is_over(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct failure failure = make_failure(), got;
	failure.until_ns = wall_ns() + 3600LL * 1000000000;
	assert_ok(index_failure_put(f->index, &failure, &err));
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), 0);
	failure_release(&got);
	failure.until_ns = wall_ns() - 1;
	assert_ok(index_failure_put(f->index, &failure, &err));
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), -ENOENT);
	failure_release(&failure);
}

static void of_a_long_stderr_the_end_is_kept(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct failure failure = make_failure(), got;
	free(failure.stderr_tail);
	failure.stderr_tail = xcalloc(1, FAILURE_STDERR_MAX + 101);
	memset(failure.stderr_tail, 'x', FAILURE_STDERR_MAX + 100);
	failure.stderr_tail[FAILURE_STDERR_MAX + 99] = 'E';
	assert_ok(index_failure_put(f->index, &failure, &err));
	assert_int_equal(index_failure_get(f->index, &failure.thunk, &got), 0);
	assert_int_equal(strlen(got.stderr_tail), FAILURE_STDERR_MAX);
	assert_int_equal(got.stderr_tail[FAILURE_STDERR_MAX - 1], 'E');
	failure_release(&got);
	failure_release(&failure);
}

struct seen {
	int count;
	uint64_t first_micros, last_micros;
};

static int see(void *arg, const struct log_record *r)
{
	struct seen *seen = arg;
	if (seen->count++ == 0)
		seen->first_micros = r->micros;
	else
		assert_int_equal(r->micros, seen->last_micros + 1);
	seen->last_micros = r->micros;
	assert_string_equal(r->label, "a\n.o");
	assert_string_equal(r->asker, "cat[7]");
	assert_string_equal(r->engine, "local");
	assert_int_equal(r->code, r->micros % 2 ? EREMOTEIO : 0);
	assert_int_equal(r->memoised, r->micros % 3 == 0);
	assert_true((r->micros % 2 == 0) == (r->stderr_tail == NULL));
	return 0;
}

static void log_gives_the_newest_records_oldest_first(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct seen none = { 0 }, few = { 0 }, all = { 0 };
	assert_ok(index_log_iterate(f->index, 10, see, &none, &err));
	assert_int_equal(none.count, 0);
	add_records(f, 200);
	assert_ok(index_log_iterate(f->index, 70, see, &few, &err));
	assert_int_equal(few.count, 70);
	assert_int_equal(few.first_micros, 130);
	assert_ok(index_log_iterate(f->index, SIZE_MAX, see, &all, &err));
	assert_int_equal(all.count, 200);
	assert_int_equal(all.last_micros, 199);
}

static int stop(void *arg, const struct log_record *r)
{
	(void)r;
	return ++*(int *)arg == 5 ? 42 : 0;
}

static void log_walk_ends_when_told(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	int count = 0;
	add_records(f, 200);
	assert_int_equal(index_log_iterate(f->index, 100, stop, &count, &err), 42);
	assert_int_equal(count, 5);
}

static void log_keeps_a_bounded_number_of_records(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct seen all = { 0 };
	add_records(f, INDEX_LOG_KEPT + 2000);
	assert_ok(index_log_iterate(f->index, SIZE_MAX, see, &all, &err));
	assert_in_range(all.count, INDEX_LOG_KEPT, INDEX_LOG_KEPT + 256);
	assert_int_equal(all.last_micros, INDEX_LOG_KEPT + 1999);
}

static void what_was_seen_far_away_is_known_until_it_proves_wrong_or_the_far_store_changes(void **state)
{
	struct fixture *f = *state;
	struct digest a, b;
	digest_of(&a, "a", 1);
	digest_of(&b, "b", 1);
	index_far_begin(f->index, "s3://one");
	index_far_remember(f->index, &a, true);
	index_far_remember(f->index, &b, true);
	index_far_remember(f->index, &b, true);
	index_far_remember(f->index, &b, false);
	assert_true(index_far_known(f->index, &a));
	assert_false(index_far_known(f->index, &b));
	close_index(f);
	open_index(f);
	index_far_begin(f->index, "s3://one");
	assert_true(index_far_known(f->index, &a));
	index_far_begin(f->index, "s3://other");
	assert_false(index_far_known(f->index, &a));
}

static void what_an_output_took_last_time_is_kept(void **state)
{
	struct fixture *f = *state;
	scoped_memo struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 7 };
	memo_add_output(&memo, "o", &ref);
	memo.engine = xstrdup("lambda");
	memo.micros = 1234;
	assert_int_equal(index_micros_get(f->index, "o"), 0);
	assert_int_equal(index_memo_put(f->index, &memo, NULL), 0);
	assert_int_equal(index_micros_get(f->index, "o"), 1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(memo_put_is_known_and_the_last_one_counts),
		T(memo_put_is_in_the_store_at_once),
		T(memo_only_in_the_store_is_found_and_then_kept),
		T(absent_memo_is_enoent_and_broken_one_ebadmsg),
		T(deleted_memo_is_absent_also_after_a_crash),
		T(damaged_row_is_replaced_from_the_store),
		T(size_is_that_of_the_last_result),
		T(digest_is_known_until_anything_of_the_file_changes),
		T(file_that_changed_just_now_is_not_remembered),
		T(failure_is_remembered_with_all_its_facts_until_deleted),
		T(failure_is_forgotten_when_its_time_is_over),
		T(of_a_long_stderr_the_end_is_kept),
		T(log_gives_the_newest_records_oldest_first),
		T(log_walk_ends_when_told),
		T(what_was_seen_far_away_is_known_until_it_proves_wrong_or_the_far_store_changes),
		T(what_an_output_took_last_time_is_kept),
		T(log_keeps_a_bounded_number_of_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
