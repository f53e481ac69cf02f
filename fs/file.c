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

/* Before the first open: settles the inode's mode. inode->lock is held. */
static void choose_mode(struct fs *fs, fuse_req_t req, struct inode *inode,
                        const struct digest *object, bool writable)
{
	if (!same_bytes(inode, object))
		inode->pages_stale = true;
	inode->from_object = object != NULL;
	if (object)
		inode->object = *object;
	inode->mode = IO_CACHED;
	if (atomic_load(&fs->passthrough) && passthrough_prepare(req, inode, object, writable))
		inode->mode = IO_PASSTHROUGH;
}

/* Settles how this open is done and tells the kernel so; -ESTALE if it does not go with those there
 * are. inode->lock is held, also while backing files are opened and registered: they and the
 * choice are one decision. */
static int decide(struct fs *fs, fuse_req_t req, struct file *file, struct fuse_file_info *fi)
{
	struct inode *inode = file->inode;
	const struct digest *object = file->from_object ? &file->object : NULL;
	bool writable = is_writable(file->flags), fits = true;
	if (inode->opens == 0)
		choose_mode(fs, req, inode, object, writable);
	else if (!same_bytes(inode, object))
		return -ESTALE;
	else if (inode->mode == IO_PASSTHROUGH)
		fits = passthrough_prepare(req, inode, object, writable);
	file->passthrough = inode->mode == IO_PASSTHROUGH && fits;
	fi->direct_io = !fits;
	/* With passthrough the kernel refuses this flag, EIO. */
	fi->keep_cache = inode->mode == IO_CACHED && !inode->pages_stale;
	if (inode->mode == IO_CACHED)
		inode->pages_stale = false;
#ifdef GGFS_FUSE_PASSTHROUGH
	fi->backing_id = inode->mode == IO_PASSTHROUGH ? inode->backing_id : 0;
#endif
	/* Nothing is written back at the close of what was only read. */
	fi->noflush = !writable;
	return 0;
}

/* Counts the file among its inode's; the lock is held. */
static void enlist(struct file *file)
{
	struct inode *inode = file->inode;
	file->next = inode->files;
	file->self = &inode->files;
	if (file->next)
		file->next->self = &file->next;
	inode->files = file;
	inode->opens++;
	if (is_writable(file->flags))
		inode->writers++;
}

static int admit(struct fs *fs, fuse_req_t req, struct file *file, struct fuse_file_info *fi)
{
	struct inode *inode = file->inode;
	pthread_mutex_lock(&inode->lock);
	int r = inode_is_detached(fs, inode) ? -ESTALE : decide(fs, req, file, fi);
	if (r == -ESTALE)
		inode_detach(fs, inode);
	else
		enlist(file);
	pthread_mutex_unlock(&inode->lock);
	return r;
}

void file_free(struct file *file)
{
	struct inode *inode = file->inode;
	*file->self = file->next;
	if (file->next)
		file->next->self = file->self;
	if (--inode->opens == 0)
		inode->mode = IO_NONE;
	if (is_writable(file->flags))
		inode->writers--;
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

static void file_close(struct fs *fs, struct file *file, fuse_req_t req)
{
	struct inode *inode = file->inode;
	pthread_mutex_lock(&inode->lock);
	file_free(file);
	pthread_mutex_unlock(&inode->lock);
	inode_put(fs, inode, 1, req);
}

bool file_conflicts(struct inode *inode, const struct digest *object)
{
	pthread_mutex_lock(&inode->lock);
	bool conflicts = inode->opens > 0 && !same_bytes(inode, object);
	pthread_mutex_unlock(&inode->lock);
	return conflicts;
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
	/* Offsets are the kernel's: O_APPEND would put every write at the end of the backing file.
	 * A cached page that is written in part is read first. */
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

/* Outside of passthrough an open needs a descriptor; fd is the one there is, or -1. */
static int complete(struct fs *fs, struct file *file, int fd)
{
	if (!file->passthrough)
		file->fd = fd >= 0 ? fd : open_bytes(fs, file);
	else if (fd >= 0)
		close(fd);
	if (!file->passthrough && file->fd < 0)
		return file->fd;
	if ((file->flags & O_TRUNC) && truncate(proc_path(file->inode->fd).text, 0) < 0)
		return -errno;
	return 0;
}

/* Opens; on failure nothing is left, but the hold on inode. */
static int file_open(struct fs *fs, fuse_req_t req, struct inode *inode, struct fuse_file_info *fi,
                     const struct digest *object, int fd, struct file **out)
{
	struct file *file = file_new(inode, fi->flags, object);
	int r = admit(fs, req, file, fi);
	if (r < 0) {
		free(file);
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = complete(fs, file, fd);
	if (r < 0) {
		if (fi->flags & O_TRUNC)
			lazy_changed(inode);
		inode_hold(fs, inode);
		file_close(fs, file, req);
		/* An object that has just gone: the file itself is there. */
		return r == -ENOENT ? -EIO : r;
	}
	fi->fh = (uintptr_t)file;
	*out = file;
	return 0;
}

void file_open_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
                     const struct fuse_file_info *asked, const struct digest *object)
{
	struct fuse_file_info fi = *asked;
	struct file *file;
	int r = file_open(fs, req, inode, &fi, object, -1, &file);
	if (r < 0) {
		fuse_reply_err(req, -r);
		inode_put(fs, inode, 1, NULL);
	} else if (fuse_reply_open(req, &fi) == -ENOENT) {
		file_close(fs, file, NULL); /* interrupted: there will be no release */
	}
}

void file_create_reply(struct fs *fs, fuse_req_t req, struct inode *inode,
                       const struct fuse_file_info *asked, const struct fuse_entry_param *e, int fd)
{
	struct fuse_file_info fi = *asked;
	struct file *file;
	fi.flags &= ~O_TRUNC; /* it is new */
	int r = file_open(fs, req, inode, &fi, NULL, fd, &file);
	if (r < 0) {
		fuse_reply_err(req, -r);
		inode_put(fs, inode, 2, NULL);
	} else if (fuse_reply_create(req, e, &fi) == -ENOENT) {
		file_close(fs, file, NULL);
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
	if (lazy_is_mistaken(inode)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	inode_hold(fs, inode);
	if (lazy_is(inode))
		lazy_open(fs, req, inode, fi);
	else
		file_open_reply(fs, req, inode, fi, NULL);
}

struct flush {
	struct fs *fs;
	fuse_req_t req;
	struct inode *inode;
};

static void forget_name(void *arg)
{
	scoped_free struct flush *f = arg;
	inode_forget_name(f->fs, f->inode);
	fuse_reply_err(f->req, 0);
	inode_put(f->fs, f->inode, 1, NULL);
}

/* What was written stands for a directory, and its name has to be looked up anew, before a rename
 * takes the file along that the kernel knows. That may wait for others at work in the directory,
 * so it is not for a thread that answers them. */
static void flush_as_directory(struct fs *fs, fuse_req_t req, struct inode *inode)
{
	struct flush *f = xmalloc(sizeof(*f));
	*f = (struct flush){ .fs = fs, .req = req, .inode = inode };
	inode_hold(fs, inode);
	tasks_push(fs->names, forget_name, f);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = inode_of(fs, ino);
	/* Programs write placeholders as ordinary bytes; at the close they begin to be lazy, and
	 * the kernel has to know before close() returns. */
	bool lazy = is_writable(file_of(fi)->flags) && lazy_written(fs, inode);
	if (lazy && lazy_is_mistaken(inode)) {
		flush_as_directory(fs, req, inode);
		return;
	}
	if (lazy)
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
	file_close(fs, file, req);
	fuse_reply_err(req, 0);
}
