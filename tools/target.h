/*
 * Targets: what a verb is pointed at. A file (lazy or not, in a mount or a placeholder
 * outside one), a directory with all below it, or the digest of a thunk.
 *
 * Nothing is opened that would force: below a mount of ours the extended attributes of the
 * file are asked; elsewhere the placeholder itself is read.
 *
 * Threads: none; one list, one owner. Errors: -ENOENT no such file; -EINVAL neither file nor
 * digest.
 */
#ifndef GGFS_TOOLS_TARGET_H
#define GGFS_TOOLS_TARGET_H

#include <sys/stat.h>

#include "objstore/ref.h"

enum { TARGET_DEPTH_MAX = 1000 };

struct target {
	char *path;     /* as given, or below what was given; NULL for a thunk's digest */
	struct stat st; /* of the path */
	bool lazy;      /* ref is what it stands for */
	bool in_mount;
	char *trouble; /* it looks like a placeholder but is damaged: how; else NULL */
	struct ref ref;
};

struct target_list {
	struct target *items;
	size_t count, capacity;
	size_t ordinary; /* files met that are not lazy */
};

#define TARGET_LIST_INIT ((struct target_list){ 0 })

void target_release(struct target *t);
void target_list_release(struct target_list *list);

static inline void scoped_targets_(struct target_list *list)
{
	target_list_release(list);
}
#define scoped_targets scoped(scoped_targets_)

/* What stands at path, not following a symbolic link at its end: *out. */
int target_look(const char *path, struct target *out, struct error *err);

/* Whether text is a thunk's digest and no file has that name. */
bool target_is_digest(const char *text, struct digest *out);

/* A file of a mount that lies in a thunk's directory output comes with output and selection in one,
 * in ref.output: targets_expand() (thunk_source.h) parts them.
 *
 * Appends the targets that text names: itself; or all lazy files at or below a directory, in order
 * of their paths, which does not leave the directory's filesystem nor follow links. A digest gives
 * a thunk ref whose output is NULL: the caller fills it in. */
int target_collect(const char *text, struct target_list *list, struct error *err);

/* What the lazy ones of them stand for: *count refs, borrowed from the list; the array is yours. */
struct ref *target_refs(const struct target_list *list, size_t *count);

#endif
