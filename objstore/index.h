/*
 * Index: what is worth knowing fast and may be lost. SQLite in WAL mode beside the local store;
 * schema version in user_version; checked on open. A missing, damaged or older index is set
 * aside (index.sqlite.broken) and built anew from the store's memos; a newer one is -EPROTO.
 *
 *   memo       thunk -> memo text (the store's file is the truth, this is the quick look)
 *   size       output path -> the size it had last, and how long it took
 *   stat       (device, inode, size, mtime, ctime) -> digest
 *   failure    thunk -> errno, reason, exit status, tail of stderr, until when it is remembered
 *   access     blob -> last use, for gc
 *   log        one record a force: when, thunk, who asked, engine, time, outcome, stderr, cost
 *   far        blobs that were seen in the far store, and which store that is
 *
 * Writes are gathered and committed together, at the latest INDEX_COMMIT_MS later or by
 * index_flush(); a crash loses at most those, and nothing that cannot be found again.
 *
 * Threads: any; one lock inside, held for one statement at a time.
 * Errors: -ENOENT for "not known"; -EIO for SQLite's troubles.
 */
#ifndef GGFS_OBJSTORE_INDEX_H
#define GGFS_OBJSTORE_INDEX_H

#include <sys/stat.h>

#include "objstore/memo.h"
#include "objstore/store.h"

enum { INDEX_COMMIT_MS = 200, INDEX_LOG_KEPT = 100000 };

struct index;

/* rebuilt (may be NULL) tells whether it had to be built anew. The store must outlive it. */
int index_open(struct store *local_store, struct index **out, bool *rebuilt, struct error *err);
void index_free(struct index *ix); /* commits; NULL is fine */
int index_flush(struct index *ix, struct error *err);

/* Looks in the index, then in the store's memo file. */
int index_memo_get(struct index *ix, const struct digest *thunk, struct memo *out,
		   struct error *err);
/* Writes the store's memo file, then the index, and the sizes of its blob outputs. */
int index_memo_put(struct index *ix, const struct memo *memo, struct error *err);
int index_memo_delete(struct index *ix, const struct digest *thunk, struct error *err);

int index_size_get(struct index *ix, const char *output_path, uint64_t *size_bytes);
/* What the thunk with this output took last time; 0 when not known. */
uint64_t index_micros_get(struct index *ix, const char *output_path);

/* The digest of a regular file, from the stat cache. -ENOENT when not known. */
int index_stat_get(struct index *ix, const struct stat *st, struct digest *out);
/* Remembers it, unless the file changed so lately that a second change could have the same
 * times (the racy case): then it does nothing. */
void index_stat_put(struct index *ix, const struct stat *st, const struct digest *d);

struct failure {
	struct digest thunk;
	int code;               /* the errno that readers get, positive (EREMOTEIO, ...) */
	int exit_status;        /* of the function; -1 when it did not get that far; 128+n signal n */
	int64_t when_ns;        /* since 1970 */
	int64_t until_ns;       /* remembered until then; 0: until retried */
	char *reason;           /* one sentence */
	char *stderr_tail;      /* at most FAILURE_STDERR_MAX bytes; may be empty */
	char *engine;
};
enum { FAILURE_STDERR_MAX = 64 << 10 };

void failure_release(struct failure *f);
int index_failure_get(struct index *ix, const struct digest *thunk, struct failure *out);
int index_failure_put(struct index *ix, const struct failure *f, struct error *err);
int index_failure_delete(struct index *ix, const struct digest *thunk);

void index_access(struct index *ix, const struct digest *blob); /* notes a use, now */

struct log_record {
	int64_t when_ns;      /* end, since 1970 */
	struct digest thunk;
	char *label;          /* the first output's path */
	char *asker;          /* program and pid that asked first */
	char *engine;
	uint64_t micros;
	int code;             /* 0 or the positive errno */
	bool memoised;        /* nothing had to run */
	char *stderr_tail;    /* warnings, or the failure's text; may be NULL */
	uint64_t cost_nanodollars;
};

void log_record_release(struct log_record *r);
void index_log_add(struct index *ix, const struct log_record *r);
typedef int index_log_fn(void *arg, const struct log_record *r);
/* The newest limit records, oldest of them first. */
int index_log_iterate(struct index *ix, size_t limit, index_log_fn *fn, void *arg,
		      struct error *err);

/* Blobs that were seen in the far store at this URL. Beginning with another URL forgets those of the
 * one before. What proves wrong is to be forgotten with there = false. */
void index_far_begin(struct index *ix, const char *url);
bool index_far_known(struct index *ix, const struct digest *blob);
void index_far_remember(struct index *ix, const struct digest *blob, bool there);

#endif
