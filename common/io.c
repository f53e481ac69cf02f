#include "common/io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

void reserve_standard_streams(void)
{
	/* Opened for what the stream is not used for. The lowest number that is free is taken. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC) < 0)
			abort();
}

ssize_t read_full(int fd, void *bytes, size_t len)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = read(fd, (char *)bytes + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

ssize_t pread_full(int fd, void *bytes, size_t len, off_t offset)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(fd, (char *)bytes + got, len - got, offset + (off_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int write_full(int fd, const void *bytes, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = write(fd, (const char *)bytes + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int read_all(int fd, struct buf *b, size_t max)
{
	enum { STEP = 65536 };
	for (;;) {
		if (b->len > max) {
			b->len = max;
			b->data[max] = '\0';
			return -EFBIG;
		}
		buf_reserve(b, STEP);
		ssize_t n = read(fd, b->data + b->len, STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
	}
}

int read_file_at(int dirfd, const char *path, struct buf *b, size_t max, struct error *err)
{
	scoped_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	int r = read_all(fd, b, max);
	if (r == -EFBIG)
		return error_set(err, r, "%s is larger than the %zu bytes allowed", path, max);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "cannot read %s", path);
	}
	return 0;
}

int replace_file_at(int dirfd, const char *path, const void *bytes, size_t len, mode_t mode,
		    struct error *err)
{
	static atomic_uint counter;
	scoped_free char *temporary =
		xformat("%s.%d.%u.tmp", path, (int)getpid(), atomic_fetch_add(&counter, 1));
	scoped_fd int fd =
		openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return error_errno(err, "cannot create %s", temporary);
	int r = write_full(fd, bytes, len);
	if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temporary, 0);
		errno = -r;
		return error_errno(err, "cannot write %s", path);
	}
	return 0;
}

int make_dirs_at(int dirfd, const char *path, mode_t mode, struct error *err)
{
	if (mkdirat(dirfd, path, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return error_errno(err, "cannot make directory %s", path);
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return error_errno(err, "cannot make directory %s", path);
	scoped_free char *parent = xstrndup(path, (size_t)(slash - path));
	int r = make_dirs_at(dirfd, parent, mode, err);
	if (r < 0)
		return r;
	if (mkdirat(dirfd, path, mode) < 0 && errno != EEXIST)
		return error_errno(err, "cannot make directory %s", path);
	return 0;
}

static int remove_children(int fd, const char *path, struct error *err)
{
	scoped_dir DIR *dir = fdopendir(fd);
	if (!dir) {
		int r = error_errno(err, "cannot list %s", path);
		close(fd);
		return r;
	}
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int r = remove_tree_at(fd, entry->d_name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int remove_tree_at(int dirfd, const char *path, struct error *err)
{
	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_errno(err, "cannot remove %s", path);
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open directory %s", path);
	int r = remove_children(fd, path, err);
	if (r < 0)
		return r;
	if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_errno(err, "cannot remove directory %s", path);
	return 0;
}

static int copy_by_hand(int from, int to, off_t offset)
{
	enum { STEP = 1 << 18 };
	scoped_free char *bytes = xmalloc(STEP);
	for (;;) {
		ssize_t n = pread_full(from, bytes, STEP, offset);
		if (n <= 0)
			return (int)n;
		int r = write_full(to, bytes, (size_t)n);
		if (r < 0)
			return r;
		offset += n;
	}
}

int copy_fd(int from, int to, struct error *err)
{
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	loff_t offset = 0;
	for (;;) {
		ssize_t n = copy_file_range(from, &offset, to, NULL, 1 << 30, 0);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
	}
	int r = copy_by_hand(from, to, offset);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "cannot copy");
	}
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t now_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
