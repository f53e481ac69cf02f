/*
 * Whether a path lies in a mount of ours, told from the table of mounts alone: the mount itself
 * is not touched, so this answers also while one hangs.
 */
#ifndef GGFS_TOOLS_MOUNTED_H
#define GGFS_TOOLS_MOUNTED_H

#include "fs/mount.h"

/* path is absolute and real. *out (may be NULL) is the innermost mount over it; release it. */
bool mounted_at(const char *path, struct mount_info *out);
void mounted_release(struct mount_info *m);

/* The absolute and real path of what path names; yours to free, NULL with errno. A mount that hangs
 * or is stale must not be looked up, so of a mountpoint only what stands above its last component
 * is resolved. */
char *mounted_path(const char *path);

/* Mounts directory (absolute and real) in the background. 0 once it answers; else the mount's
 * own refusal, or -EIO with the name of the log when its process died without a word. */
struct mount_daemon {
	struct mount_options options;
	char *log;
	int pid;
};
int mount_in_background(struct mount_daemon *m, struct error *err);
void mount_daemon_release(struct mount_daemon *m);

#endif
