/*
 * Fetch: the far store as a worker uses it: blocking, under a deadline. One far store is kept from
 * request to request, as most name the same.
 *
 * Private to engine/worker/. Threads: one owner at a time, not the net's.
 */
#ifndef GGFS_ENGINE_WORKER_FETCH_H
#define GGFS_ENGINE_WORKER_FETCH_H

#include "engine/worker/worker.h"
#include "objstore/far.h"

struct fetch;

/* aws may be NULL: then no far store can be had. only: the one URL that is allowed; NULL: any. */
struct fetch *fetch_new(struct aws *aws, struct store *near, const char *only);
void fetch_free(struct fetch *f);

/* The far store of this request, if it has one. -EACCES: it may or can not be used. */
int fetch_open(struct fetch *f, const struct remote_request *r, struct error *err);
bool fetch_is_open(const struct fetch *f);

/* All of these into near. -ENOENT: *absent is in neither. -ETIME: not by until_ms (now_ms()'s
 * clock); the far store is closed then. */
int fetch_pull(struct fetch *f, const struct sized_blob *blobs, size_t count, int64_t until_ms,
               struct digest *absent, struct error *err);
/* All of these from near, and then the memos, into the far store. */
int fetch_push(struct fetch *f, const struct sized_blob *blobs, size_t count,
               const struct memo *const *memos, size_t memo_count, int64_t until_ms,
               struct error *err);

/* What was used since fetch_new. */
void fetch_usage(const struct fetch *f, struct far_usage *out);

#endif
