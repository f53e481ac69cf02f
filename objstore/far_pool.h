/*
 * A few threads for what would hold up the net's: disks and compression.
 *
 * Threads: pool_run from the net's; work runs on one of the pool's, done on the net's.
 */
#ifndef GGFS_OBJSTORE_FAR_POOL_H
#define GGFS_OBJSTORE_FAR_POOL_H

#include "common/net.h"

enum { FAR_POOL_THREADS_MAX = 4 }; /* and no more than there are processors */

struct far_pool;

int far_pool_new(struct net *net, struct far_pool **out, struct error *err);
/* When nothing is under way any more; NULL is fine. */
void far_pool_free(struct far_pool *pool);
/* Never fails. The caller bounds how many wait. */
void far_pool_run(struct far_pool *pool, loop_fn *work, loop_fn *done, void *arg);

#endif
