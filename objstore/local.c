/* The local directory store: the table of functions. Opening and creating: local_open.c. */
#include "objstore/local.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/io.h"
#include "objstore/store_impl.h"

enum { TEMPORARY_TRIES_MAX = 1000 };

struct shard_path {
	char text[sizeof("objects/ab/") + DIGEST_HEX_SIZE];
};

struct local_put {
	struct local *local;
	int fd;
	char name[64]; /* "tmp/PID.N" */
};

/* "KIND/ab/cdef...": two levels, so that no directory grows too large to list. */
static struct shard_path shard_path(const char *kind, const struct digest *d)
{
	struct shard_path path;
	struct digest_hex hex = digest_hex(d);
	snprintf(path.text, sizeof(path.text), "%s/%.2s/%s", kind, hex.text, hex.text + 2);
	return path;
}

struct store_object_path store_object_path(const struct digest *d)
{
	struct store_object_path path;
	struct shard_path shard = shard_path("objects", d);
	memcpy(path.text, shard.text, sizeof(path.text));
	return path;
}

/* errno as an error. ENOENT is the store's trouble here (its directory went away), and must not
 * be taken for an absent blob. */
static int trouble(struct error *err, const char *doing, const char *path)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return error_set(err, -ENOSPC,
				 "cannot %s %s in the store: no space left; free some on its disk, "
				 "or set GGFS_STORE to a larger one", doing, path);
	int r = error_errno(err, "cannot %s %s in the store", doing, path);
	if (r != -ENOENT)
		return r;
	if (err)
		err->code = -EIO;
	return -EIO;
}

static int absent(struct error *err, const char *what, const struct digest *d)
{
	return error_set(err, -ENOENT, "%s %s is not in the store", what, digest_hex(d).text);
}

/* Of this process, so that no two of its stores use one name. */
static atomic_uint temporary_count;

/* Names carry the process, so that what dead ones left can be told from what is being written. */
static int create_temporary(struct local *local, struct local_put *put, struct error *err)
{
	for (int i = 0; i < TEMPORARY_TRIES_MAX; i++) {
		snprintf(put->name, sizeof(put->name), "tmp/%d.%u", (int)getpid(),
			 atomic_fetch_add(&temporary_count, 1));
		put->fd = openat(local->dirfd, put->name,
				 O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
		if (put->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return trouble(err, "create", put->name);
}

/* Also for NULL. */
static void local_put_discard(void *impl)
{
	struct local_put *put = impl;
	if (!put)
		return;
	close(put->fd);
	unlinkat(put->local->dirfd, put->name, 0);
	free(put);
}

DEFINE_SCOPED(scoped_put_, struct local_put, local_put_discard)

static int local_put_begin(void *impl, void **out, struct error *err)
{
	scoped_free struct local_put *put = xcalloc(1, sizeof(*put));
	put->local = impl;
	int r = create_temporary(impl, put, err);
	if (r == 0)
		*out = steal(&put);
	return r;
}

static int local_put_write(void *impl, const void *bytes, size_t len, struct error *err)
{
	struct local_put *put = impl;
	int r = write_full(put->fd, bytes, len);
	if (r == 0)
		return 0;
	errno = -r;
	return trouble(err, "write", put->name);
}

/* Names an object without ever replacing one: others may have it open, and the one that is there
 * has the same bytes. */
static int rename_if_absent(int dirfd, const char *from, const char *to)
{
	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* These two: a filesystem that has no such rename. */
	if ((errno != EINVAL && errno != ENOSYS) || linkat(dirfd, from, dirfd, to, 0) < 0)
		return -errno;
	unlinkat(dirfd, from, 0);
	return 0;
}

/* Makes the directory of an object or memo; they are made when first needed. */
static int make_shard(struct local *local, const char *path, struct error *err)
{
	scoped_free char *shard = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	return mkdirat(local->dirfd, shard, 0700) < 0 && errno != EEXIST ?
		       trouble(err, "make", shard) :
		       0;
}

static int finish_temporary(struct local_put *put, struct error *err)
{
	/* Whatever the umask says: the mode shows through where objects are bound into sandboxes. */
	if (fchmod(put->fd, 0444) < 0)
		return trouble(err, "set the mode of", put->name);
	if (put->local->sync == STORE_SYNC_DATA && fdatasync(put->fd) < 0)
		return trouble(err, "flush", put->name);
	return 0;
}

static int local_put_commit(void *impl, const struct digest *d, struct error *err)
{
	scoped(scoped_put_) struct local_put *put = impl;
	int dirfd = put->local->dirfd;
	struct store_object_path path = store_object_path(d);
	int r = finish_temporary(put, err);
	if (r < 0)
		return r;
	r = rename_if_absent(dirfd, put->name, path.text);
	if (r == -ENOENT) {
		r = make_shard(put->local, path.text, err);
		if (r < 0)
			return r;
		r = rename_if_absent(dirfd, put->name, path.text);
	}
	if (r == -EEXIST)
		return 0;
	if (r < 0) {
		errno = -r;
		return trouble(err, "name", path.text);
	}
	close(put->fd);
	free(steal(&put));
	return 0;
}

static int local_put_clone(void *impl, int fd, struct error *err)
{
	struct local_put *put = impl;
	if (ioctl(put->fd, FICLONE, fd) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
		return trouble(err, "clone into", put->name);
	return error_set(err, -EOPNOTSUPP, "this filesystem cannot clone that file");
}

static int local_put_fd(void *impl)
{
	return ((struct local_put *)impl)->fd;
}

static int local_get(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	int fd = openat(local->dirfd, path.text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == ENOENT ? absent(err, "blob", d) : trouble(err, "open", path.text);
}

static int local_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	struct stat st;
	if (fstatat(local->dirfd, path.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? absent(err, "blob", d) :
					 trouble(err, "look at", path.text);
	*size_bytes = (uint64_t)st.st_size;
	return 0;
}

static int local_remove(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	if (unlinkat(local->dirfd, path.text, 0) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "blob", d) : trouble(err, "remove", path.text);
}

static int local_quarantine(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	char aside[sizeof("quarantine/") + DIGEST_HEX_SIZE];
	snprintf(aside, sizeof(aside), "quarantine/%s", digest_hex(d).text);
	if (renameat(local->dirfd, path.text, local->dirfd, aside) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "blob", d) : trouble(err, "move aside", path.text);
}

/* parent/name as a directory stream; NULL with errno. */
static DIR *open_dir(int parent, const char *name)
{
	scoped_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	DIR *dir = fdopendir(fd);
	if (dir)
		steal_fd(&fd);
	return dir;
}

/* Anything in a shard that is not named as a blob is not ours to look at. */
static int walk_shard(DIR *dir, const char *prefix, store_visit_fn *visit, void *arg)
{
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		char hex[DIGEST_HEX_SIZE + 2];
		struct digest d;
		struct stat st;
		int len = snprintf(hex, sizeof(hex), "%s%s", prefix, entry->d_name);
		if (!digest_parse(hex, (size_t)len, &d) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		int r = visit(arg, &d, (uint64_t)st.st_size);
		if (r != 0)
			return r;
	}
	return 0;
}

static int walk(struct local *local, const char *kind, store_visit_fn *visit, void *arg,
		struct error *err)
{
	scoped_dir DIR *top = open_dir(local->dirfd, kind);
	if (!top)
		return trouble(err, "list", kind);
	struct dirent *entry;
	while ((entry = readdir(top))) {
		if (strlen(entry->d_name) != 2 || entry->d_name[0] == '.')
			continue;
		scoped_dir DIR *shard = open_dir(dirfd(top), entry->d_name);
		if (!shard && (errno == ENOENT || errno == ENOTDIR))
			continue;
		if (!shard)
			return trouble(err, "list", entry->d_name);
		int r = walk_shard(shard, entry->d_name, visit, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

static int local_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	return walk(impl, "objects", visit, arg, err);
}

static int local_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
			  struct error *err)
{
	struct local *local = impl;
	struct shard_path path = shard_path("memo", thunk);
	void *begun;
	int r = local_put_begin(impl, &begun, err);
	if (r < 0)
		return r;
	scoped(scoped_put_) struct local_put *put = begun;
	r = local_put_write(put, text, len, err);
	if (r == 0)
		r = finish_temporary(put, err);
	if (r < 0)
		return r;
	r = renameat(local->dirfd, put->name, local->dirfd, path.text);
	if (r < 0 && errno == ENOENT) {
		r = make_shard(local, path.text, err);
		if (r < 0)
			return r;
		r = renameat(local->dirfd, put->name, local->dirfd, path.text);
	}
	if (r < 0)
		return trouble(err, "write", path.text);
	close(put->fd);
	free(steal(&put));
	return 0;
}

static int local_memo_get(void *impl, const struct digest *thunk, struct buf *text,
			  struct error *err)
{
	struct local *local = impl;
	struct shard_path path = shard_path("memo", thunk);
	scoped_fd int fd = openat(local->dirfd, path.text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? absent(err, "the memo of thunk", thunk) :
					 trouble(err, "open", path.text);
	int r = read_all(fd, text, MEMO_BYTES_MAX);
	if (r == -EFBIG)
		return error_set(err, r, "%s in the store is oversized", path.text);
	if (r < 0) {
		errno = -r;
		return trouble(err, "read", path.text);
	}
	return 0;
}

static int local_memo_remove(void *impl, const struct digest *thunk, struct error *err)
{
	struct local *local = impl;
	struct shard_path path = shard_path("memo", thunk);
	if (unlinkat(local->dirfd, path.text, 0) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "the memo of thunk", thunk) :
				 trouble(err, "remove", path.text);
}

static int local_memo_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	return walk(impl, "memo", visit, arg, err);
}

static void local_free(void *impl)
{
	struct local *local = impl;
	close(local->dirfd);
	free(local);
}

const struct store_ops local_store_ops = {
	.name = "local",
	.trusted = true,
	.free = local_free,
	.put_begin = local_put_begin,
	.put_write = local_put_write,
	.put_commit = local_put_commit,
	.put_discard = local_put_discard,
	.put_clone = local_put_clone,
	.put_fd = local_put_fd,
	.get = local_get,
	.has = local_has,
	.remove = local_remove,
	.quarantine = local_quarantine,
	.iterate = local_iterate,
	.memo_put = local_memo_put,
	.memo_get = local_memo_get,
	.memo_remove = local_memo_remove,
	.memo_iterate = local_memo_iterate,
};
