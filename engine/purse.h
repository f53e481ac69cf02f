/*
 * Purse: a budget that one force, or all forces of one mount, draw on. What is in flight is
 * reserved by estimate and settled by what it did cost. In nanodollars.
 *
 * Threads: the loop's.
 */
#ifndef GGFS_ENGINE_PURSE_H
#define GGFS_ENGINE_PURSE_H

#include <stdbool.h>
#include <stdint.h>

struct purse {
	unsigned refs;
	uint64_t limit, spent, reserved;
};

struct purse *purse_new(uint64_t limit_nanodollars);
struct purse *purse_share(struct purse *p); /* NULL gives NULL: no budget */
void purse_unshare(struct purse *p);

/* False: the budget would be passed, and nothing was reserved. Without a purse always true. */
bool purse_reserve(struct purse *p, uint64_t nanodollars);
/* What reserved was set aside for has ended and cost spent. */
void purse_settle(struct purse *p, uint64_t reserved, uint64_t spent);

#endif
