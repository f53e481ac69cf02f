/*
 * The local directory store: writing. What is being written has no name (O_TMPFILE) until it is
 * whole, where the filesystem allows that: then nothing has to be renamed, whose lock all renames
 * of a filesystem share, and a process that is killed leaves nothing. Elsewhere it is "tmp/PID.N".
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/io.h"
#include "objstore/local.h"

enum { TEMPORARY_TRIES_MAX = 1000, TEMPORARY_NAME_MAX = 64 };

struct local_put {
	struct local *local;
	int fd;
	char name[TEMPORARY_NAME_MAX]; /* "tmp/PID.N"; "" when it has no name */
};

/* For messages. */
static const char *called(const struct local_put *put)
{
	return put->name[0] ? put->name : "a new file";
}

/* Of this process, so that no two of its stores use one name. */
static atomic_uint temporary_count;

/* Names carry the process, so that what dead ones left can be told from what is being written. */
static void next_name(char name[TEMPORARY_NAME_MAX])
{
	snprintf(name, TEMPORARY_NAME_MAX, "tmp/%d.%u", (int)getpid(),
	         atomic_fetch_add(&temporary_count, 1));
}

static int create_named(struct local_put *put, struct error *err)
{
	for (int i = 0; i < TEMPORARY_TRIES_MAX; i++) {
		next_name(put->name);
		put->fd = openat(put->local->dirfd, put->name,
		                 O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
		if (put->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return local_trouble(err, "create", put->name);
}

/* The directory of an object or memo. */
static struct local_path shard_of(const struct local_path *path)
{
	struct local_path shard = *path;
	*strrchr(shard.text, '/') = '\0';
	return shard;
}

/* They are made when first needed. */
static int make_shard(struct local *local, const struct local_path *path, struct error *err)
{
	struct local_path shard = shard_of(path);
	return mkdirat(local->dirfd, shard.text, 0700) < 0 && errno != EEXIST
	               ? local_trouble(err, "make", shard.text)
	               : 0;
}

static int open_unnamed(struct local *local, const char *directory)
{
	return openat(local->dirfd, directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0444);
}

/* path: what it will be called, if that is known; it is then made beside it. */
static int create(struct local_put *put, const struct local_path *path, struct error *err)
{
	struct local *local = put->local;
	if (atomic_load(&local->named))
		return create_named(put, err);
	struct local_path shard = path ? shard_of(path) : (struct local_path){ "tmp" };
	put->fd = open_unnamed(local, shard.text);
	if (put->fd < 0 && errno == ENOENT && path) {
		int r = make_shard(local, path, err);
		if (r < 0)
			return r;
		put->fd = open_unnamed(local, shard.text);
	}
	if (put->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return local_trouble(err, "create a file in", shard.text);
	atomic_store(&local->named, true);
	return create_named(put, err);
}

/* Also for NULL. */
void local_put_discard(void *impl)
{
	struct local_put *put = impl;
	if (!put)
		return;
	close(put->fd);
	if (put->name[0])
		unlinkat(put->local->dirfd, put->name, 0);
	free(put);
}

DEFINE_SCOPED(scoped_put_, struct local_put, local_put_discard)

static int begin(struct local *local, const struct local_path *path, struct local_put **out,
                 struct error *err)
{
	scoped_free struct local_put *put = xcalloc(1, sizeof(*put));
	put->local = local;
	int r = create(put, path, err);
	if (r == 0)
		*out = steal(&put);
	return r;
}

int local_put_begin(void *impl, const struct digest *hint, void **out, struct error *err)
{
	struct local_put *put;
	struct local_path path = { "" };
	if (hint)
		path = local_path("objects", hint);
	int r = begin(impl, hint ? &path : NULL, &put, err);
	if (r == 0)
		*out = put;
	return r;
}

int local_put_write(void *impl, const void *bytes, size_t len, struct error *err)
{
	struct local_put *put = impl;
	int r = write_full(put->fd, bytes, len);
	if (r == 0)
		return 0;
	errno = -r;
	return local_trouble(err, "write", called(put));
}

/* Never replaces: -EEXIST. */
static int link_unnamed(struct local *local, int fd, const char *to)
{
	char path[64];
	bool via_proc = atomic_load(&local->via_proc);
	if (!via_proc && linkat(fd, "", local->dirfd, to, AT_EMPTY_PATH) == 0)
		return 0;
	/* ENOENT is also what kernels before 6.10 say to those without CAP_DAC_READ_SEARCH. */
	if (!via_proc && errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, local->dirfd, to, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	atomic_store(&local->via_proc, true);
	return 0;
}

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

/* Names an object without ever replacing one: others may have it open, and the one that is there
 * has the same bytes. */
static int name_object(struct local_put *put, const char *to)
{
	return put->name[0] ? rename_if_absent(put->local->dirfd, put->name, to)
	                    : link_unnamed(put->local, put->fd, to);
}

/* A rename is what replaces, and wants a name to begin with. */
static int give_temporary_name(struct local_put *put)
{
	char name[TEMPORARY_NAME_MAX];
	int r = -EEXIST;
	for (int i = 0; r == -EEXIST && i < TEMPORARY_TRIES_MAX; i++) {
		next_name(name);
		r = link_unnamed(put->local, put->fd, name);
	}
	if (r == 0)
		memcpy(put->name, name, sizeof(name));
	return r;
}

static int name_memo(struct local_put *put, const char *to)
{
	int dirfd = put->local->dirfd;
	if (!put->name[0]) {
		int r = link_unnamed(put->local, put->fd, to);
		if (r != -EEXIST)
			return r;
		r = give_temporary_name(put);
		if (r < 0)
			return r;
	}
	return renameat(dirfd, put->name, dirfd, to) < 0 ? -errno : 0;
}

static int finish(struct local_put *put, struct error *err)
{
	struct stat st;
	/* Whatever the umask says: the mode shows through where objects are bound into sandboxes.
	 */
	if (fstat(put->fd, &st) < 0 || ((st.st_mode & 07777) != 0444 && fchmod(put->fd, 0444) < 0))
		return local_trouble(err, "set the mode of", called(put));
	if (put->local->sync == STORE_SYNC_DATA && fdatasync(put->fd) < 0)
		return local_trouble(err, "flush", called(put));
	return 0;
}

/* Gives what was written its name, in a directory that may have to be made first. */
static int finish_as(struct local_put *put, const struct local_path *path,
                     int name(struct local_put *put, const char *to), struct error *err)
{
	int r = finish(put, err);
	if (r < 0)
		return r;
	r = name(put, path->text);
	if (r == -ENOENT) {
		r = make_shard(put->local, path, err);
		if (r < 0)
			return r;
		r = name(put, path->text);
	}
	if (r == 0 || r == -EEXIST)
		return r;
	errno = -r;
	return local_trouble(err, "name", path->text);
}

/* It has its name; what is left is ours. */
static void let_go(struct local_put *put)
{
	close(put->fd);
	free(put);
}

int local_put_commit(void *impl, const struct digest *d, struct error *err)
{
	scoped(scoped_put_) struct local_put *put = impl;
	struct local_path path = local_path("objects", d);
	int r = finish_as(put, &path, name_object, err);
	if (r == 0)
		let_go(steal(&put));
	return r == -EEXIST ? 0 : r;
}

int local_put_clone(void *impl, int fd, struct error *err)
{
	struct local_put *put = impl;
	if (ioctl(put->fd, FICLONE, fd) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
		return local_trouble(err, "clone into", called(put));
	return error_set(err, -EOPNOTSUPP, "this filesystem cannot clone that file");
}

int local_put_fd(void *impl)
{
	return ((struct local_put *)impl)->fd;
}

int local_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
                   struct error *err)
{
	struct local_path path = local_path("memo", thunk);
	scoped(scoped_put_) struct local_put *put = NULL;
	int r = begin(impl, &path, &put, err);
	if (r == 0)
		r = local_put_write(put, text, len, err);
	if (r == 0)
		r = finish_as(put, &path, name_memo, err);
	if (r == 0)
		let_go(steal(&put));
	return r;
}
