/* Directories as they are listed. Entries are cached by the kernel. Only opening a lazy
 * directory forces it; nothing else forces or asks. */
#ifndef GGFS_FS_DIR_H
#define GGFS_FS_DIR_H

#include "fs/fs.h"

/* Opens and answers req; a lazy directory has been expanded before. */
void dir_open_reply(fuse_req_t req, struct inode *inode, const struct fuse_file_info *fi);

/* Closes those whose release the unmounting was quicker than. */
void directories_release(struct fs *fs);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
