/*
 * Who may force: a reader's policy, and its name for the record (docs/lazy-files.md). The lists are
 * texts in the store, to be edited; they are read anew for every open of what is not ready.
 */
#ifndef GGFS_FS_POLICY_H
#define GGFS_FS_POLICY_H

#include "fs/fs.h"

enum { POLICY_ASKER_SIZE = 48, POLICY_WHY_SIZE = 512 };

struct policy {
	enum mount_force force;
	char program[HOLD_NAME_SIZE]; /* as in /proc/PID/comm; "" when that cannot be read */
	bool counted;                 /* by -o hold=: hold_answered() is to be told */
	char why[POLICY_WHY_SIZE];    /* off: what says so, and what to do */
};

/*
 * The first that says something: GGFS_FORCE in the environment of the calling process, where it is
 * the mount's own user's or we are root; its cgroup, on the list STORE/cgroups; off for a program
 * on the list STORE/noforce of those that only look; the mount's -o force=. Where that allows it,
 * and GGFS_FORCE did not say so, -o hold= has the last word. For those who are about to force.
 */
void policy_of(struct fs *fs, const struct fuse_ctx *ctx, struct policy *out);

/* "program[pid]" of the caller. */
void policy_asker(pid_t pid, char out[POLICY_ASKER_SIZE]);

/* --- pure; each text is len bytes, with a NUL behind them ---------------------------------------
 */

/* "on", "local", "off". */
bool policy_named(const char *name, size_t len, enum mount_force *out);

/* Whether a list of programs has a line for this one. */
bool policy_lists_program(const char *list, size_t len, const char *name);

/* The line "POLICY PATH" of the cgroup itself or of the nearest above it that has one. */
bool policy_of_cgroup(const char *list, size_t len, const char *cgroup, enum mount_force *out);

/* The path in what /proc/PID/cgroup holds, allocated; NULL: there is none. */
char *policy_cgroup_path(const char *text, size_t len);

/* The policy in an environment block of NUL-terminated strings; false when it has none or an
 * unknown one. */
bool policy_in_environment(const char *block, size_t len, enum mount_force *out);

#endif
