#include "fs/io.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include "common/buf.h"
#include "fs/file.h"
#include "fs/inode.h"

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);
	scoped_fd int opened = -1;
	int fd = file_fd(fs_of(req), file_of(fi), &opened);
	(void)ino;
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = fd;
	buf.buf[0].pos = offset;
	fuse_reply_data(req, &buf, FUSE_BUF_SPLICE_MOVE);
}

void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *from, off_t offset,
                  struct fuse_file_info *fi)
{
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(fuse_buf_size(from));
	scoped_fd int opened = -1;
	int fd = file_fd(fs_of(req), file_of(fi), &opened);
	(void)ino;
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	to.buf[0].fd = fd;
	to.buf[0].pos = offset;
	ssize_t n = fuse_buf_copy(&to, from, 0);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* A request that another thread goes on with. The kernel keeps its files open until the answer. */
struct io_job {
	fuse_req_t req;
	struct file *file, *to;
	int mode;
	off_t offset, offset_to;
	size_t len;
};

static void push(fuse_req_t req, task_fn *fn, struct io_job job)
{
	struct io_job *copy = xmalloc(sizeof(*copy));
	*copy = job;
	copy->req = req;
	tasks_push(fs_of(req)->slow, fn, copy);
}

static void fsync_job(void *arg)
{
	scoped_free struct io_job *job = arg;
	scoped_fd int opened = -1;
	int fd = file_fd(fs_of(job->req), job->file, &opened);
	int r = fd < 0 ? fd : 0;
	if (r == 0 && (job->mode ? fdatasync(fd) : fsync(fd)) < 0)
		r = -errno;
	fuse_reply_err(job->req, -r);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	push(req, fsync_job, (struct io_job){ .file = file_of(fi), .mode = datasync });
}

static void fallocate_job(void *arg)
{
	scoped_free struct io_job *job = arg;
	scoped_fd int opened = -1;
	int fd = file_fd(fs_of(job->req), job->file, &opened);
	int r = fd < 0 ? fd : 0;
	if (r == 0 && fallocate(fd, job->mode, job->offset, (off_t)job->len) < 0)
		r = -errno;
	fuse_reply_err(job->req, -r);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi)
{
	(void)ino;
	push(req, fallocate_job,
	     (struct io_job){
	             .file = file_of(fi), .mode = mode, .offset = offset, .len = (size_t)length });
}

static void copy_job(void *arg)
{
	scoped_free struct io_job *job = arg;
	scoped_fd int opened = -1, opened_to = -1;
	struct fs *fs = fs_of(job->req);
	int from = file_fd(fs, job->file, &opened);
	int to = file_fd(fs, job->to, &opened_to);
	ssize_t n = from < 0 ? from : to < 0 ? to : 0;
	if (n == 0) {
		n = copy_file_range(from, &job->offset, to, &job->offset_to, job->len, 0);
		if (n < 0)
			n = -errno;
	}
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_write(job->req, (size_t)n);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t offset_out,
                        struct fuse_file_info *fi_out, size_t len, int flags)
{
	(void)ino_in, (void)ino_out, (void)flags;
	push(req, copy_job,
	     (struct io_job){ .file = file_of(fi_in),
	                      .offset = offset_in,
	                      .to = file_of(fi_out),
	                      .offset_to = offset_out,
	                      .len = len });
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	scoped_fd int opened = -1;
	int fd = file_fd(fs_of(req), file_of(fi), &opened);
	(void)ino;
	off_t at = fd < 0 ? -1 : lseek(fd, offset, whence);
	if (fd < 0)
		fuse_reply_err(req, -fd);
	else if (at < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_lseek(req, at);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	if (fstatvfs(inode_of(fs_of(req), ino)->fd, &st) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &st);
}
