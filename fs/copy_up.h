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

#include "fs/fs.h"

/* The object, which is in the store, becomes the file's bytes; an in_place_fn. */
int copy_up(struct fs *fs, struct inode *inode, const struct ref *ref, const struct digest *object);

/* Before serving: completes what a crash left in the backing directory. A file whose object is gone
 * becomes a placeholder for it again. */
int copy_up_recover(int backing_fd, int store_fd, struct error *err);

#endif
