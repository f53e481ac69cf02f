/* user.ggfs.*: what is known of a lazy file, to be read. fs/xattr.h has the operations. */
#ifndef GGFS_FS_LAZY_XATTR_H
#define GGFS_FS_LAZY_XATTR_H

#include "common/buf.h"
#include "fs/fs.h"

bool lazy_xattr_is_ours(const char *name);

/* Each answers req, when the service has said what it knows. names are the backing file's own. */
void lazy_xattr_get(struct fs *fs, fuse_req_t req, struct inode *inode, const char *name,
                    size_t size);
void lazy_xattr_list(struct fs *fs, fuse_req_t req, struct inode *inode, const struct buf *names,
                     size_t size);
/* Of a file that is not lazy: its state, and nothing else. */
void lazy_xattr_get_ordinary(fuse_req_t req, const struct inode *inode, const char *name,
                             size_t size);
/* user.ggfs.retry forgets a failure; 0, or -EPERM for every other name. */
int lazy_xattr_set(struct fs *fs, struct inode *inode, const char *name);

#endif
