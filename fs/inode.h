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

/* After a rename: the name by which the file is found now. */
void inode_renamed(struct fs *fs, struct inode *parent, const char *name);

/* Has the kernel forget the name by which the file was found last; waits for those at work in its
 * directory, so for fs->names only. */
void inode_forget_name(struct fs *fs, struct inode *inode);

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

/*
 * Puts the directory fd (O_PATH, taken over) in the place of the placeholder that inode is now:
 * swap exchanges the two by name. Nobody looks either up meanwhile. Returns what swap did; when
 * that is not 0 nothing has changed.
 */
typedef int inode_swap_fn(void *arg);
int inode_become(struct fs *fs, struct inode *inode, int fd, inode_swap_fn *swap, void *arg);

/* The backing file's own attributes, with the number that is shown; -errno. */
int inode_stat(const struct inode *inode, struct stat *st);

/* Opens the backing file itself; never creates, never follows. A descriptor or -errno. */
int inode_open(const struct inode *inode, int flags);

/* May this name be seen in this directory? */
bool name_is_hidden(struct fs *fs, const struct inode *parent, const char *name);

#endif
