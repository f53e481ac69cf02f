/*
 * The mounts of ggfs as /proc/self/mountinfo lists them; nothing here touches a mount. Private to
 * fs/.
 *
 * Which process serves a mount the kernel does not tell: each keeps a file
 * STORE/service/mounts/MAJOR:MINOR, with its pid, locked while it lives.
 */
#ifndef GGFS_FS_MOUNTINFO_H
#define GGFS_FS_MOUNTINFO_H

#include "common/mountinfo.h"
#include "fs/mount.h"

/* The topmost mount at directory. -ENOENT: there is none. */
int mountinfo_find(const char *directory, struct mountinfo_entry *out, struct error *err);

/* Records this process as the one that serves the mount at directory; the descriptor returned holds
 * the lock. *name (yours) is what to unlink, relative to store_fd, at the end. */
int mountinfo_record(int store_fd, const char *directory, char **name, struct error *err);

/* Is the process that serves it about to end, killed or ended and not yet gone in all its parts?
 * Its mount may answer as if it lived, and be dead the next moment. */
bool mountinfo_is_ending(const struct mountinfo_entry *e);

/* Whose record it is: its pid; 0 unknown. *stale when the record says that it has gone. */
int mountinfo_server(const struct mountinfo_entry *e, bool *stale);

#endif
