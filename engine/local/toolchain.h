/*
 * Toolchain: a thunk's toolchain manifest, decoded once, and unpacked once into a directory of
 * the store, toolchains/DIGEST/, which then lies under the world of each job that has it. Also
 * executable copies of blobs, exec/ab/..., for objects themselves are never executable.
 *
 * Both are caches: they can be deleted while no engine runs.
 *
 * Threads: any; the table locks itself, unpacking is done by one thread while others that need
 * the same wait. Errors: -ENOENT a blob is absent (*absent says which), -EBADMSG broken, -ENOSPC.
 */
#ifndef GGFS_ENGINE_LOCAL_TOOLCHAIN_H
#define GGFS_ENGINE_LOCAL_TOOLCHAIN_H

#include "engine/local/job.h"
#include "engine/thunk.h"
#include "objstore/store.h"

enum { TOOLCHAINS_KEPT = 16 }; /* decoded, unused */

struct toolchains;

struct toolchain {
	struct manifest manifest;
	char directory[JOB_SOURCE_MAX]; /* unpacked, inside the store; "" when not asked for */
};

struct toolchains *toolchains_new(struct store *store);
void toolchains_free(struct toolchains *t); /* all were put back */

/* Borrowed until toolchains_put(). */
int toolchains_get(struct toolchains *t, const struct sized_digest *which, bool unpacked,
                   const struct toolchain **out, struct digest *absent, struct error *err);
void toolchains_put(struct toolchains *t, const struct toolchain *toolchain);

/* Decodes the manifest blob d, its trees expanded, into *out. */
int manifest_load_flat(struct store *s, const struct digest *d, struct manifest *out,
                       struct digest *absent, struct error *err);
/* Appends entry, or all files of the tree it names. */
int manifest_add_flat(struct store *s, struct manifest *to, const struct manifest_entry *entry,
                      struct digest *absent, struct error *err);

/* Makes sure there is an executable copy of a blob; source is its path inside the store. */
int executable_copy(struct store *s, const struct ref *blob, char source[JOB_SOURCE_MAX],
                    struct digest *absent, struct error *err);

#endif
