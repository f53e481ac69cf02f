/*
 * Passthrough: the kernel reads and writes the backing file by itself (docs/mount.md). One backing
 * id an inode, made at its first open, writable where that can be had so that it serves every later
 * open, and kept until the kernel forgets the inode or its bytes come from another file.
 */
#ifndef GGFS_FS_PASSTHROUGH_H
#define GGFS_FS_PASSTHROUGH_H

#include "fs/fs.h"

/* inode->lock is held. Sees to it that inode->backing_id serves this open: of the object, or of the
 * inode's own bytes when object is NULL. False: the open has to do without. An id in use
 * (inode->opens) is never replaced. */
bool passthrough_prepare(fuse_req_t req, struct inode *inode, const struct digest *object,
                         bool writable);

/* Gives the id back, if there is one. inode->lock is held, or nobody else has the inode. */
void passthrough_drop(fuse_req_t req, struct inode *inode);

/* Asks for the capability while the connection is negotiated. */
void passthrough_init(struct fs *fs, struct fuse_conn_info *conn);

#endif
