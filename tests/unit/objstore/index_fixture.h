/* A fresh store with its index for each test. */
#ifndef GGFS_TESTS_UNIT_OBJSTORE_INDEX_FIXTURE_H
#define GGFS_TESTS_UNIT_OBJSTORE_INDEX_FIXTURE_H

#include "tests/lib/test.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "objstore/index.h"

enum { DEADLINE_MS = 20000 };

struct fixture {
	char *directory;
	struct store *store;
	struct index *index;
};

static inline bool open_index(struct fixture *f)
{
	struct error err;
	bool rebuilt;
	assert_ok(index_open(f->store, &f->index, &rebuilt, &err));
	return rebuilt;
}

static inline void close_index(struct fixture *f)
{
	index_free(f->index);
	f->index = NULL;
}

static inline void open_store(struct fixture *f)
{
	struct error err;
	assert_ok(store_open_local(f->directory, true, STORE_SYNC_NONE, &f->store, &err));
	open_index(f);
}

static inline void close_store(struct fixture *f)
{
	close_index(f);
	store_free(f->store);
	f->store = NULL;
}

static inline int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->directory = test_directory();
	open_store(f);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	close_store(f);
	umount2(f->directory, MNT_DETACH); /* in case the test with a mount failed */
	test_directory_remove(f->directory);
	free(f);
	return 0;
}

static inline struct digest numbered(uint32_t n)
{
	struct digest d = { { 0 } };
	memcpy(d.bytes, &n, sizeof(n));
	return d;
}

static inline struct memo make_memo(uint32_t thunk, const char *output, uint64_t size)
{
	struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = size };
	memo.thunk = numbered(thunk);
	memo.engine = xstrdup("local");
	memo_add_output(&memo, output, &ref);
	return memo;
}

static inline void put_memo(struct fixture *f, uint32_t thunk, const char *output, uint64_t size)
{
	struct error err;
	scoped_memo struct memo memo = make_memo(thunk, output, size);
	assert_ok(index_memo_put(f->index, &memo, &err));
}

/* The size of the one output of a memo. */
static inline uint64_t get_memo(struct fixture *f, uint32_t thunk)
{
	struct error err;
	struct digest d = numbered(thunk);
	scoped_memo struct memo got = MEMO_INIT;
	assert_ok(index_memo_get(f->index, &d, &got, &err));
	assert_int_equal(got.count, 1);
	return got.outputs[0].ref.size_bytes;
}

static inline char *file_path(struct fixture *f, const char *name)
{
	return xformat("%s/%s", f->directory, name);
}

static inline void write_file(struct fixture *f, const char *name, const void *bytes, size_t len)
{
	struct error err;
	scoped_free char *path = file_path(f, name);
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, len, 0600, &err));
}

static inline bool exists(struct fixture *f, const char *name)
{
	scoped_free char *path = file_path(f, name);
	return access(path, F_OK) == 0;
}

static inline void run_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	scoped_free char *path = file_path(f, "index.sqlite");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline struct stat settled_stat(void)
{
	return (struct stat){ .st_dev = 5,
			      .st_ino = UINT64_MAX,
			      .st_size = 100,
			      .st_mtim = { 1000, 1 },
			      .st_ctim = { 1000, 2 } };
}

/* With micros 0, 1, 2, ...; the odd ones failed and have a text, each third was memoised. */
static inline void add_records(struct fixture *f, uint64_t count)
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

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
