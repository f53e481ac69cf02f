#include "engine/model/view.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "common/io.h"
#include "engine/model/locate.h"
#include "engine/model/view_impl.h"
#include "engine/placeholder.h"

enum { LINKS_MAX = 40 }; /* as the kernel's MAXSYMLINKS */

/* A directory by the name it was asked for. What was passed on the way to it is a tree: first
 * the parent's, then this one's own entry, then what the link's target passed. */
struct dir {
	char *path; /* as asked for, absolute */
	char *real; /* "" for the root; NULL when there is no such directory */
	const struct dir *parent, *target;
	char *link_path, *link_target; /* a symbolic link passed here; or NULL */
	char *stepped_out;             /* a directory left by ".."; or NULL */
	bool passed;                   /* anything at all was passed, here or above */
	bool unmade; /* real is NULL for it is, or lies in, a lazy directory, not looked into yet */
};

static void dir_free(struct dir *d)
{
	if (!d)
		return;
	free(d->path);
	free(d->real);
	free(d->link_path);
	free(d->link_target);
	free(d->stepped_out);
	free(d);
}

/* What stands at a real path. */
struct entry {
	char *path;
	int r; /* of lstat: 0 or -errno */
	struct stat st;
};

struct view {
	struct mount_table *table;
	struct store *store;
	struct index *index;
	struct locator locator;
	struct dir **dirs; /* hash table by path */
	size_t dir_count, dir_size;
	struct entry *entries; /* hash table by path */
	size_t entry_count, entry_size;
	struct digest *stored; /* hash set of blobs that were seen in the store; zeros are free */
	size_t stored_count, stored_size;
	bool passed_unmade; /* something was looked for in a directory that is unmade */
};

struct view *view_new(struct mount_table *mounts, struct store *store, struct index *index)
{
	struct view *v = xcalloc(1, sizeof(*v));
	v->table = mounts;
	v->store = store;
	v->index = index;
	locator_init(&v->locator, mounts, store);
	return v;
}

void view_free(struct view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->dir_size; i++)
		dir_free(v->dirs[i]);
	free(v->dirs);
	for (size_t i = 0; i < v->entry_size; i++)
		free(v->entries[i].path);
	free(v->entries);
	free(v->stored);
	locator_release(&v->locator);
	free(v);
}

bool view_passed_unmade(const struct view *v)
{
	return v->passed_unmade;
}

struct memory *view_memory(struct view *v)
{
	return mount_table_memory(v->table);
}

struct store *view_store(struct view *v)
{
	return v->store;
}

struct mount_table *view_mounts(struct view *v)
{
	return v->table;
}

void view_file_release(struct view_file *f)
{
	ref_release(&f->ref);
	free(f->real_path);
	*f = (struct view_file){ 0 };
}

/* --- where a path really is ------------------------------------------------------------------- */

int view_check(const struct view *v, struct error *err)
{
	return locator_check(&v->locator, err);
}

int view_lstat(struct view *v, const char *real_path, struct stat *st)
{
	const char *rest;
	int fd, r = locate(&v->locator, real_path, &fd, &rest);
	if (r < 0)
		return r;
	int flags = AT_SYMLINK_NOFOLLOW | (*rest ? 0 : AT_EMPTY_PATH);
	return fstatat(fd, rest, st, flags) < 0 ? -errno : 0;
}

static uint64_t hash_path(const char *path, size_t len)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)path[i]) * 1099511628211u;
	return h;
}

static struct entry *entry_slot(struct entry *entries, size_t size, const char *path)
{
	for (size_t at = hash_path(path, strlen(path));; at++) {
		struct entry *e = &entries[at & (size - 1)];
		if (!e->path || strcmp(e->path, path) == 0)
			return e;
	}
}

/* As view_lstat, asked once for each path: a header is looked at by several, and one request sees
 * one state of things. */
static int lstat_once(struct view *v, const char *real_path, struct stat *st)
{
	if (2 * (v->entry_count + 1) > v->entry_size) {
		size_t size = v->entry_size ? 2 * v->entry_size : 512;
		struct entry *entries = xcalloc(size, sizeof(*entries));
		for (size_t i = 0; i < v->entry_size; i++)
			if (v->entries[i].path)
				*entry_slot(entries, size, v->entries[i].path) = v->entries[i];
		free(v->entries);
		v->entries = entries;
		v->entry_size = size;
	}
	struct entry *e = entry_slot(v->entries, v->entry_size, real_path);
	if (!e->path) {
		e->path = xstrdup(real_path);
		e->r = view_lstat(v, real_path, &e->st);
		v->entry_count++;
	}
	*st = e->st;
	return e->r;
}

static char *read_link(struct view *v, const char *real_path)
{
	char target[PATH_MAX];
	const char *rest;
	int fd;
	if (locate(&v->locator, real_path, &fd, &rest) < 0)
		return NULL;
	ssize_t len = readlinkat(fd, rest, target, sizeof(target));
	if (len <= 0 || len == (ssize_t)sizeof(target))
		return NULL;
	return xstrndup(target, (size_t)len);
}

static int open_real(struct view *v, const char *real)
{
	const char *rest;
	int dir, r = locate(&v->locator, real, &dir, &rest);
	if (r < 0)
		return r;
	int fd = openat(dir, *rest ? rest : ".", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Does a placeholder stand there, which the mount may show as a directory? */
static bool may_be_lazy_directory(struct view *v, const char *real, const struct stat *st)
{
	const char *rest;
	int dir;
	if (!S_ISREG(st->st_mode) || st->st_size != PLACEHOLDER_SIZE ||
	    locate(&v->locator, real, &dir, &rest) < 0 || dir == AT_FDCWD)
		return false;
	scoped_ref struct ref ref = REF_INIT;
	scoped_fd int fd = open_real(v, real);
	return fd >= 0 && placeholder_read_fd(fd, st, &ref, NULL) == 0;
}

static struct dir **dir_slot(struct view *v, const char *path, size_t len)
{
	for (size_t at = hash_path(path, len);; at++) {
		struct dir **slot = &v->dirs[at & (v->dir_size - 1)];
		if (!*slot || (strncmp((*slot)->path, path, len) == 0 && !(*slot)->path[len]))
			return slot;
	}
}

/* Links in a circle pass a directory within its own search: the inner answer stays. */
static struct dir *remember_dir(struct view *v, struct dir *d)
{
	if (2 * (v->dir_count + 1) > v->dir_size) {
		struct dir **old = v->dirs;
		size_t old_size = v->dir_size;
		v->dir_size = old_size ? 2 * old_size : 64;
		v->dirs = xcalloc(v->dir_size, sizeof(*v->dirs));
		for (size_t i = 0; i < old_size; i++)
			if (old[i])
				*dir_slot(v, old[i]->path, strlen(old[i]->path)) = old[i];
		free(old);
	}
	struct dir **slot = dir_slot(v, d->path, strlen(d->path));
	if (*slot) {
		dir_free(d);
		return *slot;
	}
	v->dir_count++;
	return *slot = d;
}

static const struct dir *find_dir(struct view *v, const char *path, size_t len, unsigned links);

/* A link's target as an absolute path, seen from the real directory that holds the link. */
static char *absolute_target(const char *real_dir, const char *target)
{
	return target[0] == '/' ? xstrdup(target) : xformat("%s/%s", real_dir, target);
}

static void enter_component(struct view *v, struct dir *d, const char *name, size_t len,
                            unsigned links)
{
	const char *above = d->parent->real;
	if (len == 0 || (len == 1 && name[0] == '.')) {
		d->real = xstrdup(above);
		return;
	}
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		const char *slash = strrchr(above, '/');
		d->real = xstrndup(above, slash ? (size_t)(slash - above) : 0);
		d->stepped_out = *above ? xstrdup(above) : NULL;
		return;
	}
	scoped_free char *real = xformat("%s/%.*s", above, (int)len, name);
	struct stat st;
	if (view_lstat(v, real, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		d->real = steal(&real);
		return;
	}
	d->unmade = may_be_lazy_directory(v, real, &st);
	scoped_free char *target =
	        S_ISLNK(st.st_mode) && links < LINKS_MAX ? read_link(v, real) : NULL;
	if (!target)
		return;
	scoped_free char *next = absolute_target(above, target);
	if (strlen(next) >= PATH_MAX)
		return;
	d->target = find_dir(v, next, strlen(next), links + 1);
	d->unmade = d->target && d->target->unmade;
	if (!d->target || !d->target->real)
		return;
	d->real = xstrdup(d->target->real);
	d->link_path = steal(&real);
	d->link_target = steal(&target);
}

/* The directory named by the first len bytes of an absolute path; the result's real is NULL when
 * it is none. Never NULL. */
static const struct dir *find_dir(struct view *v, const char *path, size_t len, unsigned links)
{
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (v->dir_size) {
		struct dir **slot = dir_slot(v, path, len);
		if (*slot)
			return *slot;
	}
	struct dir *d = xcalloc(1, sizeof(*d));
	if (len == 0) {
		d->real = xstrdup("");
	} else {
		size_t cut = len;
		while (path[cut - 1] != '/')
			cut--;
		d->parent = find_dir(v, path, cut - 1, links);
		if (d->parent->real)
			enter_component(v, d, path + cut, len - cut, links);
		else
			d->unmade = d->parent->unmade;
		d->passed = d->parent->passed || d->link_path || d->stepped_out ||
		            (d->target && d->target->passed);
	}
	d->path = xstrndup(path, len);
	return remember_dir(v, d);
}

static void report_passed(const struct dir *d, struct manifest *links)
{
	if (!links)
		return;
	for (; d && d->passed; d = d->parent) {
		if (d->link_path)
			manifest_add_link(links, d->link_path + 1, d->link_target);
		if (d->stepped_out)
			manifest_add_dir(links, d->stepped_out + 1);
		if (d->target)
			report_passed(d->target, links);
	}
}

/* --- looking -----------------------------------------------------------------------------------
 */

static int look_at_file(struct view *v, struct view_file *out, struct error *err)
{
	out->kind = S_ISREG(out->st.st_mode)   ? VIEW_FILE
	            : S_ISDIR(out->st.st_mode) ? VIEW_DIR
	                                       : VIEW_OTHER;
	if (out->kind != VIEW_FILE || out->st.st_size != PLACEHOLDER_SIZE)
		return 0;
	scoped_fd int fd = open_real(v, out->real_path);
	if (fd < 0)
		return error_set(err, fd == -ENOENT ? -EAGAIN : fd, "cannot open %s: %s",
		                 out->real_path, strerror(-fd));
	struct error why = ERROR_INIT;
	int r = placeholder_read_fd(fd, &out->st, &out->ref, &why);
	if (r == 0)
		out->kind = VIEW_LAZY;
	else if (r != -ENOENT)
		return error_set(err, r, "%s: %s", out->real_path, error_text(&why));
	return 0;
}

static int look(struct view *v, const char *path, unsigned links_passed, struct view_file *out,
                struct manifest *links, struct error *err)
{
	size_t len = strlen(path);
	size_t cut = len;
	while (cut > 0 && path[cut - 1] != '/')
		cut--;
	const char *name = path + cut;
	bool as_dir = !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	const struct dir *d = find_dir(v, path, as_dir ? len : cut, links_passed);
	if (d->unmade) {
		v->passed_unmade = true;
		return error_set(err, -ENODATA, "%s lies in a lazy directory that is not made yet",
		                 path);
	}
	if (!d->real)
		return 0;
	report_passed(d, links);
	scoped_free char *real = as_dir ? xstrdup(d->real) : xformat("%s/%s", d->real, name);
	int r = lstat_once(v, real, &out->st);
	if (r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG)
		return 0;
	if (r < 0)
		return error_set(err, r, "cannot look at %s: %s", real, strerror(-r));
	if (S_ISLNK(out->st.st_mode)) {
		scoped_free char *target = links_passed < LINKS_MAX ? read_link(v, real) : NULL;
		if (!target)
			return 0;
		if (links)
			manifest_add_link(links, real + 1, target);
		scoped_free char *next = absolute_target(d->real, target);
		if (strlen(next) >= PATH_MAX)
			return 0;
		return look(v, next, links_passed + 1, out, links, err);
	}
	out->real_path = *real ? steal(&real) : xstrdup("/");
	return look_at_file(v, out, err);
}

int view_look(struct view *v, const char *path, struct view_file *out, struct manifest *links,
              struct error *err)
{
	if (path[0] != '/')
		return error_set(err, -EINVAL, "%s is not an absolute path", path);
	struct view_file found = { 0 };
	if (strlen(path) >= PATH_MAX) {
		*out = found; /* as for the kernel: no such file */
		return 0;
	}
	int r = look(v, path, 0, &found, links, err);
	if (view_check(v, err) < 0)
		r = v->locator.code; /* whatever it came to */
	if (r < 0) {
		view_file_release(&found);
		return r;
	}
	*out = found;
	return 0;
}

int view_open(struct view *v, const char *path, struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(v, path, &f, NULL, err);
	if (r < 0)
		return r;
	if (f.kind == VIEW_FILE) {
		r = open_real(v, f.real_path);
		if (r < 0)
			error_set(err, r, "cannot open %s: %s", path, strerror(-r));
	} else {
		r = f.kind == VIEW_ABSENT ? -ENOENT : f.kind == VIEW_LAZY ? -ENODATA : -EINVAL;
		error_set(err, r, "%s is %s", path,
		          f.kind == VIEW_ABSENT ? "not there"
		          : f.kind == VIEW_LAZY ? "lazy"
		                                : "not a file");
	}
	view_file_release(&f);
	return r;
}

int view_read(struct view *v, const char *path, size_t max, struct buf *b, struct error *err)
{
	scoped_fd int fd = view_open(v, path, err);
	if (fd < 0)
		return fd;
	int r = read_all(fd, b, max);
	return r < 0 ? error_set(err, r, "cannot read %s: %s", path, strerror(-r)) : 0;
}

/* --- inputs ------------------------------------------------------------------------------------
 */

/* Puts the file into the store; the digest is remembered only for what was really read. */
static int store_file(struct view *v, const struct view_file *f, struct ref *out, struct error *err)
{
	scoped_fd int fd = open_real(v, f->real_path);
	if (fd < 0)
		return error_set(err, fd == -ENOENT ? -EAGAIN : fd, "cannot open %s: %s",
		                 f->real_path, strerror(-fd));
	int r = store_put_fd(v->store, fd, &out->digest, &out->size_bytes, err);
	if (r < 0)
		return r;
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_ino == f->st.st_ino && st.st_size == f->st.st_size &&
	    memcmp(&st.st_mtim, &f->st.st_mtim, sizeof(st.st_mtim)) == 0 &&
	    memcmp(&st.st_ctim, &f->st.st_ctim, sizeof(st.st_ctim)) == 0)
		index_stat_put(v->index, &st, &out->digest);
	return 0;
}

static struct digest *stored_slot(struct digest *set, size_t size, const struct digest *d)
{
	static const struct digest none = { 0 };
	size_t at;
	memcpy(&at, d->bytes, sizeof(at));
	for (;; at++) {
		struct digest *slot = &set[at & (size - 1)];
		if (digest_equal(slot, &none) || digest_equal(slot, d))
			return slot;
	}
}

/* Whether the store has it; looked up once for each blob. */
static bool is_stored(struct view *v, const struct digest *d)
{
	if (2 * (v->stored_count + 1) > v->stored_size) {
		size_t size = v->stored_size ? 2 * v->stored_size : 256;
		struct digest *set = xcalloc(size, sizeof(*set));
		static const struct digest none = { 0 };
		for (size_t i = 0; i < v->stored_size; i++)
			if (!digest_equal(&v->stored[i], &none))
				*stored_slot(set, size, &v->stored[i]) = v->stored[i];
		free(v->stored);
		v->stored = set;
		v->stored_size = size;
	}
	struct digest *slot = stored_slot(v->stored, v->stored_size, d);
	if (digest_equal(slot, d))
		return true;
	if (store_has(v->store, d, NULL, NULL) < 0)
		return false;
	*slot = *d;
	v->stored_count++;
	return true;
}

int view_blob(struct view *v, const struct view_file *f, struct ref *out, struct error *err)
{
	struct memory *memory = view_memory(v);
	*out = (struct ref){ .kind = REF_BLOB, .size_bytes = (uint64_t)f->st.st_size };
	bool known = memory_digest_get(memory, &f->st, &out->digest);
	if (!known && index_stat_get(v->index, &f->st, &out->digest) == 0) {
		memory_digest_put(memory, &f->st, &out->digest);
		known = true;
	}
	if (known && is_stored(v, &out->digest))
		return 0;
	return store_file(v, f, out, err);
}

int view_input_file(struct view *v, const struct view_file *f, struct manifest *into,
                    struct error *err)
{
	if (f->kind == VIEW_LAZY) {
		manifest_add_file(into, f->real_path + 1, f->st.st_mode, &f->ref);
		return 0;
	}
	struct ref ref;
	int r = view_blob(v, f, &ref, err);
	if (r < 0)
		return r;
	manifest_add_file(into, f->real_path + 1, f->st.st_mode, &ref);
	return 0;
}

int view_input(struct view *v, const char *path, struct manifest *into, struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(v, path, &f, into, err);
	if (r < 0)
		return r;
	if (f.kind == VIEW_ABSENT)
		r = error_set(err, -ENOENT, "%s is not there", path);
	else if (f.kind == VIEW_DIR)
		r = error_set(err, -EISDIR, "%s is a directory", path);
	else if (f.kind == VIEW_OTHER)
		r = error_set(err, -EINVAL, "%s is no ordinary file", path);
	else
		r = view_input_file(v, &f, into, err);
	view_file_release(&f);
	return r;
}
