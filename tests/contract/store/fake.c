/*
 * A store that is not to be trusted, as a far one: a flat directory, objects named by their
 * digest. It has what the local store has not everywhere: a put_clone that works on any filesystem,
 * and faults on order.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/io.h"
#include "tests/contract/store/backend.h"

struct fake_faults fake_faults;

struct fake {
	int dirfd;
};

struct fake_put {
	struct fake *fake;
	int fd;
	uint64_t size_bytes;
};

struct fake_name {
	char text[2 + DIGEST_HEX_SIZE + 1];
};

static struct fake_name name_of(char kind, const struct digest *d)
{
	struct fake_name name;
	snprintf(name.text, sizeof(name.text), "%c-%s", kind, digest_hex(d).text);
	return name;
}

static int absent_or_trouble(struct error *err, const char *name)
{
	if (errno == ENOENT)
		return error_set(err, -ENOENT, "%s is absent", name);
	return error_errno(err, "%s", name);
}

static void fake_free(void *impl)
{
	close(((struct fake *)impl)->dirfd);
	free(impl);
}

static int fake_put_begin(void *impl, const struct digest *hint, void **out, struct error *err)
{
	struct fake *fake = impl;
	(void)hint;
	int fd = openat(fake->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "cannot begin");
	struct fake_put *put = xcalloc(1, sizeof(*put));
	put->fake = fake;
	put->fd = fd;
	*out = put;
	return 0;
}

static int fake_put_write(void *impl, const void *bytes, size_t len, struct error *err)
{
	struct fake_put *put = impl;
	put->size_bytes += len;
	if (fake_faults.room_bytes && put->size_bytes > fake_faults.room_bytes)
		return error_set(err, -ENOSPC, "full, as ordered");
	return write_full(put->fd, bytes, len);
}

static void fake_put_discard(void *impl)
{
	close(((struct fake_put *)impl)->fd);
	free(impl);
}

static int fake_put_commit(void *impl, const struct digest *d, struct error *err)
{
	struct fake_put *put = impl;
	scoped_free char *from = xformat("/proc/self/fd/%d", put->fd);
	int r = linkat(AT_FDCWD, from, put->fake->dirfd, name_of('o', d).text, AT_SYMLINK_FOLLOW);
	if (r < 0 && errno != EEXIST)
		r = error_errno(err, "cannot link");
	else
		r = 0;
	fake_put_discard(put);
	return r;
}

static int fake_put_clone(void *impl, int fd, struct error *err)
{
	struct fake_put *put = impl;
	if (!fake_faults.after_clone)
		return error_set(err, -EOPNOTSUPP, "no reflinks");
	int r = copy_fd(fd, put->fd, err);
	fake_faults.after_clone(fd);
	return r;
}

static int fake_put_fd(void *impl)
{
	return ((struct fake_put *)impl)->fd;
}

static int fake_get(void *impl, const struct digest *d, struct error *err)
{
	struct fake_name name = name_of('o', d);
	int fd = openat(((struct fake *)impl)->dirfd, name.text, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? absent_or_trouble(err, name.text) : fd;
}

static int fake_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct fake_name name = name_of('o', d);
	struct stat st;
	if (fstatat(((struct fake *)impl)->dirfd, name.text, &st, 0) < 0)
		return absent_or_trouble(err, name.text);
	*size_bytes = (uint64_t)st.st_size;
	return 0;
}

static int unlink_name(void *impl, struct fake_name name, struct error *err)
{
	if (unlinkat(((struct fake *)impl)->dirfd, name.text, 0) < 0)
		return absent_or_trouble(err, name.text);
	return 0;
}

static int fake_remove(void *impl, const struct digest *d, struct error *err)
{
	return unlink_name(impl, name_of('o', d), err);
}

static int walk(struct fake *fake, char kind, store_visit_fn *visit, void *arg)
{
	int fd = openat(fake->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped_dir DIR *dir = fdopendir(fd);
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		struct digest d;
		struct stat st;
		if (entry->d_name[0] != kind ||
		    !digest_parse(entry->d_name + 2, strlen(entry->d_name + 2), &d) ||
		    fstatat(fd, entry->d_name, &st, 0) < 0)
			continue;
		int r = visit(arg, &d, (uint64_t)st.st_size);
		if (r != 0)
			return r;
	}
	return 0;
}

static int fake_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	(void)err;
	return walk(impl, 'o', visit, arg);
}

static int fake_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
			 struct error *err)
{
	return replace_file_at(((struct fake *)impl)->dirfd, name_of('m', thunk).text, text, len,
			       0600, err);
}

static int fake_memo_get(void *impl, const struct digest *thunk, struct buf *text,
			 struct error *err)
{
	return read_file_at(((struct fake *)impl)->dirfd, name_of('m', thunk).text, text,
			    MEMO_BYTES_MAX, err);
}

static int fake_memo_remove(void *impl, const struct digest *thunk, struct error *err)
{
	return unlink_name(impl, name_of('m', thunk), err);
}

static int fake_memo_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	(void)err;
	return walk(impl, 'm', visit, arg);
}

static const struct store_ops fake_ops = {
	.name = "fake",
	.trusted = false,
	.free = fake_free,
	.put_begin = fake_put_begin,
	.put_write = fake_put_write,
	.put_commit = fake_put_commit,
	.put_discard = fake_put_discard,
	.put_clone = fake_put_clone,
	.put_fd = fake_put_fd,
	.get = fake_get,
	.has = fake_has,
	.remove = fake_remove,
	.quarantine = fake_remove,
	.iterate = fake_iterate,
	.memo_put = fake_memo_put,
	.memo_get = fake_memo_get,
	.memo_remove = fake_memo_remove,
	.memo_iterate = fake_memo_iterate,
};

static int fake_open(const char *directory, struct store **out, struct error *err)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", directory);
	struct fake *fake = xcalloc(1, sizeof(*fake));
	fake->dirfd = fd;
	*out = store_new(&fake_ops, fake);
	return 0;
}

static int replace(const char *directory, struct fake_name name, const void *bytes, size_t len,
		   struct error *err)
{
	scoped_free char *path = xformat("%s/%s", directory, name.text);
	if (access(path, F_OK) < 0)
		return error_errno(err, "%s", path);
	return replace_file_at(AT_FDCWD, path, bytes, len, 0600, err);
}

static int fake_damage_blob(const char *directory, const struct digest *d, const void *bytes,
			    size_t len, struct error *err)
{
	return replace(directory, name_of('o', d), bytes, len, err);
}

static int fake_damage_memo(const char *directory, const struct digest *thunk, const void *bytes,
			    size_t len, struct error *err)
{
	return replace(directory, name_of('m', thunk), bytes, len, err);
}

const struct backend fake_backend = {
	.name = "fake",
	.trusted = false,
	.open = fake_open,
	.damage_blob = fake_damage_blob,
	.damage_memo = fake_damage_memo,
};
