#include "tests/lib/test.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objstore/index.h"

enum { DEADLINE_MS = 20000 };

struct fixture {
	char *directory;
	struct store *store;
	struct index *index;
};

static bool open_index(struct fixture *f)
{
	struct error err;
	bool rebuilt;
	assert_ok(index_open(f->store, &f->index, &rebuilt, &err));
	return rebuilt;
}

static void close_index(struct fixture *f)
{
	index_free(f->index);
	f->index = NULL;
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err;
	f->directory = test_directory();
	assert_ok(store_open_local(f->directory, true, STORE_SYNC_NONE, &f->store, &err));
	open_index(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	index_free(f->index);
	store_free(f->store);
	test_directory_remove(f->directory);
	free(f);
	return 0;
}

static struct digest numbered(uint32_t n)
{
	struct digest d = { { 0 } };
	memcpy(d.bytes, &n, sizeof(n));
	return d;
}

static struct memo make_memo(uint32_t thunk, const char *output, uint64_t size)
{
	struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = size };
	memo.thunk = numbered(thunk);
	memo.engine = xstrdup("local");
	memo_add_output(&memo, output, &ref);
	return memo;
}

static void put_memo(struct fixture *f, uint32_t thunk, const char *output, uint64_t size)
{
	struct error err;
	scoped_memo struct memo memo = make_memo(thunk, output, size);
	assert_ok(index_memo_put(f->index, &memo, &err));
}

/* The size of the one output of a memo. */
static uint64_t get_memo(struct fixture *f, uint32_t thunk)
{
	struct error err;
	struct digest d = numbered(thunk);
	scoped_memo struct memo got = MEMO_INIT;
	assert_ok(index_memo_get(f->index, &d, &got, &err));
	assert_int_equal(got.count, 1);
	return got.outputs[0].ref.size_bytes;
}

static char *file_path(struct fixture *f, const char *name)
{
	return xformat("%s/%s", f->directory, name);
}

static void write_file(struct fixture *f, const char *name, const void *bytes, size_t len)
{
	struct error err;
	scoped_free char *path = file_path(f, name);
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, len, 0600, &err));
}

static bool exists(struct fixture *f, const char *name)
{
	scoped_free char *path = file_path(f, name);
	return access(path, F_OK) == 0;
}

static void run_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	scoped_free char *path = file_path(f, "index.sqlite");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- memos ------------------------------------------------------------------------------------- */

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

/* --- sizes and the stat cache --------------------------------------------------------------------- */

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

static struct stat settled_stat(void)
{
	return (struct stat){ .st_dev = 5,
			      .st_ino = UINT64_MAX,
			      .st_size = 100,
			      .st_mtim = { 1000, 1 },
			      .st_ctim = { 1000, 2 } };
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

/* --- failures -------------------------------------------------------------------------------------- */

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

/* --- the log ---------------------------------------------------------------------------------------- */

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

static void add_records(struct fixture *f, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		char label[] = "a\n.o", asker[] = "cat[7]", engine[] = "local", text[] = "bad";
		struct log_record r = {
			.when_ns = (int64_t)i,
			.thunk = numbered((uint32_t)i),
			.label = label,
			.asker = asker,
			.engine = engine,
			.micros = i,
			.code = i % 2 ? EREMOTEIO : 0,
			.memoised = i % 3 == 0,
			.stderr_tail = i % 2 ? text : NULL,
		};
		index_log_add(f->index, &r);
	}
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

/* --- committing -------------------------------------------------------------------------------------- */

/* What another connection sees. */
static int count_rows(struct fixture *f, const char *table)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	scoped_free char *path = file_path(f, "index.sqlite");
	scoped_free char *sql = xformat("SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int count = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return count;
}

static void writes_are_committed_by_themselves(void **state)
{
	struct fixture *f = *state;
	struct digest d = numbered(1);
	index_access(f->index, &d);
	int64_t deadline = now_ms() + DEADLINE_MS;
	while (count_rows(f, "access") == 0) {
		assert_true(now_ms() < deadline);
		usleep(1000);
	}
}

static void flush_commits_at_once(void **state)
{
	struct fixture *f = *state;
	struct error err;
	for (uint32_t i = 0; i < 10; i++) {
		struct digest d = numbered(i);
		index_access(f->index, &d);
		index_access(f->index, &d);
	}
	assert_ok(index_flush(f->index, &err));
	assert_int_equal(count_rows(f, "access"), 10);
	assert_ok(index_flush(f->index, &err));
}

static void killed_process_leaves_an_index_that_opens(void **state)
{
	struct fixture *f = *state;
	close_index(f);
	pid_t pid = fork();
	if (pid == 0) {
		struct index *ix;
		scoped_memo struct memo memo = make_memo(1, "a.o", 10);
		if (index_open(f->store, &ix, NULL, NULL) < 0)
			_exit(1);
		for (uint32_t i = 0; i < 100; i++) {
			memo.thunk = numbered(i);
			if (index_memo_put(ix, &memo, NULL) < 0 ||
			    (i == 50 && index_flush(ix, NULL) < 0))
				_exit(1);
		}
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_false(open_index(f));
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(get_memo(f, i), 10);
}

static void much_that_was_written_reaches_the_file_while_it_is_open(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct stat st;
	scoped_free char *path = file_path(f, "index.sqlite");
	for (uint32_t i = 0; i < 150000; i++) {
		struct digest d = numbered(i * 2654435761u);
		index_access(f->index, &d);
	}
	assert_ok(index_flush(f->index, &err));
	int64_t deadline = now_ms() + DEADLINE_MS;
	do {
		assert_true(now_ms() < deadline);
		assert_int_equal(stat(path, &st), 0);
		usleep(1000);
	} while (st.st_size < 2 << 20);
}

/* --- damage -------------------------------------------------------------------------------------------- */

static void missing_index_is_built_from_the_stores_memos(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 0;
	put_memo(f, 1, "a.o", 10);
	put_memo(f, 2, "b.o", 20);
	close_index(f);
	scoped_free char *path = file_path(f, "index.sqlite");
	assert_int_equal(unlink(path), 0);
	assert_true(open_index(f));
	assert_int_equal(index_size_get(f->index, "b.o", &size), 0);
	assert_int_equal(size, 20);
	assert_int_equal(get_memo(f, 1), 10);
}

static void assert_rebuilt(struct fixture *f)
{
	uint64_t size = 0;
	assert_true(open_index(f));
	assert_true(exists(f, "index.sqlite.broken"));
	assert_int_equal(index_size_get(f->index, "a.o", &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(get_memo(f, 1), 10);
	close_index(f);
	assert_false(open_index(f));
}

static void corrupt_index_is_set_aside_and_built_anew(void **state)
{
	struct fixture *f = *state;
	put_memo(f, 1, "a.o", 10);
	add_records(f, 500);
	close_index(f);
	scoped_free char *path = file_path(f, "index.sqlite");
	scoped_buf struct buf good = BUF_INIT;
	struct error err;
	assert_ok(read_file_at(AT_FDCWD, path, &good, 64 << 20, &err));
	assert_true(good.len > 40000);
	scoped_free char *bad = xmalloc(good.len);
	const struct {
		size_t at, len, cut;
	} damages[] = {
		{ 0, 16, good.len },      /* the magic */
		{ 0, good.len, good.len },
		{ 0, 0, good.len / 2 },   /* truncated between pages */
		{ 0, 0, 5000 },           /* and within one */
		{ 0, 0, 100 },
		{ 0, 0, 0 },
		{ 4096, 4096, good.len }, /* a page */
		{ 100, 100, good.len },   /* the schema's page */
		{ 8192, good.len - 8192, good.len },
	};
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		memcpy(bad, good.data, good.len);
		memset(bad + damages[i].at, 0x5a, damages[i].len);
		close_index(f);
		write_file(f, "index.sqlite", bad, damages[i].cut);
		assert_rebuilt(f);
	}
}

static void older_and_foreign_indexes_are_built_anew(void **state)
{
	struct fixture *f = *state;
	put_memo(f, 1, "a.o", 10);
	close_index(f);
	run_sql(f, "PRAGMA user_version = 0");
	assert_rebuilt(f);
	close_index(f);
	run_sql(f, "PRAGMA application_id = 7");
	assert_rebuilt(f);
	close_index(f);
	run_sql(f, "DROP TABLE size");
	assert_rebuilt(f);
}

static void newer_index_is_eproto_and_left_alone(void **state)
{
	struct fixture *f = *state;
	struct error err;
	close_index(f);
	run_sql(f, "PRAGMA user_version = 2");
	assert_error(index_open(f->store, &f->index, NULL, &err), -EPROTO);
	assert_null(f->index);
	assert_false(exists(f, "index.sqlite.broken"));
	run_sql(f, "PRAGMA user_version = 1");
	assert_false(open_index(f));
}

static void damage_seen_later_is_mended_while_running(void **state)
{
	struct fixture *f = *state;
	struct error err;
	uint64_t size = 0;
	enum { MEMOS = 200 };
	for (uint32_t i = 0; i < MEMOS; i++) {
		scoped_free char *path = xformat("%u.o", i);
		put_memo(f, i, path, i);
	}
	close_index(f);
	open_index(f);
	/* A commit of somebody else's makes our connection drop what it has read so far ... */
	run_sql(f, "INSERT INTO access VALUES (x'00', 1)");
	/* ... and then finds everything but the first page overwritten. */
	scoped_free char *path = file_path(f, "index.sqlite");
	scoped_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	scoped_free char *noise = xmalloc((size_t)st.st_size);
	memset(noise, 0x5a, (size_t)st.st_size);
	assert_int_equal(pwrite(fd, noise, (size_t)st.st_size - 4096, 4096), st.st_size - 4096);
	for (uint32_t i = 0; i < MEMOS; i++)
		assert_int_equal(get_memo(f, i), i);
	/* The rest comes from the store by and by. */
	int64_t deadline = now_ms() + DEADLINE_MS;
	while (index_size_get(f->index, "123.o", &size) < 0) {
		assert_true(now_ms() < deadline);
		usleep(1000);
	}
	assert_int_equal(size, 123);
	assert_ok(index_flush(f->index, &err));
	assert_true(exists(f, "index.sqlite.broken"));
}

static void store_that_is_not_local_has_no_index(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const struct store_ops ops = { .name = "other", .free = free };
	struct store *other = store_new(&ops, NULL);
	close_index(f);
	assert_error(index_open(other, &f->index, NULL, &err), -EINVAL);
	store_free(other);
}

/* --- threads ---------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 200 };

static void *hammer(void *arg)
{
	struct fixture *f = arg;
	struct error err = ERROR_INIT;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		scoped_memo struct memo memo = make_memo(i, "a.o", i), got = MEMO_INIT;
		struct stat st = settled_stat();
		struct digest d;
		uint64_t size;
		st.st_ino = i;
		index_stat_put(f->index, &st, &memo.thunk);
		index_access(f->index, &memo.thunk);
		if (index_memo_put(f->index, &memo, &err) < 0 ||
		    index_memo_get(f->index, &memo.thunk, &got, &err) < 0 ||
		    (i % 50 == 0 && index_flush(f->index, &err) < 0))
			return xstrdup(err.text);
		if (index_stat_get(f->index, &st, &d) < 0 || !digest_equal(&d, &memo.thunk) ||
		    index_size_get(f->index, "a.o", &size) < 0)
			return xstrdup("what was put is not known");
	}
	return NULL;
}

static void many_threads_use_one_index_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, f), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		if (wrong)
			fail_msg("%s", (char *)wrong);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		T(log_keeps_a_bounded_number_of_records),
		T(writes_are_committed_by_themselves),
		T(flush_commits_at_once),
		T(killed_process_leaves_an_index_that_opens),
		T(much_that_was_written_reaches_the_file_while_it_is_open),
		T(missing_index_is_built_from_the_stores_memos),
		T(corrupt_index_is_set_aside_and_built_anew),
		T(older_and_foreign_indexes_are_built_anew),
		T(newer_index_is_eproto_and_left_alone),
		T(damage_seen_later_is_mended_while_running),
		T(store_that_is_not_local_has_no_index),
		T(many_threads_use_one_index_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
