#include "engine/lay_out.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/placeholder.h"

struct laying {
	int dirfd;
	const struct timespec *mtime;
	lay_out_fn *file;
	void *arg;
	char *parent;     /* the directory made last, for most neighbours lie in one */
	struct strv dirs; /* all that were made; parents come before what is in them */
};

static int set_mtime(const struct laying *l, const char *path, struct error *err)
{
	if (!l->mtime)
		return 0;
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *l->mtime };
	if (utimensat(l->dirfd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "cannot set the time of %s", path);
	return 0;
}

static int make_directory(struct laying *l, const char *path, struct error *err)
{
	for (const char *slash = path; slash;) {
		slash = strchr(slash + 1, '/');
		scoped_free char *upper =
		        slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(path);
		if (mkdirat(l->dirfd, upper, 0777) == 0)
			strv_add_take(&l->dirs, steal(&upper));
		else if (errno != EEXIST)
			return error_errno(err, "cannot make the directory %s", upper);
	}
	return 0;
}

static int make_parent(struct laying *l, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return 0;
	size_t len = (size_t)(slash - path);
	if (l->parent && strlen(l->parent) == len && memcmp(l->parent, path, len) == 0)
		return 0;
	free(l->parent);
	l->parent = xstrndup(path, len);
	return make_directory(l, l->parent, err);
}

static int make_entry(struct laying *l, const struct manifest_entry *e, struct error *err)
{
	int r = make_parent(l, e->path, err);
	if (r < 0)
		return r;
	if (e->kind == ENTRY_DIR)
		return make_directory(l, e->path, err);
	if (e->kind == ENTRY_FILE)
		r = l->file(l->arg, l->dirfd, e, err);
	else if (symlinkat(e->target, l->dirfd, e->path) < 0)
		r = error_errno(err, "cannot make the link %s", e->path);
	return r < 0 ? r : set_mtime(l, e->path, err);
}

int lay_out(const struct manifest *m, int dirfd, const struct timespec *mtime, lay_out_fn *file,
            void *arg, struct error *err)
{
	struct laying l = { .dirfd = dirfd, .mtime = mtime, .file = file, .arg = arg };
	int r = 0;
	for (size_t i = 0; r == 0 && i < m->count; i++)
		r = make_entry(&l, &m->entries[i], err);
	/* Last, for making something in a directory changes its time. */
	for (size_t i = 0; r == 0 && mtime && i < l.dirs.count; i++)
		r = set_mtime(&l, l.dirs.items[i], err);
	if (r == 0)
		r = set_mtime(&l, ".", err);
	free(l.parent);
	strv_release(&l.dirs);
	return r;
}

int lay_out_placeholder(int dirfd, const char *path, mode_t mode, const struct ref *ref,
                        struct error *err)
{
	char bytes[PLACEHOLDER_SIZE];
	int r = placeholder_encode(ref, bytes, err);
	if (r < 0)
		return r;
	scoped_fd int fd =
	        openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return error_errno(err, "cannot create %s", path);
	r = write_full(fd, bytes, sizeof(bytes));
	return r < 0 ? error_set(err, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}
