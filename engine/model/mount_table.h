/*
 * The mount table as views see it. Private to engine/model/.
 * Threads: a struct mount is shared by reference count and never changes.
 */
#ifndef GGFS_ENGINE_MODEL_MOUNT_TABLE_H
#define GGFS_ENGINE_MODEL_MOUNT_TABLE_H

#include <stdatomic.h>

#include "engine/model/view.h"

struct mount {
	char *path; /* without a slash at its end */
	size_t len;
	int fd; /* of the backing directory */
	atomic_int references;
};

bool mount_has(const struct mount *m, const char *path);
void mount_unref(struct mount *m);

/* All mounts now; the caller drops each reference and frees the list. */
void mount_table_snapshot(struct mount_table *t, struct mount ***out, size_t *count);

#endif
