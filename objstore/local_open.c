/* Opening and creating the directory of a local store (docs/format-store.md). */
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/fields.h"
#include "common/io.h"
#include "objstore/local.h"
#include "objstore/store_impl.h"

enum { FORMAT_VERSION = 1, FORMAT_BYTES_MAX = 256 };

static int open_directory(const char *path, bool create, struct error *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(path, flags);
	if (fd < 0 && errno == ENOENT) {
		if (!create)
			return error_set(err, -ENOENT,
			                 "there is no store at %s: ggfs init makes one", path);
		int r = make_dirs_at(AT_FDCWD, path, 0700, err);
		if (r < 0)
			return error_prefix(err, r, "cannot create the store %s", path);
		fd = open(path, flags);
	}
	return fd < 0 ? error_errno(err, "cannot open the store %s", path) : fd;
}

static int check_owner(int fd, const char *path, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at the store %s", path);
	if (st.st_uid != geteuid())
		return error_set(
		        err, -EPERM,
		        "the store %s belongs to user %u, and you are user %u: set GGFS_STORE "
		        "to a directory of your own",
		        path, (unsigned)st.st_uid, (unsigned)geteuid());
	return 0;
}

/* Others who may write there could put wrong bytes under a digest. */
static int check_mode(int fd, const char *path, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at the store %s", path);
	if (st.st_mode & 022)
		return error_set(err, -EPERM,
		                 "others may write in the store %s: if it is sound, chmod 0700 it",
		                 path);
	return 0;
}

/* The version in the file "format"; 0 when there is no such file. */
static int read_format(int fd, const char *path, uint64_t *version, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = read_file_at(fd, "format", &text, FORMAT_BYTES_MAX, err);
	if (r == -ENOENT) {
		*version = 0;
		return 0;
	}
	if (r < 0 && r != -EFBIG)
		return error_prefix(err, r, "the store %s", path);
	const char *at = text.data, *line, *end;
	if (r < 0 || !at || !line_next(&at, at + text.len, &line, &end) ||
	    !field_word(&line, end, "ggfs-store") || !field_space(&line, end) ||
	    !field_number(&line, end, version) || line != end || *version == 0)
		return error_set(err, -EPROTO, "%s/format is not that of a store", path);
	return 0;
}

/* What may be there before the store is: the service's lock, what a creation that was cut
 * short left, and what a new filesystem comes with. */
static bool may_precede(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "service") == 0 ||
	       strcmp(name, "lost+found") == 0 || strncmp(name, "format.", 7) == 0;
}

static int holds_other_things(int fd, const char *path, struct error *err)
{
	scoped_fd int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped_dir DIR *dir = again < 0 ? NULL : fdopendir(again);
	if (!dir)
		return error_errno(err, "cannot list %s", path);
	steal_fd(&again);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (!may_precede(entry->d_name))
			return 1;
	return 0;
}

/* The file "format" comes first: a directory that has other things and not it is no store. */
static int create_format(int fd, const char *path, uint64_t *version, struct error *err)
{
	int other = holds_other_things(fd, path, err);
	if (other < 0)
		return other;
	if (other) {
		/* Unless somebody else was creating it at the same time. */
		int r = read_format(fd, path, version, err);
		if (r == 0 && *version == 0)
			r = error_set(err, -ENOTEMPTY,
			              "%s holds other things: a store needs a directory of its own",
			              path);
		return r;
	}
	if (fchmod(fd, 0700) < 0)
		return error_errno(err, "cannot set the mode of %s", path);
	scoped_free char *text = xformat("ggfs-store %d\n", FORMAT_VERSION);
	*version = FORMAT_VERSION;
	int r = replace_file_at(fd, "format", text, strlen(text), 0644, err);
	return r < 0 ? error_prefix(err, r, "cannot create the store %s", path) : 0;
}

static int check_format(int fd, const char *path, bool create, struct error *err)
{
	uint64_t version;
	int r = read_format(fd, path, &version, err);
	if (r == 0 && version == 0) {
		if (!create)
			return error_set(err, -ENOENT, "%s is not a store: ggfs init makes one",
			                 path);
		r = create_format(fd, path, &version, err);
	}
	if (r < 0)
		return r;
	if (version > FORMAT_VERSION)
		return error_set(
		        err, -EPROTO,
		        "the store %s has format %llu, and this ggfs knows %d: use a newer ggfs",
		        path, (unsigned long long)version, FORMAT_VERSION);
	return check_mode(fd, path, err);
}

/*
 * Has ext4 spread the shards of a new directory over the disk instead of keeping them together.
 * Without a journal it passes over inodes deleted in the last minutes one by one; in a part of the
 * disk where a build tree was just removed each new file then costs up to a millisecond. It is a
 * hint: most other filesystems know no such thing, and nothing is lost.
 */
static void spread_shards(int fd, const char *name)
{
	scoped_fd int dir = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int flags = 0;
	if (dir < 0 || ioctl(dir, FS_IOC_GETFLAGS, &flags) < 0)
		return;
	flags |= FS_TOPDIR_FL;
	ioctl(dir, FS_IOC_SETFLAGS, &flags);
}

static int make_layout(int fd, const char *path, struct error *err)
{
	static const char *const names[] = { "objects", "memo", "tmp", "quarantine", "service" };
	enum { SHARDED = 2 }; /* the first of them */
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int r = mkdirat(fd, names[i], 0700);
		if (r < 0 && errno != EEXIST)
			return error_errno(err, "cannot make %s/%s", path, names[i]);
		if (r == 0 && i < SHARDED)
			spread_shards(fd, names[i]);
	}
	return 0;
}

static bool is_dead(const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);
	return end != name && *end == '.' && pid > 0 && pid <= INT32_MAX &&
	       kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* What processes that were killed left in tmp/: files, and trees that were being unpacked. Failing
 * to remove it harms nobody. */
static void remove_leftovers(int fd)
{
	scoped_fd int tmp = openat(fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scoped_dir DIR *dir = tmp < 0 ? NULL : fdopendir(tmp);
	if (!dir)
		return;
	steal_fd(&tmp);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (is_dead(entry->d_name))
			remove_tree_at(dirfd(dir), entry->d_name, NULL);
}

int store_open_local(const char *path, bool create, enum store_sync sync, struct store **out,
                     struct error *err)
{
	scoped_fd int fd = open_directory(path, create, err);
	if (fd < 0)
		return fd;
	int r = check_owner(fd, path, err);
	if (r == 0)
		r = check_format(fd, path, create, err);
	if (r == 0)
		r = make_layout(fd, path, err);
	if (r < 0)
		return r;
	remove_leftovers(fd);
	struct local *local = xcalloc(1, sizeof(*local));
	local->dirfd = steal_fd(&fd);
	local->sync = sync;
	*out = store_new(&local_store_ops, local);
	return 0;
}

int store_local_dirfd(const struct store *s)
{
	void *impl;
	return store_ops_of(s, &impl) == &local_store_ops ? ((struct local *)impl)->dirfd : -1;
}
