/* The index's files: opening, checking, creating, setting aside. */
#include "objstore/index_schema.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/log.h"

enum {
	SCHEMA_VERSION = 2,
	APPLICATION_ID = 0x67676673, /* "ggfs" */
	BUSY_MS = 1000, /* another index on this store holds it for INDEX_COMMIT_MS at most */
	/* Files up to this size are checked page by page on open; that takes some milliseconds.
	 * Damage in larger ones shows when the page is read. */
	CHECKED_BYTES_MAX = 4 << 20,
};

static const char schema[] =
	"CREATE TABLE memo(thunk BLOB PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE size(path BLOB PRIMARY KEY, bytes INTEGER NOT NULL,"
	" micros INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE TABLE stat(device INTEGER, inode INTEGER, bytes INTEGER NOT NULL,"
	" mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, digest BLOB NOT NULL,"
	" PRIMARY KEY(device, inode)) WITHOUT ROWID;"
	"CREATE TABLE failure(thunk BLOB PRIMARY KEY, code INTEGER NOT NULL,"
	" exit_status INTEGER NOT NULL, when_ns INTEGER NOT NULL, until_ns INTEGER NOT NULL,"
	" reason BLOB NOT NULL, stderr_tail BLOB NOT NULL, engine BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE access(blob BLOB PRIMARY KEY, used_ns INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE log(id INTEGER PRIMARY KEY, when_ns INTEGER NOT NULL, thunk BLOB NOT NULL,"
	" label BLOB NOT NULL, asker BLOB NOT NULL, engine BLOB NOT NULL, micros INTEGER NOT NULL,"
	" code INTEGER NOT NULL, memoised INTEGER NOT NULL, stderr_tail BLOB,"
	" cost INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE far(blob BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE far_url(one INTEGER PRIMARY KEY CHECK(one = 1), url BLOB NOT NULL);";

/* From schema 1: what was there stays. */
static const char upgrade[] =
	"ALTER TABLE size ADD COLUMN micros INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE log ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE far(blob BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE far_url(one INTEGER PRIMARY KEY CHECK(one = 1), url BLOB NOT NULL);";

static const char *const statement_text[STATEMENT_COUNT] = {
	[STATEMENT_MEMO_GET] = "SELECT text FROM memo WHERE thunk = ?",
	[STATEMENT_MEMO_PUT] = "INSERT OR REPLACE INTO memo VALUES (?, ?)",
	[STATEMENT_MEMO_ADD] = "INSERT OR IGNORE INTO memo VALUES (?, ?)",
	[STATEMENT_MEMO_DELETE] = "DELETE FROM memo WHERE thunk = ?",
	[STATEMENT_SIZE_GET] = "SELECT bytes, micros FROM size WHERE path = ?",
	[STATEMENT_SIZE_PUT] = "INSERT OR REPLACE INTO size VALUES (?, ?, ?)",
	[STATEMENT_STAT_GET] = "SELECT digest FROM stat WHERE device = ? AND inode = ? AND bytes = ?"
			       " AND mtime_ns = ? AND ctime_ns = ?",
	[STATEMENT_STAT_PUT] = "INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?)",
	[STATEMENT_FAILURE_GET] = "SELECT code, exit_status, when_ns, until_ns, reason, stderr_tail,"
				  " engine FROM failure WHERE thunk = ?",
	[STATEMENT_FAILURE_PUT] = "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	[STATEMENT_FAILURE_DELETE] = "DELETE FROM failure WHERE thunk = ?",
	[STATEMENT_ACCESS_PUT] = "INSERT OR REPLACE INTO access VALUES (?, ?)",
	[STATEMENT_LOG_ADD] = "INSERT INTO log(when_ns, thunk, label, asker, engine, micros, code,"
			      " memoised, stderr_tail, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STATEMENT_LOG_PRUNE] = "DELETE FROM log WHERE id <= ?",
	[STATEMENT_LOG_LAST] = "SELECT max(id) FROM log",
	[STATEMENT_LOG_AFTER] = "SELECT id, when_ns, thunk, label, asker, engine, micros, code,"
				" memoised, stderr_tail, cost FROM log WHERE id > ? ORDER BY id LIMIT ?",
	[STATEMENT_FAR_GET] = "SELECT 1 FROM far WHERE blob = ?",
	[STATEMENT_FAR_PUT] = "INSERT OR IGNORE INTO far VALUES (?)",
	[STATEMENT_FAR_DELETE] = "DELETE FROM far WHERE blob = ?",
	[STATEMENT_FAR_CLEAR] = "DELETE FROM far",
	[STATEMENT_FAR_URL_GET] = "SELECT url FROM far_url",
	[STATEMENT_FAR_URL_PUT] = "INSERT OR REPLACE INTO far_url VALUES (1, ?)",
};

bool index_is_damage(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

static int sqlite_error(sqlite3 *db, const char *doing, struct error *err)
{
	return error_set(err, -EIO, "the index: cannot %s: %s", doing,
			 db ? sqlite3_errmsg(db) : "out of memory");
}

/* Trouble that says nothing about the file: it is not to be thrown away for that. */
static bool is_surroundings(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
		return true;
	default:
		return false;
	}
}

static int damaged(sqlite3 *db, const char *doing, struct error *err)
{
	int code = sqlite3_extended_errcode(db);
	int r = sqlite_error(db, doing, err);
	if (is_surroundings(code))
		return r;
	if (err)
		err->code = -EBADMSG;
	return -EBADMSG;
}

/* One number from a statement without parameters. */
static int ask(sqlite3 *db, const char *text, sqlite3_int64 *out, struct error *err)
{
	sqlite3_stmt *q = NULL;
	int r = sqlite3_prepare_v2(db, text, -1, &q, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(q);
	if (r == SQLITE_ROW)
		*out = sqlite3_column_int64(q, 0);
	else
		damaged(db, text, err);
	bool surroundings = is_surroundings(sqlite3_extended_errcode(db));
	sqlite3_finalize(q);
	if (r == SQLITE_ROW)
		return 0;
	return surroundings ? -EIO : -EBADMSG;
}

static int check_pages(sqlite3 *db, struct error *err)
{
	sqlite3_stmt *q = NULL;
	int r = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &q, NULL);
	bool sound = r == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW &&
		     strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
	sqlite3_finalize(q);
	return sound ? 0 : error_set(err, -EBADMSG, "the index: its pages are damaged");
}

static int raise_version(sqlite3 *db, struct error *err)
{
	char text[sizeof(upgrade) + 128];
	snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s PRAGMA user_version=%d; COMMIT;", upgrade,
		 SCHEMA_VERSION);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	int r = damaged(db, "bring its tables up to date", err);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int check_version(sqlite3 *db, struct error *err)
{
	sqlite3_int64 version, application;
	int r = ask(db, "PRAGMA user_version", &version, err);
	if (r == 0)
		r = ask(db, "PRAGMA application_id", &application, err);
	if (r < 0)
		return r;
	if (application == APPLICATION_ID && version == SCHEMA_VERSION - 1)
		return raise_version(db, err);
	if (application != APPLICATION_ID || version < SCHEMA_VERSION)
		return error_set(err, -EBADMSG, "the index has schema %lld, this ggfs has %d",
				 (long long)version, SCHEMA_VERSION);
	if (version > SCHEMA_VERSION)
		return error_set(err, -EPROTO,
				 "the index has schema %lld, and this ggfs knows %d: use a newer ggfs",
				 (long long)version, SCHEMA_VERSION);
	return 0;
}

int index_schema_prepare(sqlite3 *db, sqlite3_stmt **statements, struct error *err)
{
	for (int i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &statements[i], NULL) != SQLITE_OK)
			return damaged(db, "prepare its statements", err);
	return 0;
}

int index_schema_connect(int dirfd, int flags, sqlite3 **out, struct error *err)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/index.sqlite", dirfd);
	/* One lock of ours is around every use, so SQLite needs none of its own. */
	int r = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (r != SQLITE_OK) {
		r = damaged(*out, "open index.sqlite", err);
		sqlite3_close(*out);
		*out = NULL;
		return r;
	}
	sqlite3_busy_timeout(*out, BUSY_MS);
	return 0;
}

/*
 * NORMAL and not OFF: a power loss must not leave a stat cache that gives wrong digests. In WAL
 * mode that costs no flush a commit, only some when the log is copied back.
 */
static int set_up(sqlite3 *db, struct error *err)
{
	static const char text[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
				   "PRAGMA cache_size=-8192; PRAGMA journal_size_limit=16777216";
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		return damaged(db, "set up", err);
	return 0;
}

static int create(sqlite3 *db, struct error *err)
{
	char text[sizeof(schema) + 128];
	snprintf(text, sizeof(text),
		 "BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
		 schema, APPLICATION_ID, SCHEMA_VERSION);
	int r = set_up(db, err);
	if (r < 0)
		return r;
	return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ?
		       0 :
		       sqlite_error(db, "create its tables", err);
}

int index_schema_open(int dirfd, sqlite3 **out, struct error *err)
{
	struct stat st;
	if (fstatat(dirfd, "index.sqlite", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "cannot look at index.sqlite");
	sqlite3 *db;
	int r = index_schema_connect(dirfd, SQLITE_OPEN_READWRITE, &db, err);
	if (r < 0)
		return r;
	r = check_version(db, err);
	if (r == 0)
		r = set_up(db, err);
	if (r == 0 && st.st_size <= CHECKED_BYTES_MAX)
		r = check_pages(db, err);
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	*out = db;
	return 0;
}

int index_schema_create(int dirfd, sqlite3 **out, struct error *err)
{
	sqlite3 *db;
	int r = index_schema_connect(dirfd, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, err);
	if (r < 0)
		return r;
	r = create(db, err);
	if (r < 0) {
		sqlite3_close(db);
		return r;
	}
	*out = db;
	return 0;
}

void index_schema_set_aside(int dirfd)
{
	/* Together they are what somebody would want to look into. */
	renameat(dirfd, "index.sqlite", dirfd, "index.sqlite.broken");
	if (renameat(dirfd, "index.sqlite-wal", dirfd, "index.sqlite.broken-wal") < 0)
		unlinkat(dirfd, "index.sqlite.broken-wal", 0);
	unlinkat(dirfd, "index.sqlite-shm", 0);
}
