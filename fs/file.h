/*
 * Open files: which bytes an open reads (the inode's own or an object's) and how: by passthrough,
 * through the kernel's page cache, or directly.
 *
 * The kernel allows passthrough and cached opens of one inode only one after the other, passthrough
 * of one backing file at a time, and answers a mixture with EIO. So the first open decides for the
 * inode until the last is closed. One that wants other bytes meanwhile gets an inode of its own
 * (inode_detach()); one that only wants to write where passthrough can but read is direct.
 */
#ifndef GGFS_FS_FILE_H
#define GGFS_FS_FILE_H

#include "fs/fs.h"

/*
 * Opens and answers req, exactly once. object NULL: the inode's own bytes; O_TRUNC in fi->flags
 * has then still to be done. Takes over one hold on inode.
 */
void file_open_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
                     const struct fuse_file_info *fi, const struct digest *object);

/* The same for a file just created, e being its entry. fd (taken over) is what it was created
 * with. Takes over one hold of two; the other is the kernel's lookup. */
void file_create_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
                       const struct fuse_file_info *fi, const struct fuse_entry_param *e, int fd);

/* A descriptor of what the file reads and writes: its own, or one opened now that *opened then
 * holds, for scoped_fd. -errno. */
int file_fd(struct fs *fs, const struct file *file, int *opened);

/* Forgets file, which its inode has in its list; for inode.c and file.c. */
void file_free(struct file *file);

/* Is the inode open with other bytes than these (of object; its own when NULL)? */
bool file_conflicts(struct inode *inode, const struct digest *object);

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
