/* Attributes and entries as the kernel is told them. */
#ifndef GGFS_FS_ATTR_H
#define GGFS_FS_ATTR_H

#include "fs/fs.h"

/* Turns the backing file's attributes into those shown, with what is known of a lazy file at this
 * moment (nobody is asked), and returns how long the kernel may believe them, seconds. */
double attr_present(struct fs *fs, struct inode *inode, struct stat *st);

/* The entry for an inode that inode_lookup() gave. */
void attr_entry(struct fs *fs, struct inode *inode, const struct stat *st,
                struct fuse_entry_param *e);

/* Stats and answers req. */
void attr_reply(struct fs *fs, fuse_req_t req, struct inode *inode);

/* Does what SETATTR asks for, the size excepted, and answers. */
void attr_set_reply(struct fs *fs, fuse_req_t req, struct inode *inode, const struct stat *attr,
                    int to_set);

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi);

#endif
