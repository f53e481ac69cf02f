#include "fs/dir.h"

#include <dirent.h>
#include <fcntl.h>

#include "common/buf.h"
#include "fs/attr.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/tree.h"
#include "fs/trim.h"

enum { READDIR_BYTES_MAX = 1 << 20 };

struct directory {
	struct directory *next, **self; /* among all open ones; fs->directories_lock */
	pthread_mutex_t lock; /* one stream, perhaps several readers; guards what follows */
	DIR *stream;
	off_t offset;         /* where the stream stands */
	struct dirent *entry; /* read, and not yet delivered because it did not fit */
};

static struct directory *directory_of(const struct fuse_file_info *fi)
{
	return (struct directory *)(uintptr_t)fi->fh;
}

static void enlist(struct fs *fs, struct directory *d)
{
	pthread_mutex_lock(&fs->directories_lock);
	d->next = fs->directories;
	d->self = &fs->directories;
	if (d->next)
		d->next->self = &d->next;
	fs->directories = d;
	pthread_mutex_unlock(&fs->directories_lock);
}

static void directory_free(struct fs *fs, struct directory *d)
{
	pthread_mutex_lock(&fs->directories_lock);
	*d->self = d->next;
	if (d->next)
		d->next->self = d->self;
	pthread_mutex_unlock(&fs->directories_lock);
	closedir(d->stream);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void directories_release(struct fs *fs)
{
	while (fs->directories)
		directory_free(fs, fs->directories);
}

void dir_open_reply(fuse_req_t req, struct inode *inode, const struct fuse_file_info *asked)
{
	struct fs *fs = fs_of(req);
	struct fuse_file_info opened = *asked, *fi = &opened;
	scoped_fd int fd = openat(inode->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		fuse_reply_err(req, errno);
		return;
	}
	steal_fd(&fd);
	struct directory *d = xcalloc(1, sizeof(*d));
	pthread_mutex_init(&d->lock, NULL);
	d->stream = stream;
	enlist(fs, d);
	fi->fh = (uintptr_t)d;
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		directory_free(fs, d);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = inode_of(fs_of(req), ino);
	if (lazy_is(inode))
		lazy_opendir(req, inode, fi);
	else
		dir_open_reply(req, inode, fi);
}

/* One listing under way: the answer's buffer and what to fill it with. */
struct listing {
	struct fs *fs;
	fuse_req_t req;
	struct inode *parent;
	bool plus;
	char *bytes;
	size_t len, size;
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Adds one entry; false when there is no room for it. */
static bool list_entry(struct listing *l, const struct dirent *d)
{
	struct fuse_entry_param e = { .attr.st_ino = d->d_ino,
		                      .attr.st_mode = (mode_t)d->d_type << 12 };
	size_t room = l->size - l->len;
	struct inode *inode = NULL;
	struct stat st;
	size_t n;
	bool looked_up = false;
	if (l->plus) {
		if (fuse_add_direntry_plus(l->req, NULL, 0, d->d_name, &e, d->d_off) > room)
			return false;
		/* An entry without an inode is looked up when somebody wants it. */
		looked_up = !is_dots(d->d_name) && !trim_is_crowded(l->fs) &&
		            inode_lookup(l->fs, l->parent, d->d_name, &inode, &st) == 0;
	}
	if (looked_up)
		attr_entry(l->fs, inode, &st, &e);
	else if (d->d_type == DT_REG && tree_is_name(l->fs, l->parent->fd, d->d_name))
		e.attr.st_mode = S_IFDIR;
	if (!l->plus)
		n = fuse_add_direntry(l->req, l->bytes + l->len, room, d->d_name, &e.attr,
		                      d->d_off);
	else
		n = fuse_add_direntry_plus(l->req, l->bytes + l->len, room, d->d_name, &e,
		                           d->d_off);
	if (n > room)
		return false;
	l->len += n;
	return true;
}

/* Fills the listing from where d stands; 0, or -errno when nothing could be read. */
static int list_from(struct listing *l, struct directory *d)
{
	for (;;) {
		if (!d->entry) {
			errno = 0;
			d->entry = readdir(d->stream);
			if (!d->entry)
				return errno && l->len == 0 ? -errno : 0;
		}
		if (!name_is_hidden(l->fs, l->parent, d->entry->d_name) && !list_entry(l, d->entry))
			return 0;
		d->offset = d->entry->d_off;
		d->entry = NULL;
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fs_of(req);
	struct directory *d = directory_of(fi);
	struct listing l = { .fs = fs, .req = req, .parent = inode_of(fs, ino), .plus = plus };
	l.size = size < READDIR_BYTES_MAX ? size : READDIR_BYTES_MAX;
	scoped_free char *bytes = l.bytes = xmalloc(l.size);
	pthread_mutex_lock(&d->lock);
	if (offset != d->offset) {
		seekdir(d->stream, offset);
		d->entry = NULL;
		d->offset = offset;
	}
	int r = list_from(&l, d);
	pthread_mutex_unlock(&d->lock);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, bytes, l.len);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	directory_free(fs_of(req), directory_of(fi));
	fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int fd = dirfd(directory_of(fi)->stream);
	(void)ino;
	fuse_reply_err(req, (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}
