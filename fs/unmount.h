/* Taking mounts away, and finding out whether one is dead. Private to fs/. */
#ifndef GGFS_FS_UNMOUNT_H
#define GGFS_FS_UNMOUNT_H

#include "fs/mount.h"

/* Looks into directory from a child process, for a dead or wedged mount may keep a looker for ever.
 * 0, or -errno: -ENOTCONN is a mount whose process has gone, -ETIMEDOUT one that does not answer.
 */
int unmount_probe(const char *directory);

/* Detaches or unmounts what is mounted on directory, no questions asked. */
int unmount_directory(const char *directory, bool lazy, struct error *err);

#endif
