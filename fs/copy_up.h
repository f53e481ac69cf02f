/*
 * Copying an object into its lazy file, which somebody wants to write to: the same inode holds the
 * placeholder before and the object's bytes after.
 *
 * `kill -9` may come at any moment, and a file's bytes cannot be exchanged in one step on every
 * filesystem. So the intent is noted first: a second name for the inode,
 * INTENT_DIRECTORY/DIGEST.MTIME, which neither a rename nor an unlink of the first can lose, and
 * which is removed when the copy is complete. The next mount finishes what is noted there before it
 * serves anybody.
 */
#ifndef GGFS_FS_COPY_UP_H
#define GGFS_FS_COPY_UP_H

#include "fs/parked.h"

/* p->object is in the store. Copies (or waits for the copy under way), then finishes p. May still
 * be interrupted: the copy is completed then, and kept. */
void copy_up(struct parked *p);

/* If a copy into inode is under way, p waits for it, to be finished with 0 after; else false. */
bool copy_up_wait(struct parked *p);

/* Before serving: completes what a crash left in the backing directory. A file whose object is gone
 * becomes a placeholder for it again. */
int copy_up_recover(int backing_fd, int store_fd, struct error *err);

#endif
