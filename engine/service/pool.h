/*
 * A few threads for what may take a while, so that the loop never waits.
 *
 * Threads: pool_submit from one thread; work runs on the pool's.
 */
#ifndef GGFS_ENGINE_SERVICE_POOL_H
#define GGFS_ENGINE_SERVICE_POOL_H

#include "common/error.h"

struct pool;

int pool_new(unsigned threads, struct pool **out, struct error *err);
/* Runs what was submitted, then ends the threads. NULL is fine. */
void pool_free(struct pool *p);
/* Calls work(arg) on some thread of the pool. */
void pool_submit(struct pool *p, void (*work)(void *arg), void *arg);

#endif
