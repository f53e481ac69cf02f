/* The local directory store: the table of functions. Writing: local_put.c; opening and creating:
 * local_open.c. */
#include "objstore/local.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/io.h"
#include "objstore/store_impl.h"

struct local_path local_path(const char *kind, const struct digest *d)
{
	struct local_path path;
	struct digest_hex hex = digest_hex(d);
	snprintf(path.text, sizeof(path.text), "%s/%.2s/%s", kind, hex.text, hex.text + 2);
	return path;
}

struct store_object_path store_object_path(const struct digest *d)
{
	struct store_object_path path;
	struct local_path shard = local_path("objects", d);
	memcpy(path.text, shard.text, sizeof(path.text));
	return path;
}

int local_trouble(struct error *err, const char *doing, const char *path)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return error_set(err, -ENOSPC,
		                 "cannot %s %s in the store: no space left; free some on its disk, "
		                 "or set GGFS_STORE to a larger one",
		                 doing, path);
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

static int local_get(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	int fd = openat(local->dirfd, path.text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == ENOENT ? absent(err, "blob", d) : local_trouble(err, "open", path.text);
}

static int local_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	struct stat st;
	if (fstatat(local->dirfd, path.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? absent(err, "blob", d)
		                       : local_trouble(err, "look at", path.text);
	*size_bytes = (uint64_t)st.st_size;
	return 0;
}

static int local_remove(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	if (unlinkat(local->dirfd, path.text, 0) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "blob", d) : local_trouble(err, "remove", path.text);
}

static int local_quarantine(void *impl, const struct digest *d, struct error *err)
{
	struct local *local = impl;
	struct store_object_path path = store_object_path(d);
	char aside[sizeof("quarantine/") + DIGEST_HEX_SIZE];
	snprintf(aside, sizeof(aside), "quarantine/%s", digest_hex(d).text);
	if (renameat(local->dirfd, path.text, local->dirfd, aside) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "blob", d)
	                       : local_trouble(err, "move aside", path.text);
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
		return local_trouble(err, "list", kind);
	struct dirent *entry;
	while ((entry = readdir(top))) {
		if (strlen(entry->d_name) != 2 || entry->d_name[0] == '.')
			continue;
		scoped_dir DIR *shard = open_dir(dirfd(top), entry->d_name);
		if (!shard && (errno == ENOENT || errno == ENOTDIR))
			continue;
		if (!shard)
			return local_trouble(err, "list", entry->d_name);
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

static int local_memo_get(void *impl, const struct digest *thunk, struct buf *text,
                          struct error *err)
{
	struct local *local = impl;
	struct local_path path = local_path("memo", thunk);
	scoped_fd int fd = openat(local->dirfd, path.text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? absent(err, "the memo of thunk", thunk)
		                       : local_trouble(err, "open", path.text);
	int r = read_all(fd, text, MEMO_BYTES_MAX);
	if (r == -EFBIG)
		return error_set(err, r, "%s in the store is oversized", path.text);
	if (r < 0) {
		errno = -r;
		return local_trouble(err, "read", path.text);
	}
	return 0;
}

static int local_memo_remove(void *impl, const struct digest *thunk, struct error *err)
{
	struct local *local = impl;
	struct local_path path = local_path("memo", thunk);
	if (unlinkat(local->dirfd, path.text, 0) == 0)
		return 0;
	return errno == ENOENT ? absent(err, "the memo of thunk", thunk)
	                       : local_trouble(err, "remove", path.text);
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
