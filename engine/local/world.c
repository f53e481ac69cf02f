#include "engine/local/world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/escape.h"
#include "common/io.h"

enum { COPY_CHUNK = 256 << 10, DEPTH_MAX = PATH_MAX / 2 + 1 };

/*
 * The directory that entries are being made in. Entries come sorted, so that most have the
 * parent of the one before; its ancestors are kept open to go up by.
 */
struct cursor {
	int fds[DEPTH_MAX]; /* fds[0] is the root, borrowed; fds[i] the directory after i names */
	size_t depth;
	char path[PATH_MAX]; /* of fds[depth]: "" or "a/b" */
	size_t len;
	bool make;  /* missing directories are made */
	bool exact; /* the process may have a umask: modes are set again */
};

static void cursor_up(struct cursor *c)
{
	close(c->fds[c->depth--]);
	while (c->len > 0 && c->path[--c->len] != '/')
		;
	c->path[c->len] = '\0';
}

static void cursor_release(struct cursor *c)
{
	while (c->depth > 0)
		cursor_up(c);
}
#define scoped_cursor scoped(cursor_release)

static int make_directory(const struct cursor *c, int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	return c->exact && fchmodat(dir, name, 0755, 0) < 0 ? -errno : 0;
}

static int cursor_down(struct cursor *c, const char *name, size_t len)
{
	char text[NAME_MAX + 1];
	memcpy(text, name, len);
	text[len] = '\0';
	int here = c->fds[c->depth];
	int r = c->make ? make_directory(c, here, text) : 0;
	if (r < 0)
		return r;
	int fd = openat(here, text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	c->fds[++c->depth] = fd;
	if (c->len > 0)
		c->path[c->len++] = '/';
	memcpy(c->path + c->len, text, len + 1);
	c->len += len;
	return 0;
}

/* Goes to the parent of path, which must be normal; *name is its last component. */
static int cursor_to_parent(struct cursor *c, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t want = slash ? (size_t)(slash - path) : 0;
	*name = slash ? slash + 1 : path;
	while (c->len > want || memcmp(c->path, path, c->len) != 0 ||
	       (c->len > 0 && path[c->len] != '/'))
		cursor_up(c);
	while (c->len < want) {
		const char *from = path + c->len + (c->len > 0);
		int r = cursor_down(c, from, strcspn(from, "/"));
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_source(int store, const struct job_entry *entry)
{
	int fd = openat(store, entry->source, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int check_size(int fd, const struct job_entry *entry)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == entry->size_bytes ? 0 : -EBADMSG;
}

/* Small files with one buffer, which spares the calls that copy_fd() tries first. */
static int copy_small(int from, int to, uint64_t size_bytes)
{
	char bytes[COPY_CHUNK];
	ssize_t n = read_full(from, bytes, sizeof(bytes));
	if (n < 0)
		return (int)n;
	if ((uint64_t)n != size_bytes)
		return -EBADMSG;
	return write_full(to, bytes, (size_t)n);
}

static int create_file(const struct cursor *c, const char *name, mode_t mode)
{
	int fd = openat(c->fds[c->depth], name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	if (c->exact && fchmod(fd, mode) < 0) {
		int saved = errno;
		close(fd);
		return -saved;
	}
	return fd;
}

static int make_copy(const struct cursor *c, const char *name, int store,
                     const struct job_entry *entry)
{
	scoped_fd int from = open_source(store, entry);
	if (from < 0)
		return from;
	scoped_fd int to = create_file(c, name, entry->mode);
	if (to < 0)
		return to;
	if (entry->size_bytes < COPY_CHUNK)
		return copy_small(from, to, entry->size_bytes);
	int r = check_size(from, entry);
	return r < 0 ? r : copy_fd(from, to, NULL);
}

static int make_bytes(const struct cursor *c, const char *name, const struct job_entry *entry)
{
	scoped_fd int to = create_file(c, name, entry->mode);
	if (to < 0)
		return to;
	return entry->kind == JOB_ENTRY_BYTES ? write_full(to, entry->bytes, entry->size_bytes) : 0;
}

static int make_entry(struct cursor *c, int store, const struct job_entry *entry,
                      enum world_mode mode)
{
	const char *name;
	int r = cursor_to_parent(c, entry->path, &name);
	if (r < 0)
		return r;
	int dir = c->fds[c->depth];
	switch (entry->kind) {
	case JOB_ENTRY_BIND:
		if (mode == WORLD_LEAVE_BINDS)
			return make_bytes(c, name, entry);
		return make_copy(c, name, store, entry);
	case JOB_ENTRY_COPY:
		return make_copy(c, name, store, entry);
	case JOB_ENTRY_BYTES:
		return make_bytes(c, name, entry);
	case JOB_ENTRY_LINK:
		return symlinkat(entry->bytes, dir, name) < 0 ? -errno : 0;
	case JOB_ENTRY_DIR:
		return make_directory(c, dir, name);
	}
	return -EINVAL;
}

static int lay_out_kind(struct cursor *c, int store, const struct job_entry *entries, size_t count,
                        enum world_mode mode, bool links, size_t *failed)
{
	for (size_t i = 0; i < count; i++) {
		if ((entries[i].kind == JOB_ENTRY_LINK) != links)
			continue;
		int r = path_is_normal(entries[i].path) ? 0 : -EINVAL;
		if (r == 0)
			r = make_entry(c, store, &entries[i], mode);
		if (r < 0) {
			*failed = i;
			return r;
		}
	}
	return 0;
}

int world_lay_out(int root, int store, const struct job_entry *entries, size_t count,
                  enum world_mode mode, size_t *failed)
{
	scoped_cursor struct cursor c = { .fds = { root },
		                          .make = true,
		                          .exact = mode == WORLD_COPY_ALL };
	/* Links last: until then there is none that could be followed. */
	int r = lay_out_kind(&c, store, entries, count, mode, false, failed);
	return r < 0 ? r : lay_out_kind(&c, store, entries, count, mode, true, failed);
}

static int bind_entry(struct cursor *c, int store, const struct job_entry *entry)
{
	const char *name;
	int r = cursor_to_parent(c, entry->path, &name);
	if (r < 0)
		return r;
	scoped_fd int tree =
	        (int)syscall(SYS_open_tree, store, entry->source,
	                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return -errno;
	r = check_size(tree, entry);
	if (r < 0)
		return r;
	/* Without MOVE_MOUNT_T_SYMLINKS: a link in the last place is not followed. */
	if (syscall(SYS_move_mount, tree, "", c->fds[c->depth], name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int world_bind(int root, int store, const struct job_entry *entries, size_t count, size_t *failed)
{
	scoped_cursor struct cursor c = { .fds = { root } };
	for (size_t i = 0; i < count; i++) {
		if (entries[i].kind != JOB_ENTRY_BIND)
			continue;
		int r = bind_entry(&c, store, &entries[i]);
		if (r < 0) {
			*failed = i;
			return r;
		}
	}
	return 0;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int world_empty(int root, const char *keep)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int saved = errno;
		if (fd >= 0)
			close(fd);
		return -saved;
	}
	for (const struct dirent *e; (e = readdir(dir));) {
		if (is_dot(e->d_name) || (keep && strcmp(e->d_name, keep) == 0))
			continue;
		int r = unlinkat(root, e->d_name, 0) < 0 ? -errno : 0;
		if (r == -EISDIR)
			r = remove_tree_at(root, e->d_name, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}
