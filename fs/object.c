#include "fs/object.h"

#include <fcntl.h>

#include "objstore/store.h"

int object_open(struct fs *fs, const struct digest *d)
{
	int fd = openat(fs->store_fd, store_object_path(d).text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int object_stat(struct fs *fs, const struct digest *d, struct stat *st)
{
	return fstatat(fs->store_fd, store_object_path(d).text, st, AT_SYMLINK_NOFOLLOW) < 0
	               ? -errno
	               : 0;
}
