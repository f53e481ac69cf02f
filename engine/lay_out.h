/*
 * Laying out a tree: a directory's manifest becomes directories, links and files below an empty
 * directory. What stands for a file's bytes is the caller's affair: the bytes, or a placeholder.
 *
 * Threads: any. Errors: those of the filesystem and of the caller's function; what was laid out by
 * then stays, for the caller to remove.
 */
#ifndef GGFS_ENGINE_LAY_OUT_H
#define GGFS_ENGINE_LAY_OUT_H

#include <time.h>

#include "objstore/manifest.h"

/* Makes e->path below dirfd, whose parents are there. A manifest's path never leads through a
 * symbolic link. */
typedef int lay_out_fn(void *arg, int dirfd, const struct manifest_entry *e, struct error *err);

/* file makes every entry of kind ENTRY_FILE. mtime (may be NULL) becomes the time of everything
 * that is made here, and of dirfd itself, so that what a build has made earlier stays newer. Owners
 * and modes of directories are the calling thread's own: 0777 under its umask. */
int lay_out(const struct manifest *m, int dirfd, const struct timespec *mtime, lay_out_fn *file,
            void *arg, struct error *err);

/* Creates path below dirfd as the placeholder for ref. -ENAMETOOLONG when the ref does not fit. */
int lay_out_placeholder(int dirfd, const char *path, mode_t mode, const struct ref *ref,
                        struct error *err);

#endif
