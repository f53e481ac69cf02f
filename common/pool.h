/*
 * A few threads for what may take a while (disks, compression, JSON), so that a loop never waits.
 *
 * Threads: pool_submit from any; work runs on the pool's, with all signals blocked. What waits is
 * bounded by whoever submits.
 */
#ifndef GGFS_COMMON_POOL_H
#define GGFS_COMMON_POOL_H

#include "common/error.h"

struct pool;
typedef void pool_fn(void *arg);

/* name: of the threads, at most 15 bytes. */
int pool_new(const char *name, unsigned threads, struct pool **out, struct error *err);
/* Runs what was submitted, then ends the threads. NULL is fine. */
void pool_free(struct pool *p);
/* Calls work(arg) on some thread of the pool; with one thread, in the order submitted. */
void pool_submit(struct pool *p, pool_fn *work, void *arg);
/* Of a pool with one thread: waits until what was submitted before is done. Not from that thread.
 */
void pool_flush(struct pool *p);

#endif
