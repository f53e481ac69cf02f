/*
 * The SQLite half of the index: files, schema, statements, transactions, and the thread that
 * commits. The tables' meaning is index.c's and index_records.c's.
 *
 * A use of it:
 *
 *     sqlite3_stmt *q = index_lock(ix, STATEMENT_SIZE_GET);
 *     index_bind_text(q, 1, path);
 *     int r = index_step(ix, q, err);       1: a row is in q, 0: no (more) rows, -EIO
 *     ...
 *     index_unlock(ix);                     q and what its columns lent are gone
 *
 * Damage that SQLite sees in a step is mended in index_unlock(): the files are set aside, an empty
 * index takes their place, and the committer fills it from the store's memos.
 */
#ifndef GGFS_OBJSTORE_INDEX_DB_H
#define GGFS_OBJSTORE_INDEX_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "objstore/index.h"

enum index_statement {
	STATEMENT_MEMO_GET,
	STATEMENT_MEMO_PUT,
	STATEMENT_MEMO_ADD,
	STATEMENT_MEMO_DELETE,
	STATEMENT_SIZE_GET,
	STATEMENT_SIZE_PUT,
	STATEMENT_STAT_GET,
	STATEMENT_STAT_PUT,
	STATEMENT_FAILURE_GET,
	STATEMENT_FAILURE_PUT,
	STATEMENT_FAILURE_DELETE,
	STATEMENT_ACCESS_PUT,
	STATEMENT_LOG_ADD,
	STATEMENT_LOG_PRUNE,
	STATEMENT_LOG_LAST,
	STATEMENT_LOG_AFTER,
	STATEMENT_FAR_GET,
	STATEMENT_FAR_PUT,
	STATEMENT_FAR_DELETE,
	STATEMENT_FAR_CLEAR,
	STATEMENT_FAR_URL_GET,
	STATEMENT_FAR_URL_PUT,
	STATEMENT_COUNT,
};

struct index {
	struct store *store;
	pthread_t committer;
	bool has_committer;
	pthread_mutex_t files; /* held while the files are renamed, or opened to checkpoint them;
	                          taken after lock or without it */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake; /* for the committer: something below has changed */
	sqlite3 *db; /* NULL when it was damaged and could not be made anew */
	sqlite3_stmt *statements[STATEMENT_COUNT];
	sqlite3_stmt *in_use;
	bool in_transaction;
	int64_t commit_at_ms; /* monotonic; while in_transaction */
	int wal_pages; /* in the WAL since it was last checkpointed */
	bool damaged; /* SQLite said so */
	bool refill; /* the committer is to read the store's memos */
	bool stopping;
	int64_t reopen_at_ms; /* monotonic; while db is NULL */
	uint64_t memo_deletes; /* counted, so that a slow reader does not bring a memo back */
};

/* Opens or makes the files and starts the committer. *rebuilt: it was made. */
int index_db_open(struct index *ix, bool *rebuilt, struct error *err);
/* Commits, stops the committer, closes. Also after a failed open. */
void index_db_close(struct index *ix);

/* Locks. The statement is NULL when there is no index just now; all functions bear that. */
sqlite3_stmt *index_lock(struct index *ix, enum index_statement which);
/* Another statement under the same lock; the one before is over. */
sqlite3_stmt *index_next(struct index *ix, enum index_statement which);
int index_step(struct index *ix, sqlite3_stmt *q, struct error *err);
/* For statements that write: begins a transaction if there is none. 0 or -EIO. */
int index_write(struct index *ix, sqlite3_stmt *q, struct error *err);
/* Commits now, when there is something to commit. Locked. */
int index_commit(struct index *ix, struct error *err);
void index_unlock(struct index *ix);

/* Bytes are borrowed until the statement is over. NULL text is bound as the empty one. */
void index_bind_digest(sqlite3_stmt *q, int column, const struct digest *d);
void index_bind_text(sqlite3_stmt *q, int column, const char *text);
void index_bind_bytes(sqlite3_stmt *q, int column, const void *bytes, size_t len);
void index_bind_number(sqlite3_stmt *q, int column, int64_t number);

/* Allocated; "" for what is no text. */
char *index_column_text(sqlite3_stmt *q, int column);
/* False when it has not the size of a digest. */
bool index_column_digest(sqlite3_stmt *q, int column, struct digest *out);

/* Puts the store's memos, as far as they are readable, into the index where it has none. */
int index_refill(struct index *ix, struct error *err);

#endif
