/*
 * Stage: a world's root directory that is kept from thunk to thunk. What the next thunk wants as
 * well stays where it is, if it is still what was put there: a file's inode and the time of its
 * last change, which nobody but root can forge, tell. All else is removed. So a toolchain is
 * unpacked once, and header sets cost a look at each file.
 *
 * Every file is read back and its digest compared after it was laid out.
 *
 * Private to engine/worker/. Threads: one owner at a time.
 */
#ifndef GGFS_ENGINE_WORKER_STAGE_H
#define GGFS_ENGINE_WORKER_STAGE_H

#include "engine/local/job.h"
#include "objstore/digest.h"

struct stage;

/* Makes the directory path/job/root beneath dir; path_real: dir's real path. */
int stage_new(int dir, const char *dir_path, const char *name, struct stage **out,
              struct error *err);
void stage_free(struct stage *s); /* removes all of it; NULL is fine */

const char *stage_job(const struct stage *s); /* absolute: holds root/ */
int stage_root(const struct stage *s);        /* borrowed */
uint64_t stage_bytes(const struct stage *s);  /* of the files in it, on the disk */

/* Removes all that is not among the entries (sorted by path, as a plan has them), or not as it was
 * laid out. kept has room for count: which of them are there already. On failure the stage holds
 * anything and is to be freed. */
int stage_clear(struct stage *s, const struct job_entry *entries, size_t count, bool *kept,
                struct error *err);

/* Lays out what is not kept. store: what sources are relative to. *failed is the entry's index, or
 * SIZE_MAX. -EBADMSG: the source has another size or digest; -EINVAL: an entry that would lead out
 * of the world. */
int stage_fill(struct stage *s, int store, const struct job_entry *entries, size_t count,
               const bool *kept, size_t *failed, struct error *err);

/* The blob that a COPY entry's source is. */
bool stage_source_digest(const struct job_entry *entry, struct digest *out);

#endif
