/*
 * Where a real path is to be looked at: in a mount's backing directory, or as it is. Never through
 * a mount of our store: one that has not told of itself is waited for, and else hidden.
 *
 * Private to engine/model/. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_LOCATE_H
#define GGFS_ENGINE_MODEL_LOCATE_H

#include "engine/model/mount_table.h"

struct locator {
	struct mount_table *table;
	struct store *store;
	struct mount **mounts;
	size_t mount_count;
	struct mountpoint *mountpoints; /* that the kernel has; once listed */
	size_t mountpoint_count;
	bool listed;
	int code; /* why it locates nothing any more: something led into a hidden mount */
	struct error why;
};

void locator_init(struct locator *l, struct mount_table *table, struct store *store);
void locator_release(struct locator *l);

/* The descriptor and the path below it that stand for a real path; "" is the directory itself.
 * -ESTALE when it leads into a hidden mount; and whatever is asked for after that. */
int locate(struct locator *l, const char *real, int *fd, const char **rest);
int locator_check(const struct locator *l, struct error *err);

#endif
