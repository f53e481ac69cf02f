/*
 * The mount: DIR mounted over itself. DIR's own contents, reached through a descriptor opened
 * before, are the backing directory; its placeholders are shown as the files they stand for and
 * forced by being opened (docs/lazy-files.md has the contract, operation by operation).
 *
 * This is the only folder that includes libfuse. Of engine/ it sees the service's link and
 * placeholders.
 */
#ifndef GGFS_FS_MOUNT_H
#define GGFS_FS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum mount_force { MOUNT_FORCE_ON, MOUNT_FORCE_LOCAL, MOUNT_FORCE_OFF };

struct mount_options {
	const char *directory;  /* to be mounted; absolute and real */
	const char *store;      /* NULL: the default store */
	const char *service;    /* the ggfs binary that starts the service; NULL as in client.h */
	enum mount_force force; /* what an open of an unforced file may do */
	unsigned hold;          /* a program that never forced before is held at so many; 0: not */
	bool stat_forces;       /* -o stat=force: GETATTR forces too */
	bool no_passthrough;    /* for tests and doctor */
	bool allow_other;
	const char *engine; /* which engines make its files; NULL: as the store's settings say */
	uint64_t budget_nanodollars; /* what that may cost; 0: no limit */
	int64_t deadline_ms; /* a reader waits at most so long, then ETIMEDOUT; 0: for ever */
	int ready_fd;        /* one byte once the mount answers; -1: none */
};

/*
 * Mounts and serves until unmounted; 0 then. A directory left stale by a crash (ENOTCONN) is healed
 * first. -ENOENT, -ENOTDIR: no such directory; -EBUSY: already mounted by ggfs; -ENODEV, -EACCES:
 * /dev/fuse is missing or closed to us (the text says what to do). Does not daemonise.
 */
int mount_run(const struct mount_options *options, struct error *err);

/* Unmounts: fusermount3 for an ordinary user. -EINVAL: not a mount of ours; -EBUSY: in use (lazy
 * detaches it anyway). Never opens anything below the mountpoint. */
int mount_unmount(const char *directory, bool lazy, struct error *err);

/* Adds to the lists of who may force that a store has (docs/lazy-files.md); a mount heeds them from
 * its next open on. -EINVAL: no program's name, no cgroup. policy is "on", "local" or "off". */
int mount_allow(const char *store, const char *program, struct error *err);
int mount_set_cgroup(const char *store, const char *cgroup, const char *policy, struct error *err);

/* The mounts of ggfs on this machine, from /proc/self/mountinfo: never touches them. */
struct mount_info {
	char *directory;
	char *store; /* from the mount's source name, "ggfs:STORE" */
	int pid;     /* of the mount process; 0 when it is not known */
	bool stale;  /* its process is gone */
};
int mount_list(struct mount_info **out, size_t *count, struct error *err);
void mount_list_free(struct mount_info *list, size_t count);

/* What the libfuse and the kernel here can do, for `ggfs doctor`. */
struct mount_facts {
	const char *library_version;
	bool library_passthrough;         /* built against a libfuse that has it */
	bool device_present, device_open; /* /dev/fuse there; open to us */
	bool fusermount;                  /* fusermount3 on PATH (ordinary users need it) */
};
void mount_facts_get(struct mount_facts *out);

#endif
