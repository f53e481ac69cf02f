#include "fs/expand.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "common/io.h"
#include "engine/lay_out.h"
#include "fs/creds.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/object.h"
#include "fs/tree.h"

#define HALF_MADE "tree."

enum {
	UMASK = 022,
	TRIES_MAX = 8, /* while others rename it, or take the intent directory away */
};

/* --- what is to be made --- */

static int load(struct fs *fs, const struct digest *object, struct manifest *m, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_fd int fd = object_open(fs, object);
	if (fd < 0)
		return error_set(err, -EIO, "its list %s is not in the store",
		                 digest_hex(object).text);
	int r = read_all(fd, &text, EXPAND_BYTES_MAX);
	if (r == 0)
		r = manifest_decode(text.data ? text.data : "", text.len, m, err);
	if (r == -EFBIG || (r == 0 && m->count > EXPAND_ENTRIES_MAX))
		return error_set(err, -EFBIG,
		                 "it lists more than the %d files that a mount shows of one such "
		                 "directory; `ggfs force` unpacks it where it is not mounted",
		                 EXPAND_ENTRIES_MAX);
	if (r < 0) {
		error_prefix(err, r, "its list %s is damaged", digest_hex(object).text);
		return -EIO;
	}
	return 0;
}

void expand_entry_ref(const struct ref *directory, const struct manifest_entry *e, struct ref *out)
{
	if (directory->kind != REF_THUNK || e->ref.kind != REF_BLOB) {
		ref_copy(out, &e->ref);
		return;
	}
	ref_copy(out, directory);
	char *selection =
	        out->selection ? xformat("%s/%s", out->selection, e->path) : xstrdup(e->path);
	free(out->selection);
	out->selection = selection;
}

static int make_file(void *arg, int dirfd, const struct manifest_entry *e, struct error *err)
{
	const struct ref *directory = arg;
	scoped_ref struct ref ref = REF_INIT;
	expand_entry_ref(directory, e, &ref);
	int r = lay_out_placeholder(dirfd, e->path, e->mode, &ref, err);
	/* A long path does not fit; the bytes' digest always does. */
	return r == -ENAMETOOLONG ? lay_out_placeholder(dirfd, e->path, e->mode, &e->ref, err) : r;
}

/* --- making it --- */

struct making {
	struct fs *fs;
	struct inode *inode;
	const struct stat *st; /* the placeholder's */
	int intents;
	char name[sizeof(HALF_MADE) + 24];
};

static int open_intents(struct making *m, struct error *err)
{
	int backing = m->fs->backing_fd;
	for (int i = 0; i < TRIES_MAX; i++) {
		if (mkdirat(backing, INTENT_DIRECTORY, 0700) < 0 && errno != EEXIST)
			break;
		m->intents = openat(backing, INTENT_DIRECTORY,
		                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (m->intents >= 0 && mkdirat(m->intents, m->name, 0700) == 0)
			return 0;
		int saved = errno;
		if (m->intents >= 0 && saved == EEXIST)
			remove_tree_at(m->intents, m->name, NULL);
		if (m->intents >= 0)
			close(m->intents);
		m->intents = -1;
		errno = saved;
		if (saved != ENOENT && saved != EEXIST)
			break;
	}
	return error_errno(err, "cannot make the directory");
}

/* Those that are for anybody to set; a placeholder has few. */
static void copy_attributes(const struct inode *from, int to)
{
	char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
	struct proc_path path = proc_path(from->fd);
	ssize_t len = listxattr(path.text, names, sizeof(names));
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		if (strncmp(name, "user.", 5) != 0)
			continue;
		ssize_t n = getxattr(path.text, name, value, sizeof(value));
		if (n >= 0)
			fsetxattr(to, name, value, (size_t)n, 0);
	}
}

static int fill(struct making *m, const struct ref *ref, const struct manifest *list, int fd,
                struct error *err)
{
	struct stat shown = *m->st;
	struct creds creds;
	if (m->fs->uid == 0 && fchown(fd, m->st->st_uid, m->st->st_gid) < 0)
		return error_errno(err, "cannot give the directory to its owner");
	creds_assume(m->fs, m->st->st_uid, m->st->st_gid, UMASK, &creds);
	int r = lay_out(list, fd, &m->st->st_mtim, make_file, (void *)(uintptr_t)ref, err);
	creds_return(&creds);
	if (r < 0)
		return r;
	copy_attributes(m->inode, fd);
	tree_present(&shown);
	if (fchmod(fd, shown.st_mode & 07777) < 0)
		return error_errno(err, "cannot set the directory's mode");
	return 0;
}

/* --- putting it in its place --- */

/* Where the placeholder is now: its directory, opened, and *name, its name there. The mount does
 * not know all that happens to names (its caller may be renaming this one), and the kernel does. */
static int locate(const struct making *m, int *parent, char **name, struct error *err)
{
	char root[PATH_MAX + 1], path[PATH_MAX + 1];
	ssize_t root_len = readlink(proc_path(m->fs->backing_fd).text, root, PATH_MAX);
	ssize_t len = readlink(proc_path(m->inode->fd).text, path, PATH_MAX);
	if (root_len < 0 || len < 0 || len == PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "its path is too long");
	root[root_len] = path[len] = '\0';
	if (strcmp(root, "/") == 0)
		root_len = 0;
	if (strncmp(path, root, (size_t)root_len) != 0 || path[root_len] != '/')
		return error_set(err, -EIO, "it is not to be found by its name");
	char *slash = strrchr(path, '/');
	*slash = '\0';
	const char *below = slash - path > root_len ? path + root_len + 1 : ".";
	*parent = openat(m->fs->backing_fd, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*parent < 0)
		return error_errno(err, "cannot open the directory that it is in");
	*name = xstrdup(slash + 1);
	return 0;
}

struct swap {
	const struct making *making;
	int parent;
	const char *name;
};

static int exchange(const struct swap *s)
{
	return renameat2(s->making->intents, s->making->name, s->parent, s->name, RENAME_EXCHANGE) <
	                       0
	               ? -errno
	               : 0;
}

/* -EAGAIN: the name was another file's by now, and is so again. */
static int swap_in(void *arg)
{
	const struct swap *s = arg;
	const struct making *m = s->making;
	struct stat out, above;
	if (fstat(s->parent, &above) < 0)
		return -errno;
	int r = exchange(s);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	bool right = fstatat(m->intents, m->name, &out, AT_SYMLINK_NOFOLLOW) == 0 &&
	             out.st_ino == m->st->st_ino && out.st_dev == m->st->st_dev;
	if (!right)
		r = exchange(s);
	/* Nothing has become of the directory above that a make would have to know. */
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, above.st_mtim };
	futimens(s->parent, times);
	return r < 0 ? r : right ? 0 : -EAGAIN;
}

static int put_in_place(struct making *m, int fd, struct error *err)
{
	int r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++) {
		scoped_free char *name = NULL;
		scoped_fd int parent = -1;
		struct stat now;
		if (inode_stat(m->inode, &now) == 0 && now.st_nlink == 0)
			return error_set(err, -ENOENT, "it has been removed");
		r = locate(m, &parent, &name, err);
		if (r < 0)
			return r;
		struct swap s = { m, parent, name };
		r = inode_become(m->fs, m->inode, openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC),
		                 swap_in, &s);
	}
	if (r == -EXDEV)
		return error_set(err, r,
		                 "it lies on another filesystem than the mounted directory");
	return r < 0 ? error_set(err, r == -EAGAIN ? -EIO : r, "cannot put it in its place: %s",
	                         strerror(-r))
	             : 0;
}

static int make(struct making *m, const struct ref *ref, const struct manifest *list,
                struct error *err)
{
	int r = open_intents(m, err);
	if (r < 0)
		return r;
	scoped_fd int fd =
	        openat(m->intents, m->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? error_errno(err, "cannot open the directory") : fill(m, ref, list, fd, err);
	if (r == 0)
		r = put_in_place(m, fd, err);
	/* The placeholder, or what was made in vain. */
	remove_tree_at(m->intents, m->name, NULL);
	unlinkat(m->fs->backing_fd, INTENT_DIRECTORY, AT_REMOVEDIR);
	return r;
}

int expand(struct fs *fs, struct inode *inode, const struct ref *ref, const struct digest *object)
{
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest list = MANIFEST_INIT;
	struct stat st;
	struct making m = { .fs = fs, .inode = inode, .st = &st, .intents = -1 };
	int r = inode_stat(inode, &st);
	if (r < 0)
		return r;
	snprintf(m.name, sizeof(m.name), HALF_MADE "%llu", (unsigned long long)st.st_ino);
	r = load(fs, object, &list, &err);
	if (r == 0)
		r = make(&m, ref, &list, &err);
	if (m.intents >= 0)
		close(m.intents);
	if (r < 0)
		lazy_remember_reason(inode, error_text(&err));
	return r;
}

bool expand_drop_half_made(int intents, const char *name)
{
	if (strncmp(name, HALF_MADE, sizeof(HALF_MADE) - 1) != 0)
		return false;
	remove_tree_at(intents, name, NULL);
	return true;
}
