#include "objstore/index_db.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "common/io.h"
#include "common/log.h"
#include "objstore/index_schema.h"

enum {
	WAL_PAGES_MAX = 1000, /* then the log is copied back into the file */
	REOPEN_MS = 1000,     /* between tries when it cannot be made anew */
};

static int count_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db, (void)name;
	struct index *ix = arg;
	ix->wal_pages = pages;
	if (pages > WAL_PAGES_MAX)
		pthread_cond_signal(&ix->wake);
	return SQLITE_OK;
}

static void disconnect(struct index *ix)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(ix->statements[i]);
		ix->statements[i] = NULL;
	}
	sqlite3_close(ix->db);
	ix->db = NULL;
	ix->in_transaction = false;
}

static int adopt(struct index *ix, sqlite3 *db, struct error *err)
{
	ix->db = db;
	ix->wal_pages = 0;
	/* Takes the place of SQLite's own checkpoints, which would flush under our lock. */
	sqlite3_wal_hook(db, count_pages, ix);
	int r = index_schema_prepare(db, ix->statements, err);
	if (r < 0)
		disconnect(ix);
	return r;
}

static int make_anew(struct index *ix, struct error *err)
{
	int dirfd = store_local_dirfd(ix->store);
	sqlite3 *db;
	pthread_mutex_lock(&ix->files);
	index_schema_set_aside(dirfd);
	int r = index_schema_create(dirfd, &db, err);
	pthread_mutex_unlock(&ix->files);
	return r < 0 ? r : adopt(ix, db, err);
}

static int connect_or_make(struct index *ix, bool *made, struct error *err)
{
	sqlite3 *db;
	struct error why = ERROR_INIT;
	int r = index_schema_open(store_local_dirfd(ix->store), &db, &why);
	if (r == 0)
		r = adopt(ix, db, &why);
	*made = false;
	if (r != -ENOENT && r != -EBADMSG)
		return r < 0 ? error_set(err, r, "%s", why.text) : 0;
	if (r == -EBADMSG)
		log_warning("%s; it is kept as index.sqlite.broken and made anew", why.text);
	*made = true;
	return make_anew(ix, err);
}

/* Locked; no statement in use. */
static void mend(struct index *ix)
{
	struct error err = ERROR_INIT;
	log_warning("the index is damaged; it is kept as index.sqlite.broken and made anew");
	disconnect(ix);
	ix->damaged = false;
	if (make_anew(ix, &err) < 0)
		log_error("%s", err.text);
	ix->refill = true;
	ix->reopen_at_ms = now_ms() + REOPEN_MS;
	pthread_cond_signal(&ix->wake);
}

static void end_statement(struct index *ix)
{
	if (ix->in_use) {
		sqlite3_reset(ix->in_use);
		sqlite3_clear_bindings(ix->in_use);
	}
	ix->in_use = NULL;
}

sqlite3_stmt *index_next(struct index *ix, enum index_statement which)
{
	end_statement(ix);
	ix->in_use = ix->statements[which];
	return ix->in_use;
}

sqlite3_stmt *index_lock(struct index *ix, enum index_statement which)
{
	pthread_mutex_lock(&ix->lock);
	if (!ix->db && now_ms() >= ix->reopen_at_ms)
		mend(ix);
	return index_next(ix, which);
}

void index_unlock(struct index *ix)
{
	end_statement(ix);
	if (ix->damaged)
		mend(ix);
	pthread_mutex_unlock(&ix->lock);
}

static int failed(struct index *ix, const char *doing, struct error *err)
{
	if (!ix->db)
		return error_set(err, -EIO, "the index cannot be opened just now");
	if (index_is_damage(sqlite3_extended_errcode(ix->db)))
		ix->damaged = true;
	return error_set(err, -EIO, "the index: cannot %s: %s", doing, sqlite3_errmsg(ix->db));
}

int index_step(struct index *ix, sqlite3_stmt *q, struct error *err)
{
	int r = q ? sqlite3_step(q) : SQLITE_ERROR;
	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : failed(ix, "run a statement", err);
}

static int run(struct index *ix, const char *text, struct error *err)
{
	if (ix->db && sqlite3_exec(ix->db, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return failed(ix, text, err);
}

int index_write(struct index *ix, sqlite3_stmt *q, struct error *err)
{
	if (!ix->in_transaction) {
		int r = run(ix, "BEGIN IMMEDIATE", err);
		if (r < 0)
			return r;
		ix->in_transaction = true;
		ix->commit_at_ms = now_ms() + INDEX_COMMIT_MS;
		pthread_cond_signal(&ix->wake);
	}
	int r = index_step(ix, q, err);
	/* SQLite ends the transaction by itself after some errors, such as a full disk. */
	if (r < 0 && ix->db && sqlite3_get_autocommit(ix->db))
		ix->in_transaction = false;
	return r;
}

int index_commit(struct index *ix, struct error *err)
{
	end_statement(ix);
	if (!ix->in_transaction)
		return 0;
	ix->in_transaction = false;
	int r = run(ix, "COMMIT", err);
	if (r < 0 && ix->db && !sqlite3_get_autocommit(ix->db))
		sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

void index_bind_bytes(sqlite3_stmt *q, int column, const void *bytes, size_t len)
{
	if (q)
		sqlite3_bind_blob64(q, column, bytes, len, SQLITE_STATIC);
}

void index_bind_digest(sqlite3_stmt *q, int column, const struct digest *d)
{
	index_bind_bytes(q, column, d->bytes, DIGEST_SIZE);
}

void index_bind_text(sqlite3_stmt *q, int column, const char *text)
{
	index_bind_bytes(q, column, text ? text : "", text ? strlen(text) : 0);
}

void index_bind_number(sqlite3_stmt *q, int column, int64_t number)
{
	if (q)
		sqlite3_bind_int64(q, column, number);
}

char *index_column_text(sqlite3_stmt *q, int column)
{
	const char *bytes = sqlite3_column_blob(q, column);
	int len = sqlite3_column_bytes(q, column);
	return xstrndup(bytes ? bytes : "", bytes ? (size_t)len : 0);
}

bool index_column_digest(sqlite3_stmt *q, int column, struct digest *out)
{
	const void *bytes = sqlite3_column_blob(q, column);
	if (!bytes || sqlite3_column_bytes(q, column) != DIGEST_SIZE)
		return false;
	memcpy(out->bytes, bytes, DIGEST_SIZE);
	return true;
}

static void wait_until(struct index *ix, int64_t when_ms)
{
	struct timespec t = {
		.tv_sec = when_ms / 1000,
		.tv_nsec = when_ms % 1000 * 1000000,
	};
	pthread_cond_timedwait(&ix->wake, &ix->lock, &t);
}

/* On a connection of its own, so that nobody waits for the disk but this thread. */
static void checkpoint(struct index *ix)
{
	sqlite3 *db;
	pthread_mutex_lock(&ix->files);
	if (index_schema_connect(store_local_dirfd(ix->store), SQLITE_OPEN_READWRITE, &db, NULL) == 0) {
		/* A connection that has read nothing yet does not know of the log. */
		sqlite3_exec(db, "PRAGMA user_version; PRAGMA wal_checkpoint(PASSIVE)", NULL, NULL,
			     NULL);
		sqlite3_close(db);
	}
	pthread_mutex_unlock(&ix->files);
}

/* Locked; the lock is dropped meanwhile. */
static void refill(struct index *ix)
{
	struct error err = ERROR_INIT;
	ix->refill = false;
	pthread_mutex_unlock(&ix->lock);
	if (index_refill(ix, &err) < 0)
		log_warning("%s", err.text);
	pthread_mutex_lock(&ix->lock);
}

/* Does the one thing that is due. */
static void commit_or_wait(struct index *ix)
{
	struct error err = ERROR_INIT;
	if (ix->refill) {
		refill(ix);
	} else if (ix->wal_pages > WAL_PAGES_MAX) {
		ix->wal_pages = 0;
		pthread_mutex_unlock(&ix->lock);
		checkpoint(ix);
		pthread_mutex_lock(&ix->lock);
	} else if (!ix->in_transaction) {
		pthread_cond_wait(&ix->wake, &ix->lock);
	} else if (now_ms() < ix->commit_at_ms) {
		wait_until(ix, ix->commit_at_ms);
	} else {
		if (index_commit(ix, &err) < 0)
			log_warning("%s", err.text);
		if (ix->damaged)
			mend(ix);
	}
}

static void *commit_thread(void *arg)
{
	struct index *ix = arg;
	pthread_mutex_lock(&ix->lock);
	while (!ix->stopping)
		commit_or_wait(ix);
	pthread_mutex_unlock(&ix->lock);
	return NULL;
}

static int start_committer(struct index *ix, struct error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	/* Signals are for the threads of the program. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&ix->committer, NULL, commit_thread, ix);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		errno = r;
		return error_errno(err, "cannot start the index's thread");
	}
	pthread_setname_np(ix->committer, "ggfs-index");
	ix->has_committer = true;
	return 0;
}

int index_db_open(struct index *ix, bool *rebuilt, struct error *err)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ix->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&ix->lock, NULL);
	pthread_mutex_init(&ix->files, NULL);
	int r = connect_or_make(ix, rebuilt, err);
	if (r == 0 && *rebuilt)
		r = index_refill(ix, err);
	return r < 0 ? r : start_committer(ix, err);
}

void index_db_close(struct index *ix)
{
	struct error err = ERROR_INIT;
	if (ix->has_committer) {
		pthread_mutex_lock(&ix->lock);
		ix->stopping = true;
		pthread_cond_signal(&ix->wake);
		pthread_mutex_unlock(&ix->lock);
		pthread_join(ix->committer, NULL);
	}
	if (index_commit(ix, &err) < 0)
		log_warning("%s", err.text);
	disconnect(ix);
	pthread_mutex_destroy(&ix->files);
	pthread_mutex_destroy(&ix->lock);
	pthread_cond_destroy(&ix->wake);
}
