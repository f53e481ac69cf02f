/*
 * The inodes the kernel or a request of ours holds. Private to fs/.
 *
 * Threads: any.
 */
#ifndef GGFS_FS_INODE_H
#define GGFS_FS_INODE_H

#include "fs/fs.h"

int table_init(struct table *t);
/* Closes what is left: the kernel sends no forgets when it unmounts. */
void table_release(struct fs *fs);

/* Finds name in parent and holds the inode once: *out is for inode_put(). st is the backing
 * file's own. -ENOENT absent (or not to be shown). */
int inode_lookup(struct fs *fs, struct inode *parent, const char *name, struct inode **out,
                 struct stat *st);

/* The same for a file without a name that fd (which stays the caller's) has open. */
int inode_from_fd(struct fs *fs, int fd, struct inode **out, struct stat *st);

void inode_hold(struct fs *fs, struct inode *inode);
/* Lets go count holds; the last one frees it. req (may be NULL) is what the kernel's backing file
 * is given back through. The root stays. */
void inode_put(struct fs *fs, struct inode *inode, uint64_t count, fuse_req_t req);

/*
 * Parts inode from its backing file for all who look it up from now on: they get a new inode, with
 * pages and a mode of its own, while what is open goes on as it is. For when the bytes behind a
 * file become others (an object's, or its own again) while somebody has it open. An open of a
 * detached inode is answered ESTALE, upon which the kernel looks the name up anew.
 */
void inode_detach(struct fs *fs, struct inode *inode);
bool inode_is_detached(struct fs *fs, struct inode *inode);

/* The backing file's own attributes, no more; -errno. */
int inode_stat(const struct inode *inode, struct stat *st);

/* Opens the backing file itself; never creates, never follows. A descriptor or -errno. */
int inode_open(const struct inode *inode, int flags);

/* May this name be seen in this directory? */
bool name_is_hidden(struct fs *fs, const struct inode *parent, const char *name);

#endif
