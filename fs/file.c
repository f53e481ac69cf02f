#include "fs/file.h"

#include <fcntl.h>

#include "common/buf.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/object.h"
#include "fs/passthrough.h"

static bool same_bytes(const struct inode *inode, const struct digest *object)
{
	if (inode->from_object != (object != NULL))
		return false;
	return !object || digest_equal(&inode->object, object);
}

/* The mode this open gets; IO_NONE is a direct one. inode->lock is held. */
static enum io_mode choose_mode(struct fs *fs, fuse_req_t req, struct inode *inode,
				const struct digest *object, bool writable)
{
	if (inode->opens == 0) {
		if (!same_bytes(inode, object))
			inode->pages_stale = true;
		inode->from_object = object != NULL;
		if (object)
			inode->object = *object;
		inode->mode = atomic_load(&fs->passthrough) &&
					      passthrough_prepare(req, inode, object, writable)
				      ? IO_PASSTHROUGH
				      : IO_CACHED;
		return inode->mode;
	}
	if (!same_bytes(inode, object))
		return IO_NONE;
	if (inode->mode == IO_PASSTHROUGH && !passthrough_prepare(req, inode, object, writable))
		return IO_NONE;
	return inode->mode;
}

/* Settles how this open is done and fills in what the kernel is told. Opens of backing files and
 * their registration happen under the lock: they and the choice are one decision. */
static void decide(struct fs *fs, fuse_req_t req, struct file *file, struct fuse_file_info *fi)
{
	struct inode *inode = file->inode;
	const struct digest *object = file->from_object ? &file->object : NULL;
	pthread_mutex_lock(&inode->lock);
	enum io_mode mode = choose_mode(fs, req, inode, object, is_writable(file->flags));
	file->counted = mode != IO_NONE;
	if (file->counted)
		inode->opens++;
	if (is_writable(file->flags))
		inode->writers++;
	fi->direct_io = mode == IO_NONE;
	/* With passthrough the kernel refuses the flag, EIO. */
	fi->keep_cache = mode == IO_CACHED && !inode->pages_stale;
	if (mode == IO_CACHED)
		inode->pages_stale = false;
#ifdef GGFS_FUSE_PASSTHROUGH
	fi->backing_id = mode == IO_PASSTHROUGH ? inode->backing_id : 0;
#endif
	pthread_mutex_unlock(&inode->lock);
	/* Nothing is written back at the close of what was only read. */
	fi->noflush = !is_writable(file->flags);
}

static void file_forget(struct fs *fs, struct file *file, fuse_req_t req)
{
	struct inode *inode = file->inode;
	pthread_mutex_lock(&inode->lock);
	if (file->counted && --inode->opens == 0)
		inode->mode = IO_NONE;
	if (is_writable(file->flags))
		inode->writers--;
	pthread_mutex_unlock(&inode->lock);
	if (file->fd >= 0)
		close(file->fd);
	free(file);
	inode_put(fs, inode, 1, req);
}

static struct file *file_new(struct inode *inode, int flags, const struct digest *object)
{
	struct file *file = xmalloc(sizeof(*file));
	*file = (struct file){ .inode = inode, .fd = -1, .flags = flags };
	if (object) {
		file->from_object = true;
		file->object = *object;
	}
	return file;
}

static int open_bytes(struct fs *fs, const struct file *file)
{
	if (file->from_object)
		return object_open(fs, &file->object);
	/* Offsets are the kernel's: O_APPEND would put every write at the end of the backing file. A
	 * cached page that is written in part is read first. */
	int flags = file->flags & ~(O_APPEND | O_TRUNC | O_EXCL | O_DIRECT | O_NONBLOCK);
	int fd = -EACCES;
	if ((flags & O_ACCMODE) == O_WRONLY)
		fd = inode_open(file->inode, (flags & ~O_ACCMODE) | O_RDWR);
	return fd >= 0 ? fd : inode_open(file->inode, flags);
}

int file_fd(struct fs *fs, const struct file *file, int *opened)
{
	if (file->fd >= 0)
		return file->fd;
	*opened = open_bytes(fs, file);
	return *opened;
}

/* Makes the decided open usable: outside of passthrough it needs a descriptor. */
static int complete(struct fs *fs, struct file *file, struct fuse_file_info *fi, int fd)
{
	bool passthrough = file->counted && file->inode->mode == IO_PASSTHROUGH;
	if (passthrough) {
		if (fd >= 0)
			close(fd);
	} else {
		file->fd = fd >= 0 ? fd : open_bytes(fs, file);
		if (file->fd < 0)
			return file->fd;
	}
	fi->fh = (uintptr_t)file;
	return 0;
}

void file_open_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
		     const struct fuse_file_info *asked, const struct digest *object)
{
	struct fuse_file_info fi = *asked;
	struct file *file = file_new(inode, fi.flags, object);
	decide(fs, req, file, &fi);
	int r = complete(fs, file, &fi, -1);
	if (r == 0 && (fi.flags & O_TRUNC) && truncate(proc_path(inode->fd).text, 0) < 0)
		r = -errno;
	if (r == -ENOENT)
		r = -EIO; /* an object that has just gone: the file itself is there */
	if (r < 0) {
		if (fi.flags & O_TRUNC)
			lazy_changed(inode);
		file_forget(fs, file, req);
		fuse_reply_err(req, -r);
	} else if (fuse_reply_open(req, &fi) == -ENOENT) {
		file_forget(fs, file, NULL); /* interrupted: there will be no release */
	}
}

void file_create_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
		       const struct fuse_file_info *asked, const struct fuse_entry_param *e, int fd)
{
	struct fuse_file_info fi = *asked;
	struct file *file = file_new(inode, fi.flags, NULL);
	decide(fs, req, file, &fi);
	int r = complete(fs, file, &fi, fd);
	if (r < 0) {
		file_forget(fs, file, req);
		inode_put(fs, inode, 1, req);
		fuse_reply_err(req, -r);
	} else if (fuse_reply_create(req, e, &fi) == -ENOENT) {
		file_forget(fs, file, NULL);
		inode_put(fs, inode, 1, NULL);
	}
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	if (!S_ISREG(inode->type)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	lazy_detect(fs, inode, NULL);
	inode_hold(fs, inode);
	if (lazy_is(inode))
		lazy_open(fs, req, inode, fi);
	else
		file_open_reply(fs, req, inode, fi, NULL);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	/* Programs write placeholders as ordinary bytes; at the close they begin to be lazy, and the
	 * kernel has to know before close() returns. */
	if (is_writable(file_of(fi)->flags) && lazy_written(fs, inode))
		fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
	fuse_reply_err(req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct file *file = file_of(fi);
	if (is_writable(file->flags) && lazy_written(fs, file->inode))
		lazy_notify(fs, file->inode);
	(void)ino;
	/* Answered last: the kernel may forget the inode on our answer. */
	file_forget(fs, file, req);
	fuse_reply_err(req, 0);
}
