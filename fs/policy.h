/* Who may force: a reader's policy, and its name for the record (docs/lazy-files.md). */
#ifndef GGFS_FS_POLICY_H
#define GGFS_FS_POLICY_H

#include "fs/fs.h"

enum { POLICY_ASKER_SIZE = 48 };

/* GGFS_FORCE of the calling process, where it is the mount's own user's or we are root; else off
 * for a program on the store's list of those that only look; else the mount's -o force=. Reads
 * /proc and the list: for opens of what is not ready only. */
enum mount_force policy_of(struct fs *fs, const struct fuse_ctx *ctx);

/* Writes the list, STORE/noforce, with the usual programs, where there is none. */
void policy_list_make(int store_fd);

/* Pure: whether the list (len bytes, and a NUL behind them) has a line for this program. */
bool policy_only_looks(const char *list, size_t len, const char *name);

/* "program[pid]" of the caller. */
void policy_asker(pid_t pid, char out[POLICY_ASKER_SIZE]);

/* Pure: the policy in an environment block of NUL-terminated strings; fallback when it has none
 * or an unknown one. */
enum mount_force policy_in_environment(const char *block, size_t len, enum mount_force fallback);

#endif
