/*
 * World: lays out files below a directory. Never follows a symbolic link, also not one
 * that it has made itself, and never leaves the directory: a hostile manifest can only spoil its
 * own world.
 *
 * Threads: one world by one thread. Errors: negative errno; *failed then is the entry's index.
 */
#ifndef GGFS_ENGINE_LOCAL_WORLD_H
#define GGFS_ENGINE_LOCAL_WORLD_H

#include "engine/local/job.h"

enum world_mode {
	WORLD_COPY_ALL,    /* no mounts: bound entries are copied */
	WORLD_LEAVE_BINDS, /* bound entries become empty files, for world_bind() */
};

/* Makes all entries below root; existing directories are fine, existing files are not (-EEXIST).
 * store: the descriptor sources are relative to. -EBADMSG: a source's size is not the entry's. */
int world_lay_out(int root, int store, const struct job_entry *entries, size_t count,
                  enum world_mode mode, size_t *failed);

/* Mounts each bound entry's source, with the attributes of the mount it lies in (read-only), on
 * the empty file left for it. */
int world_bind(int root, int store, const struct job_entry *entries, size_t count, size_t *failed);

/* Removes all that lies in root but the directory named keep (NULL: nothing is kept). */
int world_empty(int root, const char *keep);

#endif
