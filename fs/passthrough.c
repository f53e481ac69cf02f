#include "fs/passthrough.h"

#include <fcntl.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "fs/inode.h"
#include "fs/object.h"

#ifdef GGFS_FUSE_PASSTHROUGH

static bool id_serves(const struct inode *inode, const struct digest *object, bool writable)
{
	if (!inode->backing_id || inode->backing_from_object != (object != NULL))
		return false;
	if (object)
		return digest_equal(&inode->backing_object, object);
	return inode->backing_writable || !writable;
}

/* Read-only files, and such as are being executed below, can only be had for reading. */
static int open_backing(struct fs *fs, struct inode *inode, const struct digest *object,
                        bool *writable)
{
	*writable = false;
	if (object)
		return object_open(fs, object);
	int fd = inode_open(inode, O_RDWR);
	*writable = fd >= 0;
	return fd >= 0 ? fd : inode_open(inode, O_RDONLY);
}

bool passthrough_prepare(fuse_req_t req, struct inode *inode, const struct digest *object,
                         bool writable)
{
	struct fs *fs = fs_of(req);
	if (id_serves(inode, object, writable))
		return true;
	if (inode->opens > 0)
		return false;
	passthrough_drop(req, inode);
	bool got_writable;
	scoped_fd int fd = open_backing(fs, inode, object, &got_writable);
	if (fd < 0 || (writable && !got_writable))
		return false;
	int id = fuse_passthrough_open(req, fd);
	if (id <= 0) {
		/* Not permitted here, or not on this filesystem: it will not be the next time. */
		if (errno == EPERM || errno == ELOOP || errno == EOPNOTSUPP || errno == EINVAL)
			atomic_store(&fs->passthrough, false);
		return false;
	}
	inode->backing_id = id;
	inode->backing_writable = got_writable;
	inode->backing_from_object = object != NULL;
	if (object)
		inode->backing_object = *object;
	return true;
}

void passthrough_drop(fuse_req_t req, struct inode *inode)
{
	if (inode->backing_id)
		fuse_passthrough_close(req, inode->backing_id);
	inode->backing_id = 0;
}

void passthrough_init(struct fs *fs, struct fuse_conn_info *conn)
{
	if (!fs->options->no_passthrough && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
		/* Depth 0 would leave room for an overlay over us, but refuses one below. */
		conn->max_backing_stack_depth =
		        fs->overlay ? FUSE_BACKING_STACKED_OVER : FUSE_BACKING_STACKED_UNDER;
		atomic_store(&fs->passthrough, true);
	}
}

#else /* libfuse before 3.17 */

bool passthrough_prepare(fuse_req_t req, struct inode *inode, const struct digest *object,
                         bool writable)
{
	(void)req, (void)inode, (void)object, (void)writable;
	return false;
}

void passthrough_drop(fuse_req_t req, struct inode *inode)
{
	(void)req, (void)inode;
}

void passthrough_init(struct fs *fs, struct fuse_conn_info *conn)
{
	(void)fs, (void)conn;
}

#endif
