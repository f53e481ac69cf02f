#include "tools/target.h"

#include <fcntl.h>
#include <fts.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "engine/placeholder.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

enum { XATTR_TEXT_MAX = 8192 };

void target_release(struct target *t)
{
	free(t->path);
	free(t->trouble);
	ref_release(&t->ref);
	*t = (struct target){ 0 };
}

void target_list_release(struct target_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		target_release(&list->items[i]);
	free(list->items);
	*list = TARGET_LIST_INIT;
}

static char *xattr_text(const char *path, const char *name)
{
	char text[XATTR_TEXT_MAX];
	ssize_t n = lgetxattr(path, name, text, sizeof(text));
	return n < 0 ? NULL : xstrndup(text, (size_t)n);
}

static bool on_fuse(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
}

/* In a mount: asks the mount what the file, or a directory that is one output, stands for. */
static void ask_mount(const char *path, struct target *t)
{
	scoped_free char *thunk = xattr_text(path, "user.ggfs.thunk");
	scoped_free char *output = xattr_text(path, "user.ggfs.output");
	scoped_free char *digest = thunk ? NULL : xattr_text(path, "user.ggfs.digest");
	scoped_free char *size = digest ? xattr_text(path, "user.ggfs.size") : NULL;
	scoped_free char *trouble = xattr_text(path, "user.ggfs.error");
	if (thunk && output && digest_parse(thunk, strlen(thunk), &t->ref.digest)) {
		t->lazy = true;
		t->ref.kind = REF_THUNK;
		t->ref.output = steal(&output);
	} else if (digest && digest_parse(digest, strlen(digest), &t->ref.digest)) {
		t->lazy = true;
		t->ref.kind = S_ISDIR(t->st.st_mode) ? REF_TREE : REF_BLOB;
		t->ref.size_bytes = size ? strtoull(size, NULL, 10) : (uint64_t)t->st.st_size;
	} else {
		t->trouble = steal(&trouble);
	}
}

static int ask_placeholder(const char *path, struct target *t, struct error *err)
{
	if (t->st.st_size != PLACEHOLDER_SIZE)
		return 0;
	scoped_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	struct error why = ERROR_INIT;
	int r = placeholder_read_fd(fd, &t->st, &t->ref, &why);
	if (r == -EBADMSG) {
		t->trouble = xstrdup(error_text(&why));
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return error_set(err, r, "%s: %s", path, error_text(&why));
	t->lazy = r == 0;
	return 0;
}

static int look(const char *path, const struct stat *st, bool in_mount, struct target *out,
                struct error *err)
{
	struct target t = { .st = *st, .in_mount = in_mount };
	int r = 0;
	if (in_mount && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
		ask_mount(path, &t);
	else if (S_ISREG(st->st_mode))
		r = ask_placeholder(path, &t, err);
	if (r < 0)
		return r;
	t.path = xstrdup(path);
	*out = t;
	return 0;
}

int target_look(const char *path, struct target *out, struct error *err)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return error_errno(err, "%s", path);
	return look(path, &st, on_fuse(path), out, err);
}

bool target_is_digest(const char *text, struct digest *out)
{
	struct stat st;
	return digest_parse(text, strlen(text), out) && lstat(text, &st) < 0;
}

static void append(struct target_list *list, struct target *t)
{
	array_grow(list->items, list->count, list->capacity);
	list->items[list->count++] = *t;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int visit(FTS *walk, FTSENT *entry, bool in_mount, struct target_list *list,
                 struct error *err)
{
	if (entry->fts_level > TARGET_DEPTH_MAX)
		return error_set(err, -ELOOP, "%s lies more than %d directories deep",
		                 entry->fts_path, TARGET_DEPTH_MAX);
	if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
		errno = entry->fts_errno;
		return error_errno(err, "%s", entry->fts_path);
	}
	if (entry->fts_info != FTS_F && !(in_mount && entry->fts_info == FTS_D))
		return 0;
	struct target t;
	int r = look(entry->fts_path, entry->fts_statp, in_mount, &t, err);
	if (r < 0)
		return r;
	if (t.lazy || t.trouble) {
		/* Listing a directory that is yet to be made would make it. */
		if (entry->fts_info == FTS_D)
			fts_set(walk, entry, FTS_SKIP);
		append(list, &t);
		return 0;
	}
	list->ordinary += entry->fts_info == FTS_F;
	target_release(&t);
	return 0;
}

static int collect_below(const char *path, struct target_list *list, struct error *err)
{
	scoped_free char *root = xstrdup(path);
	char *const roots[] = { root, NULL };
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, by_name);
	if (!walk)
		return error_errno(err, "cannot walk %s", path);
	bool in_mount = on_fuse(path);
	FTSENT *entry;
	int r = 0;
	while (r == 0 && (entry = fts_read(walk)))
		r = visit(walk, entry, in_mount, list, err);
	fts_close(walk);
	return r;
}

int target_collect(const char *text, struct target_list *list, struct error *err)
{
	struct target t = { .lazy = true, .ref = { .kind = REF_THUNK } };
	if (target_is_digest(text, &t.ref.digest)) {
		append(list, &t);
		return 0;
	}
	struct stat st;
	if (stat(text, &st) < 0 && errno == ENOENT && strlen(text) == DIGEST_HEX_SIZE)
		return error_set(err, -EINVAL, "%s is neither a file nor a digest", text);
	if (stat(text, &st) < 0)
		return error_errno(err, "%s", text);
	if (S_ISDIR(st.st_mode))
		return collect_below(text, list, err);
	/* A link that was named is followed: the file it leads to is meant, and replaced if need
	 * be. */
	struct stat own;
	bool is_link = lstat(text, &own) == 0 && S_ISLNK(own.st_mode);
	scoped_free char *resolved = is_link ? realpath(text, NULL) : NULL;
	int r = target_look(resolved ? resolved : text, &t, err);
	if (r < 0)
		return r;
	append(list, &t);
	if (!t.lazy && !t.trouble)
		list->ordinary++;
	return 0;
}

struct ref *target_refs(const struct target_list *list, size_t *count)
{
	struct ref *refs = xcalloc(list->count + 1, sizeof(*refs));
	*count = 0;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].lazy)
			refs[(*count)++] = list->items[i].ref;
	return refs;
}
