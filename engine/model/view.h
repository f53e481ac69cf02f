/*
 * View: the files as a build step sees them, without opening anything through a mount of
 * ours: paths below a mounted directory are read in its backing directory, whose descriptor the
 * mount process lent; all others where they are.
 *
 * A mount of this store that has not told of itself (the service, or it, has only just begun) is
 * waited for, MOUNT_AWAIT_MS at most; then whatever leads there is -ESTALE.
 *
 * Paths given are absolute, not necessarily normal; symbolic links are resolved as the kernel
 * would, and each one passed is reported, so that the function's world can have the same; so is
 * each directory left again by "..", which must exist there too.
 *
 * Threads: a struct view belongs to one request on one thread; it may cache directories for
 * as long as it lives. The mount table behind it is shared and locked.
 */
#ifndef GGFS_ENGINE_MODEL_VIEW_H
#define GGFS_ENGINE_MODEL_VIEW_H

#include <sys/stat.h>

#include "objstore/index.h"
#include "objstore/manifest.h"
#include "objstore/store.h"

struct mount_table; /* mountpoints and their backing descriptors */

struct mount_table *mount_table_new(void);
void mount_table_free(struct mount_table *t);
/* backing_fd is the table's from now on. A second add of one mountpoint replaces the first. */
void mount_table_add(struct mount_table *t, const char *mountpoint, int backing_fd);
void mount_table_remove(struct mount_table *t, const char *mountpoint);
/* Whether path lies at or beneath a mounted directory. */
bool mount_table_covers(struct mount_table *t, const char *path);

/* Ends all waiting for mounts, for good: the service ends. */
void mount_table_hurry(struct mount_table *t);

struct view;

struct view *view_new(struct mount_table *mounts, struct store *store, struct index *index);
void view_free(struct view *v);

enum view_kind { VIEW_ABSENT, VIEW_FILE, VIEW_LAZY, VIEW_DIR, VIEW_OTHER };

struct view_file {
	enum view_kind kind;
	struct stat st;  /* not for ABSENT; of the placeholder for LAZY */
	struct ref ref;  /* VIEW_LAZY: what it stands for; owned */
	char *real_path; /* absolute, no symbolic link left in it; the mountpoint's view of it */
};
void view_file_release(struct view_file *f);

/* Never -ENOENT: absence is VIEW_ABSENT. -ENODATA: it lies in a lazy directory that is not made
 * yet, so nobody can tell. If links is given, every symbolic link passed on the way is appended to
 * it as a manifest link entry (root-relative path), and each directory left by ".." as a dir entry.
 */
int view_look(struct view *v, const char *path, struct view_file *out, struct manifest *links,
              struct error *err);
/* A descriptor for reading an ordinary file (VIEW_FILE), or -errno; -ENODATA for a lazy one. */
int view_open(struct view *v, const char *path, struct error *err);
/* Makes path an input: its link entries and its file entry (a blob put into the store, digest
 * by the stat cache; or the placeholder's ref when lazy) are appended. -ENOENT when absent,
 * -EISDIR for a directory. */
int view_input(struct view *v, const char *path, struct manifest *into, struct error *err);
/* -ESTALE when anything asked so far led into a mount that is not known: nothing that was concluded
 * from it holds then. Else 0. */
int view_check(const struct view *v, struct error *err);

#endif
