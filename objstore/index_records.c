/* The tables that say what happened: failures that are remembered, the log, and what was seen in the
 * far store. */
#include <stdlib.h>

#include "common/io.h"
#include "objstore/index_db.h"

enum { LOG_PRUNE_EVERY = 256, LOG_READ_AT_ONCE = 64 };

/* The last bytes of a text that are kept. */
static const char *tail(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	return len > FAILURE_STDERR_MAX ? text + len - FAILURE_STDERR_MAX : text;
}

static void read_failure(sqlite3_stmt *q, const struct digest *thunk, struct failure *out)
{
	*out = (struct failure){
		.thunk = *thunk,
		.code = sqlite3_column_int(q, 0),
		.exit_status = sqlite3_column_int(q, 1),
		.when_ns = sqlite3_column_int64(q, 2),
		.until_ns = sqlite3_column_int64(q, 3),
		.reason = index_column_text(q, 4),
		.stderr_tail = index_column_text(q, 5),
		.engine = index_column_text(q, 6),
	};
}

int index_failure_get(struct index *ix, const struct digest *thunk, struct failure *out)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_FAILURE_GET);
	index_bind_digest(q, 1, thunk);
	int r = index_step(ix, q, NULL);
	int64_t until_ns = r == 1 ? sqlite3_column_int64(q, 3) : 0;
	if (until_ns != 0 && until_ns <= wall_ns())
		r = 0;
	if (r == 1)
		read_failure(q, thunk, out);
	index_unlock(ix);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

int index_failure_put(struct index *ix, const struct failure *f, struct error *err)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_FAILURE_PUT);
	index_bind_digest(q, 1, &f->thunk);
	index_bind_number(q, 2, f->code);
	index_bind_number(q, 3, f->exit_status);
	index_bind_number(q, 4, f->when_ns);
	index_bind_number(q, 5, f->until_ns);
	index_bind_text(q, 6, f->reason);
	index_bind_text(q, 7, tail(f->stderr_tail));
	index_bind_text(q, 8, f->engine);
	int r = index_write(ix, q, err);
	index_unlock(ix);
	return r;
}

int index_failure_delete(struct index *ix, const struct digest *thunk)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_FAILURE_DELETE);
	index_bind_digest(q, 1, thunk);
	int r = index_write(ix, q, NULL);
	bool was_there = r == 0 && sqlite3_changes(ix->db) > 0;
	/* At once: somebody asked for it to be forgotten. */
	if (was_there)
		r = index_commit(ix, NULL);
	index_unlock(ix);
	return r < 0 ? r : was_there ? 0 : -ENOENT;
}

void index_log_add(struct index *ix, const struct log_record *r)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_LOG_ADD);
	index_bind_number(q, 1, r->when_ns);
	index_bind_digest(q, 2, &r->thunk);
	index_bind_text(q, 3, r->label);
	index_bind_text(q, 4, r->asker);
	index_bind_text(q, 5, r->engine);
	index_bind_number(q, 6, (int64_t)r->micros);
	index_bind_number(q, 7, r->code);
	index_bind_number(q, 8, r->memoised);
	if (r->stderr_tail)
		index_bind_text(q, 9, tail(r->stderr_tail));
	index_bind_number(q, 10, (int64_t)r->cost_nanodollars);
	if (index_write(ix, q, NULL) == 0) {
		int64_t id = sqlite3_last_insert_rowid(ix->db);
		if (id % LOG_PRUNE_EVERY == 0) {
			q = index_next(ix, STATEMENT_LOG_PRUNE);
			index_bind_number(q, 1, id - INDEX_LOG_KEPT);
			index_write(ix, q, NULL);
		}
	}
	index_unlock(ix);
}

static void read_record(sqlite3_stmt *q, struct log_record *out)
{
	*out = (struct log_record){
		.when_ns = sqlite3_column_int64(q, 1),
		.label = index_column_text(q, 3),
		.asker = index_column_text(q, 4),
		.engine = index_column_text(q, 5),
		.micros = (uint64_t)sqlite3_column_int64(q, 6),
		.code = sqlite3_column_int(q, 7),
		.memoised = sqlite3_column_int(q, 8) != 0,
		.cost_nanodollars = (uint64_t)sqlite3_column_int64(q, 10),
	};
	index_column_digest(q, 2, &out->thunk);
	if (sqlite3_column_type(q, 9) != SQLITE_NULL)
		out->stderr_tail = index_column_text(q, 9);
}

/* At most `most` records after *id, which moves to the last of them; how many, or -EIO. */
static int read_records(struct index *ix, int64_t *id, int most, struct log_record *records,
			struct error *err)
{
	int count = 0, r = 0;
	sqlite3_stmt *q = index_lock(ix, STATEMENT_LOG_AFTER);
	index_bind_number(q, 1, *id);
	index_bind_number(q, 2, most);
	while (count < most && (r = index_step(ix, q, err)) == 1) {
		*id = sqlite3_column_int64(q, 0);
		read_record(q, &records[count++]);
	}
	index_unlock(ix);
	return r < 0 && count == 0 ? r : count;
}

/* The callback comes with no lock held, so some records are read at a time. */
static int pass_records(struct index *ix, int64_t *id, int64_t last, index_log_fn *fn, void *arg,
			struct error *err)
{
	struct log_record records[LOG_READ_AT_ONCE];
	int64_t left = last - *id;
	int most = left < LOG_READ_AT_ONCE ? (int)left : LOG_READ_AT_ONCE;
	int count = read_records(ix, id, most, records, err);
	int r = count < 0 ? count : 0;
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = fn(arg, &records[i]);
		log_record_release(&records[i]);
	}
	if (count == 0)
		*id = last;
	return r;
}

int index_log_iterate(struct index *ix, size_t limit, index_log_fn *fn, void *arg,
		      struct error *err)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_LOG_LAST);
	int r = index_step(ix, q, err);
	int64_t last = r == 1 ? sqlite3_column_int64(q, 0) : 0;
	index_unlock(ix);
	if (r < 0)
		return r;
	/* Records go only from the low end, so the newest are those with the last ids. */
	int64_t id = limit < (size_t)last ? last - (int64_t)limit : 0;
	r = 0;
	while (r == 0 && id < last)
		r = pass_records(ix, &id, last, fn, arg, err);
	return r;
}

/* --- what the far store has --------------------------------------------------------------------- */

bool index_far_known(struct index *ix, const struct digest *blob)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_FAR_GET);
	index_bind_digest(q, 1, blob);
	int r = index_step(ix, q, NULL);
	index_unlock(ix);
	return r == 1;
}

void index_far_remember(struct index *ix, const struct digest *blob, bool there)
{
	sqlite3_stmt *q = index_lock(ix, there ? STATEMENT_FAR_PUT : STATEMENT_FAR_DELETE);
	index_bind_digest(q, 1, blob);
	index_write(ix, q, NULL);
	index_unlock(ix);
}

void index_far_begin(struct index *ix, const char *url)
{
	sqlite3_stmt *q = index_lock(ix, STATEMENT_FAR_URL_GET);
	scoped_free char *known = index_step(ix, q, NULL) == 1 ? index_column_text(q, 0) : NULL;
	if (!known || strcmp(known, url) != 0) {
		q = index_next(ix, STATEMENT_FAR_CLEAR);
		index_write(ix, q, NULL);
		q = index_next(ix, STATEMENT_FAR_URL_PUT);
		index_bind_text(q, 1, url);
		index_write(ix, q, NULL);
	}
	index_unlock(ix);
}
