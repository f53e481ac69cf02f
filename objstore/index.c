/* The tables that say what results are: memos, sizes, the stat cache, times of use. */
#include "objstore/index.h"

#include <stdlib.h>

#include "common/io.h"
#include "common/log.h"
#include "objstore/index_db.h"

/* The kernel stamps files by the timer tick, 10 ms at the coarsest; a file that changed since the
 * last two of them may change again and carry the same times. */
static const int64_t racy_ns = 20 * 1000000;

DEFINE_SCOPED(scoped_index_, struct index, index_free)

int index_open(struct store *local_store, struct index **out, bool *rebuilt, struct error *err)
{
	if (store_local_dirfd(local_store) < 0)
		return error_set(err, -EINVAL, "only a local store has an index");
	scoped(scoped_index_) struct index *ix = xcalloc(1, sizeof(*ix));
	bool made = false;
	ix->store = local_store;
	int r = index_db_open(ix, &made, err);
	if (r < 0)
		return r;
	if (rebuilt)
		*rebuilt = made;
	*out = steal(&ix);
	return 0;
}

void index_free(struct index *ix)
{
	if (!ix)
		return;
	index_db_close(ix);
	free(ix);
}

int index_flush(struct index *ix, struct error *err)
{
	index_lock(ix, STATEMENT_MEMO_GET);
	int r = index_commit(ix, err);
	index_unlock(ix);
	return r;
}

/* Locked. */
static int write_sizes(struct index *ix, const struct memo *memo, struct error *err)
{
	for (size_t i = 0; i < memo->count; i++) {
		const struct memo_output *output = &memo->outputs[i];
		if (output->ref.kind != REF_BLOB)
			continue;
		sqlite3_stmt *q = index_next(ix, STATEMENT_SIZE_PUT);
		index_bind_text(q, 1, output->path);
		index_bind_number(q, 2, (int64_t)output->ref.size_bytes);
		index_bind_number(q, 3, (int64_t)memo->micros);
		int r = index_write(ix, q, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Locked, with the statement that writes. */
static int write_memo(struct index *ix, sqlite3_stmt *q, const struct memo *memo,
		      struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	memo_encode(memo, &text);
	index_bind_digest(q, 1, &memo->thunk);
	index_bind_bytes(q, 2, text.data, text.len);
	int r = index_write(ix, q, err);
	r = r < 0 ? r : write_sizes(ix, memo, err);
	/* The statements still point at the text. */
	index_next(ix, STATEMENT_MEMO_GET);
	return r;
}

/* From the index alone; *deletes is for read_memo_file(). */
static int look_up_memo(struct index *ix, const struct digest *thunk, struct memo *out,
			uint64_t *deletes)
{
	scoped_buf struct buf text = BUF_INIT;
	sqlite3_stmt *q = index_lock(ix, STATEMENT_MEMO_GET);
	index_bind_digest(q, 1, thunk);
	int r = index_step(ix, q, NULL);
	if (r == 1)
		buf_add(&text, sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0));
	*deletes = ix->memo_deletes;
	index_unlock(ix);
	if (r != 1)
		return -ENOENT;
	scoped_memo struct memo memo = MEMO_INIT;
	if (!text.data || memo_decode(text.data, text.len, &memo, NULL) < 0 ||
	    !digest_equal(&memo.thunk, thunk))
		return -EBADMSG;
	*out = memo;
	memo = MEMO_INIT;
	return 0;
}

/* From the store's file; remembers it, unless a memo was deleted since *deletes was read: it might
 * be this one. */
static int read_memo_file(struct index *ix, const struct digest *thunk, uint64_t deletes,
			  enum index_statement how, struct memo *out, struct error *err)
{
	int r = store_memo_get(ix->store, thunk, out, err);
	if (r < 0)
		return r;
	sqlite3_stmt *q = index_lock(ix, how);
	/* That it cannot be remembered is no trouble of the asker's. */
	if (ix->memo_deletes == deletes)
		write_memo(ix, q, out, NULL);
	index_unlock(ix);
	return 0;
}

int index_memo_get(struct index *ix, const struct digest *thunk, struct memo *out,
		   struct error *err)
{
	uint64_t deletes;
	int r = look_up_memo(ix, thunk, out, &deletes);
	if (r == 0)
		return 0;
	/* A damaged row is replaced; an absent one added, unless a put was quicker. */
	return read_memo_file(ix, thunk, deletes,
			      r == -EBADMSG ? STATEMENT_MEMO_PUT : STATEMENT_MEMO_ADD, out, err);
}

int index_memo_put(struct index *ix, const struct memo *memo, struct error *err)
{
	int r = store_memo_put(ix->store, memo, err);
	if (r < 0)
		return r;
	r = write_memo(ix, index_lock(ix, STATEMENT_MEMO_PUT), memo, err);
	index_unlock(ix);
	return r;
}

int index_memo_delete(struct index *ix, const struct digest *thunk, struct error *err)
{
	int r = store_memo_delete(ix->store, thunk, err);
	if (r < 0 && r != -ENOENT)
		return r;
	sqlite3_stmt *q = index_lock(ix, STATEMENT_MEMO_DELETE);
	ix->memo_deletes++;
	index_bind_digest(q, 1, thunk);
	int written = index_write(ix, q, err);
	/* At once: nothing would find out later that it had been lost. */
	if (written == 0)
		written = index_commit(ix, err);
	index_unlock(ix);
	return written < 0 ? written : r;
}

static int refill_one(void *arg, const struct digest *thunk, uint64_t size_bytes)
{
	struct index *ix = arg;
	struct error err = ERROR_INIT;
	scoped_memo struct memo memo = MEMO_INIT;
	(void)size_bytes;
	pthread_mutex_lock(&ix->lock);
	uint64_t deletes = ix->memo_deletes;
	bool stopping = ix->stopping;
	pthread_mutex_unlock(&ix->lock);
	if (stopping)
		return -ECANCELED;
	int r = read_memo_file(ix, thunk, deletes, STATEMENT_MEMO_ADD, &memo, &err);
	if (r < 0 && r != -ENOENT)
		log_warning("left out of the index: %s", err.text);
	return 0;
}

int index_refill(struct index *ix, struct error *err)
{
	int r = store_memo_iterate(ix->store, refill_one, ix, err);
	return r == -ECANCELED ? 0 : r;
}

int index_size_get(struct index *ix, const char *output_path, uint64_t *size_bytes)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_SIZE_GET);
	index_bind_text(q, 1, output_path);
	int r = index_step(ix, q, NULL);
	if (r == 1)
		*size_bytes = (uint64_t)sqlite3_column_int64(q, 0);
	index_unlock(ix);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

uint64_t index_micros_get(struct index *ix, const char *output_path)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_SIZE_GET);
	index_bind_text(q, 1, output_path);
	uint64_t micros = 0;
	if (index_step(ix, q, NULL) == 1)
		micros = (uint64_t)sqlite3_column_int64(q, 1);
	index_unlock(ix);
	return micros;
}

static int64_t time_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void bind_stat(sqlite3_stmt *q, const struct stat *st)
{
	index_bind_number(q, 1, (int64_t)st->st_dev);
	index_bind_number(q, 2, (int64_t)st->st_ino);
	index_bind_number(q, 3, (int64_t)st->st_size);
	index_bind_number(q, 4, time_ns(&st->st_mtim));
	index_bind_number(q, 5, time_ns(&st->st_ctim));
}

int index_stat_get(struct index *ix, const struct stat *st, struct digest *out)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_STAT_GET);
	bind_stat(q, st);
	int r = index_step(ix, q, NULL);
	if (r == 1 && !index_column_digest(q, 0, out))
		r = 0;
	index_unlock(ix);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

void index_stat_put(struct index *ix, const struct stat *st, const struct digest *d)
{
	int64_t settled = wall_ns() - racy_ns;
	if (time_ns(&st->st_mtim) > settled || time_ns(&st->st_ctim) > settled)
		return;
	sqlite3_stmt *q = index_lock(ix, STATEMENT_STAT_PUT);
	bind_stat(q, st);
	index_bind_digest(q, 6, d);
	index_write(ix, q, NULL);
	index_unlock(ix);
}

void index_access(struct index *ix, const struct digest *blob)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_ACCESS_PUT);
	index_bind_digest(q, 1, blob);
	index_bind_number(q, 2, wall_ns());
	index_write(ix, q, NULL);
	index_unlock(ix);
}
