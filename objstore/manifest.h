/*
 * Manifest: a sorted list of files by path, itself a blob. Two uses:
 *
 *  - an *input set* of a thunk: paths relative to the root of the world that the function sees;
 *  - a *tree*: a directory's content, recursively; paths relative to that directory.
 *
 * Text (docs/format-manifest.md): the line "ggfs-manifest 1", then one entry a line, sorted by
 * path bytewise, no path twice:
 *
 *     file MODE REF PATH      MODE: four octal digits, 0644 or 0755
 *     link TARGET PATH        a symbolic link; TARGET is any non-empty string
 *     dir PATH                an empty directory that must exist (parents need no entry)
 *
 * REF as in objstore/ref.h (REF_TREE makes a whole directory). PATH passes path_is_normal().
 * No path may lie beneath a "file" or "link" entry. The same facts give the same bytes.
 *
 * Threads: a value; one owner at a time. Errors: -EINVAL malformed, -EFBIG over a limit.
 */
#ifndef GGFS_OBJSTORE_MANIFEST_H
#define GGFS_OBJSTORE_MANIFEST_H

#include <sys/types.h>

#include "objstore/ref.h"

enum {
	MANIFEST_ENTRIES_MAX = 1000000,
	MANIFEST_BYTES_MAX = 256 << 20,
};

enum entry_kind { ENTRY_FILE, ENTRY_LINK, ENTRY_DIR };

struct manifest_entry {
	enum entry_kind kind;
	mode_t mode; /* ENTRY_FILE: 0644 or 0755 */
	struct ref ref; /* ENTRY_FILE */
	char *target; /* ENTRY_LINK */
	char *path;
};

struct manifest {
	struct manifest_entry *entries;
	size_t count;
	size_t capacity;
};

#define MANIFEST_INIT ((struct manifest){ 0 })

void manifest_entry_release(struct manifest_entry *entry);
/* One entry as a line without its newline: thunks carry single inputs so. */
void manifest_entry_encode(const struct manifest_entry *entry, struct buf *b);
int manifest_entry_decode(const char *line, size_t len, struct manifest_entry *out,
			  struct error *err);

void manifest_release(struct manifest *m);

static inline void scoped_manifest_(struct manifest *m)
{
	manifest_release(m);
}
#define scoped_manifest scoped(scoped_manifest_)

/* Append, in any order; the strings and *ref are copied. mode is reduced to 0644 or 0755. */
void manifest_add_file(struct manifest *m, const char *path, mode_t mode, const struct ref *ref);
void manifest_add_link(struct manifest *m, const char *path, const char *target);
void manifest_add_dir(struct manifest *m, const char *path);
void manifest_add_entry(struct manifest *m, const struct manifest_entry *entry);

/* Sorts, drops entries that are there twice with the same facts, and checks every rule above:
 * -EINVAL names the path that breaks one. Needed before encode and find. */
int manifest_finish(struct manifest *m, struct error *err);

/* The entry at path, or NULL. Borrowed until m changes. m must be finished. */
const struct manifest_entry *manifest_find(const struct manifest *m, const char *path);

void manifest_encode(const struct manifest *m, struct buf *b); /* m must be finished */
/* Strict: anything but the canonical text is -EINVAL with the line's number. m must be empty. */
int manifest_decode(const char *text, size_t len, struct manifest *m, struct error *err);

#endif
