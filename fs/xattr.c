#include "fs/xattr.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include "common/buf.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/lazy_xattr.h"

void xattr_reply(fuse_req_t req, const char *bytes, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, bytes, len);
}

/* A symbolic link can not be reached without a race by its descriptor; it has no user.*
 * attributes anyway. */
static bool has_attributes(const struct inode *inode)
{
	return !S_ISLNK(inode->type);
}

static bool is_lazy(struct fs *fs, struct inode *inode)
{
	if (S_ISREG(inode->type))
		lazy_detect(fs, inode, NULL);
	return lazy_is(inode);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	char value[4096];
	if (lazy_xattr_is_ours(name)) {
		if (is_lazy(fs, inode))
			lazy_xattr_get(fs, req, inode, name, size);
		else
			lazy_xattr_get_ordinary(req, inode, name, size);
		return;
	}
	if (!has_attributes(inode)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	const char *path = proc_path(inode->fd).text;
	scoped_free char *large = size > sizeof(value) ? xmalloc(size) : NULL;
	char *into = large ? large : value;
	ssize_t n = getxattr(path, name, size ? into : NULL, size);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		xattr_reply(req, into, (size_t)n, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	scoped_buf struct buf names = BUF_INIT;
	if (has_attributes(inode)) {
		buf_reserve(&names, XATTR_LIST_MAX);
		ssize_t n = listxattr(proc_path(inode->fd).text, names.data, XATTR_LIST_MAX);
		if (n < 0 && errno != EOPNOTSUPP) {
			fuse_reply_err(req, errno);
			return;
		}
		names.len = n < 0 ? 0 : (size_t)n;
	}
	if (is_lazy(fs, inode))
		lazy_xattr_list(fs, req, inode, &names, size);
	else
		xattr_reply(req, names.data, names.len, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	int r = 0;
	if (lazy_xattr_is_ours(name))
		r = is_lazy(fs, inode) ? lazy_xattr_set(fs, inode, name) : -EPERM;
	else if (!has_attributes(inode))
		r = -EOPNOTSUPP;
	else if (setxattr(proc_path(inode->fd).text, name, value, size, flags) < 0)
		r = -errno;
	fuse_reply_err(req, -r);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct inode *inode = inode_of(fs_of(req), ino);
	int r = 0;
	if (lazy_xattr_is_ours(name))
		r = -EPERM;
	else if (!has_attributes(inode))
		r = -EOPNOTSUPP;
	else if (removexattr(proc_path(inode->fd).text, name) < 0)
		r = -errno;
	fuse_reply_err(req, -r);
}
