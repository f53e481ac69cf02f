#include "fs/names.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "engine/placeholder.h"
#include "fs/attr.h"
#include "fs/creds.h"
#include "fs/file.h"
#include "fs/inode.h"
#include "fs/lazy.h"

/* Answers with name's entry, as LOOKUP and all that create do. */
static void reply_entry(struct fs *fs, fuse_req_t req, struct inode *parent, const char *name)
{
	struct fuse_entry_param e;
	struct inode *inode;
	struct stat st;
	int r = inode_lookup(fs, parent, name, &inode, &st);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	attr_entry(fs, inode, &st, &e);
	if (fuse_reply_entry(req, &e) < 0)
		inode_put(fs, inode, 1, NULL);
}

void lookup_reply(fuse_req_t req, struct inode *parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e = { .entry_timeout = TIMEOUT_SETTLED_S };
	struct inode *inode;
	struct stat st;
	int r = inode_lookup(fs, parent, name, &inode, &st);
	if (r == 0)
		attr_entry(fs, inode, &st, &e);
	/* An entry without an inode: the kernel remembers that there is none. */
	if (r < 0 && r != -ENOENT)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, &e) < 0 && r == 0)
		inode_put(fs, inode, 1, NULL);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	struct inode *parent = inode_of(fs_of(req), parent_ino);
	if (lazy_is(parent))
		lazy_lookup(req, parent, name);
	else
		lookup_reply(req, parent, name);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct fs *fs = fs_of(req);
	inode_put(fs, inode_of(fs, ino), count, req);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fs_of(req);
	for (size_t i = 0; i < count; i++)
		inode_put(fs, inode_of(fs, forgets[i].ino), forgets[i].nlookup, req);
	fuse_reply_none(req);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(inode_of(fs_of(req), ino)->fd, "", target, sizeof(target) - 1);
	if (n < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/* What the mount hides cannot be made in it either. */
static bool refuse_hidden(fuse_req_t req, struct inode *parent, const char *name)
{
	if (!name_is_hidden(fs_of(req), parent, name))
		return false;
	fuse_reply_err(req, EPERM);
	return true;
}

enum making { MAKING_NODE, MAKING_DIRECTORY, MAKING_SYMLINK };

static void make(fuse_req_t req, fuse_ino_t parent_ino, const char *name, enum making what,
                 mode_t mode, dev_t rdev, const char *target)
{
	struct fs *fs = fs_of(req);
	struct inode *parent = inode_of(fs, parent_ino);
	struct creds creds;
	int r = 0;
	if (refuse_hidden(req, parent, name))
		return;
	creds_become(req, &creds);
	if (what == MAKING_NODE)
		r = mknodat(parent->fd, name, mode, rdev);
	else if (what == MAKING_DIRECTORY)
		r = mkdirat(parent->fd, name, mode);
	else
		r = symlinkat(target, parent->fd, name);
	creds_return(&creds);
	if (r < 0)
		fuse_reply_err(req, errno);
	else
		reply_entry(fs, req, parent, name);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, parent, name, MAKING_NODE, mode, rdev, NULL);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, MAKING_DIRECTORY, mode, 0, NULL);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, parent, name, MAKING_SYMLINK, 0, 0, target);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent_ino, const char *name)
{
	struct fs *fs = fs_of(req);
	struct inode *parent = inode_of(fs, parent_ino);
	if (refuse_hidden(req, parent, name))
		return;
	if (linkat(AT_FDCWD, proc_path(inode_of(fs, ino)->fd).text, parent->fd, name,
	           AT_SYMLINK_FOLLOW) < 0)
		fuse_reply_err(req, errno);
	else
		reply_entry(fs, req, parent, name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	fuse_reply_err(req, unlinkat(inode_of(fs, parent)->fd, name, 0) < 0 ? errno : 0);
}

/* A lazy directory is removed as a lazy file is, and nothing has to be made to see what is in it.
 */
static int remove_directory(int parent, const char *name)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	struct stat st;
	int r = -errno;
	if (r == -ENOTDIR && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == PLACEHOLDER_SIZE)
		r = unlinkat(parent, name, 0) < 0 ? -errno : 0;
	return r;
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, -remove_directory(inode_of(fs_of(req), parent)->fd, name));
}

/* A lazy directory takes the place of an empty one, as any directory may; below it is a file. */
static int replace_empty(int from, const char *name, int to, const char *new_name)
{
	if (renameat2(from, name, to, new_name, RENAME_EXCHANGE) < 0)
		return -errno;
	if (unlinkat(from, name, AT_REMOVEDIR) == 0)
		return 0;
	int r = -errno;
	renameat2(from, name, to, new_name, RENAME_EXCHANGE);
	return r;
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct inode *to = inode_of(fs, new_parent);
	if (refuse_hidden(req, to, new_name))
		return;
	struct inode *from = inode_of(fs, parent);
	int r = renameat2(from->fd, name, to->fd, new_name, flags) < 0 ? -errno : 0;
	if (r == -EISDIR)
		r = replace_empty(from->fd, name, to->fd, new_name);
	else if (r == -ENOTDIR)
		r = -ENOTEMPTY; /* onto a lazy directory, which is one to the kernel */
	if (r == 0)
		inode_renamed(fs, to, new_name);
	if (r == 0 && flags & RENAME_EXCHANGE)
		inode_renamed(fs, from, name);
	fuse_reply_err(req, -r);
}

/* Writable handles are opened for reading too: passthrough needs it, and pages written in part. */
static int create_flags(int flags)
{
	flags &= ~(O_APPEND | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_TRUNC);
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return flags | O_CREAT | O_EXCL | O_CLOEXEC;
}

void op_create(fuse_req_t req, fuse_ino_t parent_ino, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *parent = inode_of(fs, parent_ino);
	struct fuse_entry_param e;
	struct inode *inode;
	struct creds creds;
	struct stat st;
	if (refuse_hidden(req, parent, name))
		return;
	creds_become(req, &creds);
	scoped_fd int fd = openat(parent->fd, name, create_flags(fi->flags), mode);
	creds_return(&creds);
	int r = fd < 0 ? -errno : inode_lookup(fs, parent, name, &inode, &st);
	if (r < 0) {
		/* It was made behind the kernel's back; ESTALE has the kernel look again. */
		bool again = r == -EEXIST && !(fi->flags & O_EXCL);
		fuse_reply_err(req, again ? ESTALE : -r);
		return;
	}
	attr_entry(fs, inode, &st, &e);
	inode_hold(fs, inode);
	file_create_reply(fs, req, inode, fi, &e, steal_fd(&fd));
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent_ino, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *parent = inode_of(fs, parent_ino);
	struct fuse_entry_param e;
	struct inode *inode;
	struct creds creds;
	struct stat st;
	int flags = (create_flags(fi->flags) & ~O_CREAT) | O_TMPFILE;
	if (!(fi->flags & O_EXCL))
		flags &= ~O_EXCL;
	creds_become(req, &creds);
	scoped_fd int fd = openat(parent->fd, ".", flags, mode);
	creds_return(&creds);
	int r = fd < 0 ? -errno : inode_from_fd(fs, fd, &inode, &st);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	attr_entry(fs, inode, &st, &e);
	inode_hold(fs, inode);
	file_create_reply(fs, req, inode, fi, &e, steal_fd(&fd));
}
