#include "engine/local/collect.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/escape.h"
#include "common/io.h"
#include "engine/local/plan.h"
#include "engine/placeholder.h"

enum { BROKEN_PROMISE = -ECHILD };

/* Opens for reading, through no link and out of nothing. A FIFO does not block: O_NONBLOCK. */
static int open_beneath(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
	};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* A function may leave files without the right to read them; they are still its outputs. */
static int open_made_readable(int dir, const char *path, uint64_t flags)
{
	int fd = open_beneath(dir, path, flags);
	if (fd != -EACCES)
		return fd;
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	scoped_fd int handle = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	struct stat st;
	if (handle < 0 || fstat(handle, &st) < 0)
		return fd;
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	if (chmod(link, (st.st_mode & 07777) | (S_ISDIR(st.st_mode) ? 0500 : 0400)) < 0)
		return fd;
	return open_beneath(dir, path, flags);
}

static int cannot_open(const char *path, int code, struct error *err)
{
	if (code == -ENOENT || code == -ENOTDIR)
		return error_set(err, BROKEN_PROMISE, "it did not make its output %s", path);
	if (code == -ELOOP)
		return error_set(err, BROKEN_PROMISE, "its output %s is a symbolic link", path);
	if (code == -EACCES || code == -EXDEV || code == -ENXIO)
		return error_set(err, BROKEN_PROMISE, "its output %s cannot be read: %s", path,
		                 strerror(-code));
	return error_set(err, code, "cannot open the output %s: %s", path, strerror(-code));
}

/* --- directories ------------------------------------------------------------------------------ */

static int collect_directory(struct store *s, int dir, const char *prefix, unsigned depth,
                             struct manifest *m, struct error *err);

static int collect_link(int dir, const char *name, const char *path, struct manifest *m,
                        struct error *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir, name, target, sizeof(target) - 1);
	if (len <= 0)
		return error_errno(err, "cannot read the link %s", path);
	target[len] = '\0';
	manifest_add_link(m, path, target);
	return 0;
}

static int collect_member(struct store *s, int dir, const char *name, const char *path,
                          unsigned depth, struct manifest *m, struct error *err)
{
	struct stat st;
	if (m->count >= MANIFEST_ENTRIES_MAX || !path_is_normal(path))
		return error_set(err, BROKEN_PROMISE, "%s: more or deeper than a tree may be",
		                 path);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "cannot look at %s", path);
	if (S_ISLNK(st.st_mode))
		return collect_link(dir, name, path, m, err);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return error_set(err, BROKEN_PROMISE, "%s is neither file, directory nor link",
		                 path);
	scoped_fd int fd =
	        open_made_readable(dir, name, S_ISDIR(st.st_mode) ? (uint64_t)O_DIRECTORY : 0);
	if (fd < 0)
		return cannot_open(path, fd, err);
	if (S_ISDIR(st.st_mode))
		return collect_directory(s, fd, path, depth + 1, m, err);
	struct ref ref = { .kind = REF_BLOB };
	int r = store_put_fd(s, fd, &ref.digest, &ref.size_bytes, err);
	if (r == 0)
		manifest_add_file(m, path, st.st_mode & 0100 ? 0755 : 0644, &ref);
	return r;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* prefix: the directory's own path in the tree, "" for its top. */
static int collect_directory(struct store *s, int dir, const char *prefix, unsigned depth,
                             struct manifest *m, struct error *err)
{
	if (depth > COLLECT_DEPTH_MAX)
		return error_set(err, BROKEN_PROMISE, "%s: deeper than a tree may be", prefix);
	scoped_fd int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	scoped_dir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	if (!stream)
		return error_errno(err, "cannot list %s", prefix);
	steal_fd(&copy);
	size_t before = m->count;
	int r = 0;
	for (const struct dirent *e; r == 0 && (e = readdir(stream));) {
		if (is_dot(e->d_name))
			continue;
		scoped_free char *path =
		        *prefix ? xformat("%s/%s", prefix, e->d_name) : xstrdup(e->d_name);
		r = collect_member(s, dir, e->d_name, path, depth, m, err);
	}
	if (r == 0 && m->count == before && *prefix)
		manifest_add_dir(m, prefix);
	return r;
}

static int collect_tree(struct store *s, int root, const char *path, struct ref *ref,
                        struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	scoped_fd int dir = open_made_readable(root, path, 0);
	struct stat st;
	if (dir < 0)
		return cannot_open(path, dir, err);
	if (fstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, BROKEN_PROMISE, "its output %s is no directory", path);
	int r = collect_directory(s, dir, "", 0, &m, err);
	if (r < 0)
		return error_prefix(err, r, "in its output %s", path);
	r = manifest_finish(&m, err);
	if (r < 0)
		return error_set(err, BROKEN_PROMISE, "its output %s cannot be recorded", path);
	manifest_encode(&m, &text);
	ref->kind = REF_TREE;
	ref->size_bytes = text.len;
	return store_put_bytes(s, text.data, text.len, &ref->digest, err);
}

/* --- files, and what stands for further thunks ------------------------------------------------ */

/* 1: it is a placeholder, and *ref what it stands for. */
static int read_yielded(struct store *s, int fd, const struct stat *st, const char *path,
                        struct ref *ref, struct error *err)
{
	struct error reason = ERROR_INIT;
	int r = placeholder_read_fd(fd, st, ref, &reason);
	if (r == -ENOENT)
		return 0;
	if (r == -EBADMSG)
		return error_set(err, BROKEN_PROMISE, "its output %s is %s", path,
		                 error_text(&reason));
	if (r < 0)
		return error_set(err, r, "%s", error_text(&reason));
	r = store_has(s, &ref->digest, NULL, err);
	if (r == -ENOENT)
		r = error_set(err, BROKEN_PROMISE,
		              "its output %s stands for %s, which it did not yield", path,
		              digest_hex(&ref->digest).text);
	return r < 0 ? r : 1;
}

static int collect_file(struct store *s, const struct thunk *t, int root, const char *path,
                        struct ref *ref, struct error *err)
{
	scoped_fd int fd = open_made_readable(root, path, 0);
	struct stat st;
	if (fd < 0)
		return cannot_open(path, fd, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, BROKEN_PROMISE, "its output %s is no regular file", path);
	int r = t->yields ? read_yielded(s, fd, &st, path, ref, err) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	ref->kind = REF_BLOB;
	return store_put_fd(s, fd, &ref->digest, &ref->size_bytes, err);
}

static int put_yielded(struct store *s, int dir, const char *name, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_fd int fd = open_made_readable(dir, name, 0);
	struct error reason = ERROR_INIT;
	struct stat st;
	struct digest d;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > THUNK_BYTES_MAX)
		return error_set(err, BROKEN_PROMISE, "it yielded %s, which is no thunk", name);
	int r = read_all(fd, &text, THUNK_BYTES_MAX);
	if (r == 0)
		r = thunk_decode(text.data, text.len, &t, &reason);
	if (r < 0)
		return error_set(err, BROKEN_PROMISE, "it yielded %s, which is no thunk: %s", name,
		                 error_text(&reason));
	return store_put_bytes(s, text.data, text.len, &d, err);
}

static int collect_yields(struct store *s, int root, struct error *err)
{
	scoped_fd int dir = open_beneath(root, PLAN_YIELD, O_DIRECTORY);
	if (dir < 0)
		return error_set(err, BROKEN_PROMISE, "it removed its directory for thunks");
	scoped_fd int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	scoped_dir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	if (!stream)
		return error_errno(err, "cannot list what was yielded");
	steal_fd(&copy);
	size_t count = 0;
	int r = 0;
	for (const struct dirent *e; r == 0 && (e = readdir(stream));) {
		if (is_dot(e->d_name))
			continue;
		r = ++count > COLLECT_YIELDS_MAX
		            ? error_set(err, BROKEN_PROMISE, "it yielded more than %d thunks",
		                        COLLECT_YIELDS_MAX)
		            : put_yielded(s, dir, e->d_name, err);
	}
	return r;
}

int collect_outputs(struct store *s, const struct thunk *t, int root, struct memo *memo,
                    struct error *err)
{
	/* First what placeholders may name, then the placeholders. */
	int r = t->yields ? collect_yields(s, root, err) : 0;
	for (size_t i = 0; r == 0 && i < t->output_count; i++) {
		const struct thunk_output *output = &t->outputs[i];
		scoped_ref struct ref ref = REF_INIT;
		r = output->kind == OUTPUT_TREE ? collect_tree(s, root, output->path, &ref, err)
		                                : collect_file(s, t, root, output->path, &ref, err);
		if (r == 0)
			memo_add_output(memo, output->path, &ref);
	}
	return r;
}
