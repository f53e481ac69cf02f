#include "tools/materialise.h"

#include <fcntl.h>
#include <string.h>

#include "common/io.h"
#include "engine/lay_out.h"
#include "tools/thunk_source.h"

static char *beside(const char *path)
{
	return xformat("%s.ggfs.%d.tmp", path, (int)getpid());
}

static int write_blob(struct client *c, const struct digest *d, int dirfd, const char *path,
                      mode_t mode, struct error *err)
{
	scoped_fd int from = client_get(c, d, err);
	if (from < 0)
		return from;
	scoped_fd int to =
	        openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_errno(err, "cannot create %s", path);
	int r = copy_fd(from, to, err);
	if (r == 0 && fchmod(to, mode) < 0)
		r = error_errno(err, "cannot set the mode of %s", path);
	if (r < 0)
		unlinkat(dirfd, path, 0);
	return r;
}

struct laying_out {
	struct client *client;
	const struct timespec *mtime;
};

static int write_tree(const struct laying_out *l, const struct digest *d, int dirfd,
                      struct error *err);

static int write_subtree(const struct laying_out *l, const struct manifest_entry *e, int dirfd,
                         struct error *err)
{
	if (mkdirat(dirfd, e->path, 0777) < 0)
		return error_errno(err, "cannot make the directory %s", e->path);
	scoped_fd int below = openat(dirfd, e->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (below < 0)
		return error_errno(err, "cannot open %s", e->path);
	return write_tree(l, &e->ref.digest, below, err);
}

static int write_file(void *arg, int dirfd, const struct manifest_entry *e, struct error *err)
{
	const struct laying_out *l = arg;
	if (e->ref.kind == REF_THUNK)
		return lay_out_placeholder(dirfd, e->path, e->mode, &e->ref, err);
	if (e->ref.kind == REF_TREE)
		return write_subtree(l, e, dirfd, err);
	return write_blob(l->client, &e->ref.digest, dirfd, e->path, e->mode, err);
}

/* A manifest cannot hold itself (its digest would have to), so this ends. */
static int write_tree(const struct laying_out *l, const struct digest *d, int dirfd,
                      struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int r = fetch_manifest(l->client, d, &m, err);
	return r < 0 ? r : lay_out(&m, dirfd, l->mtime, write_file, (void *)(uintptr_t)l, err);
}

/* Somebody may have put another file there while it was made: that one is not ours to replace. */
static int still_the_same(const struct target *t, struct error *err)
{
	struct stat now;
	if (lstat(t->path, &now) < 0)
		return error_errno(err, "%s", t->path);
	if (now.st_ino != t->st.st_ino || now.st_dev != t->st.st_dev ||
	    now.st_size != t->st.st_size)
		return error_set(err, -EEXIST, "%s changed meanwhile; left as it is", t->path);
	return 0;
}

static int replace_by_file(struct client *c, const struct target *t, const struct digest *d,
                           struct error *err)
{
	scoped_free char *temporary = beside(t->path);
	int r = write_blob(c, d, AT_FDCWD, temporary, t->st.st_mode & 07777, err);
	if (r < 0)
		return r;
	const struct timespec times[2] = { t->st.st_atim, t->st.st_mtim };
	if (geteuid() == 0 && chown(temporary, t->st.st_uid, t->st.st_gid) < 0)
		r = error_errno(err, "cannot set the owner of %s", temporary);
	if (r == 0 && utimensat(AT_FDCWD, temporary, times, 0) < 0)
		r = error_errno(err, "cannot set the time of %s", temporary);
	if (r == 0)
		r = still_the_same(t, err);
	if (r == 0 && rename(temporary, t->path) < 0)
		r = error_errno(err, "cannot replace %s", t->path);
	if (r < 0)
		unlink(temporary);
	return r;
}

static int replace_by_directory(struct client *c, const struct target *t, const struct digest *d,
                                struct error *err)
{
	scoped_free char *temporary = beside(t->path);
	if (mkdir(temporary, 0777) < 0)
		return error_errno(err, "cannot make directory %s", temporary);
	scoped_fd int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? error_errno(err, "cannot open %s", temporary) : 0;
	const struct laying_out l = { c, &t->st.st_mtim };
	if (r == 0)
		r = write_tree(&l, d, fd, err);
	if (r == 0)
		r = still_the_same(t, err);
	/* rename() puts no directory in a file's place: the two are exchanged. */
	if (r == 0 && renameat2(AT_FDCWD, temporary, AT_FDCWD, t->path, RENAME_EXCHANGE) < 0)
		r = error_errno(err, "cannot replace %s", t->path);
	remove_tree_at(AT_FDCWD, temporary, NULL);
	return r;
}

int materialise(struct client *c, const struct target *t, const struct ref *ref, struct error *err)
{
	if (ref->kind == REF_TREE)
		return replace_by_directory(c, t, &ref->digest, err);
	return replace_by_file(c, t, &ref->digest, err);
}
