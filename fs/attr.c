#include "fs/attr.h"

#include <fcntl.h>

#include "common/cleanup.h"
#include "fs/creds.h"
#include "fs/file.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/tree.h"

double attr_present(struct fs *fs, struct inode *inode, struct stat *st)
{
	if (S_ISREG(st->st_mode) && S_ISDIR(inode->type)) {
		tree_present(st);
		return 0;
	}
	if (S_ISREG(st->st_mode)) {
		lazy_detect(fs, inode, st);
		if (lazy_is(inode))
			return lazy_present(inode, st);
		if (st->st_nlink > 1)
			return TIMEOUT_LINKED_S;
	}
	return TIMEOUT_SETTLED_S;
}

void attr_entry(struct fs *fs, struct inode *inode, const struct stat *st,
                struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){ .ino = ino_of(fs, inode),
		                        .attr = *st,
		                        .entry_timeout = TIMEOUT_SETTLED_S };
	e->attr_timeout = attr_present(fs, inode, &e->attr);
}

void attr_reply(struct fs *fs, fuse_req_t req, struct inode *inode)
{
	struct stat st;
	int r = inode_stat(inode, &st);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	double timeout_s = attr_present(fs, inode, &st);
	fuse_reply_attr(req, &st, timeout_s);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	(void)fi;
	if (S_ISREG(inode->type)) {
		lazy_detect(fs, inode, NULL);
		if (lazy_is(inode)) {
			lazy_getattr(fs, req, inode);
			return;
		}
	}
	attr_reply(fs, req, inode);
}

static int set_mode(const struct inode *inode, mode_t mode)
{
	bool special = mode & (S_ISUID | S_ISGID);
	if (special)
		creds_fsetid(true);
	int r = chmod(proc_path(inode->fd).text, mode) < 0 ? -errno : 0;
	if (special)
		creds_fsetid(false);
	return r;
}

static int set_owner(const struct inode *inode, const struct stat *attr, int to_set)
{
	uid_t uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;
	return fchownat(inode->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno
	                                                                                  : 0;
}

static struct timespec time_to_set(const struct timespec *t, int to_set, int now, int given)
{
	if (to_set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return to_set & given ? *t : (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(const struct inode *inode, const struct stat *attr, int to_set)
{
	struct timespec times[2] = {
		time_to_set(&attr->st_atim, to_set, FUSE_SET_ATTR_ATIME_NOW, FUSE_SET_ATTR_ATIME),
		time_to_set(&attr->st_mtim, to_set, FUSE_SET_ATTR_MTIME_NOW, FUSE_SET_ATTR_MTIME),
	};
	return utimensat(inode->fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

void attr_set_reply(struct fs *fs, fuse_req_t req, struct inode *inode, const struct stat *attr,
                    int to_set)
{
	int r = 0;
	if (to_set & FUSE_SET_ATTR_MODE)
		r = set_mode(inode, attr->st_mode);
	if (r == 0 && to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		r = set_owner(inode, attr, to_set);
	if (r == 0 && to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME))
		r = set_times(inode, attr, to_set);
	/* What is not known of a lazy file, the next who looks will ask for: here nobody waits. */
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		attr_reply(fs, req, inode);
}

static int set_size(struct fs *fs, struct inode *inode, off_t size, struct fuse_file_info *fi)
{
	scoped_fd int opened = -1;
	if (!fi || file_of(fi)->from_object)
		return truncate(proc_path(inode->fd).text, size) < 0 ? -errno : 0;
	int fd = file_fd(fs, file_of(fi), &opened);
	if (fd < 0)
		return fd;
	return ftruncate(fd, size) < 0 ? -errno : 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	if (to_set & FUSE_SET_ATTR_SIZE) {
		lazy_detect(fs, inode, NULL);
		if (lazy_is(inode)) {
			lazy_truncate(fs, req, inode, attr, to_set);
			return;
		}
		int r = set_size(fs, inode, attr->st_size, fi);
		if (r < 0) {
			fuse_reply_err(req, -r);
			return;
		}
		lazy_changed(inode);
	}
	attr_set_reply(fs, req, inode, attr, to_set);
}
