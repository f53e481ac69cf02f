/*
 * Extended attributes: the backing file's own, and for lazy files user.ggfs.* (docs/lazy-files.md),
 * which tell the state and can not be set, user.ggfs.retry excepted.
 */
#ifndef GGFS_FS_XATTR_H
#define GGFS_FS_XATTR_H

#include "fs/fs.h"

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* Answers a GETXATTR or LISTXATTR that asked for at most size bytes (0: only how many). */
void xattr_reply(fuse_req_t req, const char *bytes, size_t len, size_t size);

#endif
