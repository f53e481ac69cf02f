/*
 * Trimming: each inode the kernel remembers costs us a descriptor, and there are processes that may
 * not have many. Past half of them the kernel is asked to forget files that were not looked up
 * lately.
 *
 * Linux 6.18 is asked for many at once, by their numbers. Before, it takes one name at a time and
 * the lock of the directory for each, which whoever scans that directory holds most of the time.
 */
#ifndef GGFS_FS_TRIM_H
#define GGFS_FS_TRIM_H

#include "fs/fs.h"

/* Sees to it, soon, on fs->slow. No lock is held. */
void trim_if_needed(struct fs *fs);

/* Waits a little, at three quarters of the descriptors, for those that the kernel is just giving
 * back; must: at the last one, too. True when it has waited, and trying again is worth it. */
bool trim_wait_for_room(struct fs *fs, bool must);
/* An inode is gone; table.lock is held. */
void trim_made_room(struct table *t);

/* Past the limit: who only might need an inode should do without. */
bool trim_is_crowded(struct fs *fs);

/* How many inodes a limit of so many descriptors leaves room for. */
size_t trim_limit(size_t descriptors);

#endif
