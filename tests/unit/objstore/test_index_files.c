/* How the index keeps it: committing, crashes, damage, full disks, threads. */
#include "tests/unit/objstore/index_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

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
	run_sql(f, "PRAGMA user_version = 3");
	assert_error(index_open(f->store, &f->index, NULL, &err), -EPROTO);
	assert_null(f->index);
	assert_false(exists(f, "index.sqlite.broken"));
	run_sql(f, "PRAGMA user_version = 2");
	assert_false(open_index(f));
}

static void schema_1_is_brought_up_to_date_and_keeps_what_it_had(void **state)
{
	struct fixture *f = *state;
	put_memo(f, 1, "a.o", 10);
	close_index(f);
	run_sql(f, "DROP TABLE far");
	run_sql(f, "DROP TABLE far_url");
	run_sql(f, "ALTER TABLE size DROP COLUMN micros");
	run_sql(f, "ALTER TABLE log DROP COLUMN cost");
	run_sql(f, "PRAGMA user_version = 1");
	assert_false(open_index(f));
	uint64_t size = 0;
	assert_int_equal(index_size_get(f->index, "a.o", &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(index_micros_get(f->index, "a.o"), 0);
	assert_false(exists(f, "index.sqlite.broken"));
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

static void fill(const char *directory)
{
	scoped_free char *path = xformat("%s/filler", directory);
	scoped_free char *bytes = xcalloc(1, 64 << 10);
	scoped_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write_full(fd, bytes, 64 << 10) == 0)
		;
	while (write(fd, bytes, 1) == 1)
		;
}

static void index_works_again_when_a_full_disk_has_room(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	scoped_memo struct memo memo = make_memo(1, "a.o", 10);
	close_store(f);
	if (geteuid() != 0 || mount("tmpfs", f->directory, "tmpfs", 0, "size=4m,mode=0700") < 0) {
		print_message("# not tried: a small tmpfs cannot be mounted here\n");
		const char *must_work = getenv("GGFS_MUST_WORK");
		if (must_work && strcmp(must_work, "1") == 0)
			fail();
		skip();
	}
	open_store(f);
	put_memo(f, 2, "b.o", 20);
	assert_ok(index_flush(f->index, &err));
	fill(f->directory);
	assert_error(index_memo_put(f->index, &memo, &err), -ENOSPC);
	add_records(f, 2000);
	index_flush(f->index, NULL); /* fails here, or did so in the committer before */
	assert_int_equal(get_memo(f, 2), 20);
	scoped_free char *filler = file_path(f, "filler");
	assert_int_equal(unlink(filler), 0);
	put_memo(f, 1, "a.o", 10);
	assert_ok(index_flush(f->index, &err));
	close_store(f);
	open_store(f);
	assert_int_equal(get_memo(f, 1), 10);
	close_store(f);
	assert_int_equal(umount(f->directory), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(writes_are_committed_by_themselves),
		T(flush_commits_at_once),
		T(killed_process_leaves_an_index_that_opens),
		T(much_that_was_written_reaches_the_file_while_it_is_open),
		T(missing_index_is_built_from_the_stores_memos),
		T(corrupt_index_is_set_aside_and_built_anew),
		T(older_and_foreign_indexes_are_built_anew),
		T(schema_1_is_brought_up_to_date_and_keeps_what_it_had),
		T(newer_index_is_eproto_and_left_alone),
		T(damage_seen_later_is_mended_while_running),
		T(index_works_again_when_a_full_disk_has_room),
		T(store_that_is_not_local_has_no_index),
		T(many_threads_use_one_index_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
