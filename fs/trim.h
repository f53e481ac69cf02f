/*
 * Trimming: each inode the kernel remembers costs us a descriptor, and there are processes that may
 * not have many. Past half of them the kernel is asked to forget files that were not looked up
 * lately.
 */
#ifndef GGFS_FS_TRIM_H
#define GGFS_FS_TRIM_H

#include "fs/fs.h"

/* Sees to it, soon, on fs->slow. No lock is held. */
void trim_if_needed(struct fs *fs);

/* Past the limit: who only might need an inode should do without. */
bool trim_is_crowded(struct fs *fs);

/* How many inodes a limit of so many descriptors leaves room for. */
size_t trim_limit(size_t descriptors);

#endif
