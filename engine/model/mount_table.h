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

/* Whether path is the directory of this name and length, or lies beneath it. */
bool path_has(const char *above, size_t len, const char *path);
bool mount_has(const struct mount *m, const char *path);
void mount_unref(struct mount *m);

/* mountinfo: the file to read, for tests; else /proc/self/mountinfo. */
struct mount_table *mount_table_of(const char *mountinfo);

/*
 * The mountpoints of ggfs that the kernel has, whether or not their mounts have told us. Those of
 * our store that have not, since they or the service have only just begun, are waited for: what
 * lies beneath them is nowhere else to be seen, and whoever opened it there might wait for itself.
 */
struct mountpoint {
	char *path; /* without a slash at its end */
	size_t len;
	char *store;
};
int mount_table_mountpoints(struct mount_table *t, struct mountpoint **out, size_t *count,
                            struct error *err);
void mountpoints_free(struct mountpoint *list, size_t count);
/* Else it is another service's, which waits for nothing of ours. */
bool mountpoint_is_of(const struct mountpoint *m, struct store *store);
/* The mount at this mountpoint, for the caller to drop; -ESTALE when it has not come within
 * MOUNT_AWAIT_MS since it was first missed. */
enum { MOUNT_AWAIT_MS = 3000, MOUNT_AWAITED_MAX = 256 };
int mount_table_await(struct mount_table *t, const char *mountpoint, struct mount **out,
                      struct error *err);

/* All mounts now; the caller drops each reference and frees the list. */
void mount_table_snapshot(struct mount_table *t, struct mount ***out, size_t *count);

#endif
