/*
 * Isolate: how a runner shuts itself in. It enters, once, namespaces of its own (user, mount,
 * pid, network, ipc, uts) whose root holds only the store, read-only, and a directory for the
 * world of one job after another. Entering costs a millisecond or so; jobs then cost nothing for
 * it.
 *
 * Threads: for the runner, which has one. Errors: negative errno and the sentence.
 */
#ifndef GGFS_ENGINE_LOCAL_ISOLATE_H
#define GGFS_ENGINE_LOCAL_ISOLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Inside a runner's private root. */
#define ISOLATE_STORE "/store"
#define ISOLATE_JOB "/job"
#define ISOLATE_WORLD "/job/root"

/* Enters the namespaces and makes the private root. store_path: absolute. The next child is
 * process 1 of the new pid namespace. */
int isolate_enter(const char *store_path, struct error *err);

/* A new, empty file system for a world, the old one (if any) dropped with all that is mounted
 * in it. Has tmp/ and dev/. size_bytes bounds all that a function writes. With toolchain (a path
 * below ISOLATE_STORE; "" for none), files are to be laid out in ISOLATE_JOB "/upper", and
 * isolate_lower() then shows them over the toolchain; else in ISOLATE_WORLD itself. */
int isolate_fresh_job(const char *toolchain, uint64_t size_bytes, struct error *err);
/* Drops it with all that is mounted in it; none there is fine. */
int isolate_drop_job(struct error *err);
/* -EOPNOTSUPP: no overlay of this kind here. */
int isolate_lower(const char *toolchain, struct error *err);
/* Mounts /dev over the world's. */
int isolate_dev(struct error *err);

/* For the launcher: gives up for itself and all it will start every way to gain privilege, and
 * every system call that a function has no business with (network, namespaces, mounts, tracing,
 * ...). Keeps CAP_SYS_CHROOT in hand when keep_chroot. */
int isolate_restrict(bool keep_chroot, struct error *err);
/* For the function: no capability left. Async-signal-safe. 0 or -errno. */
int isolate_drop_all(void);

#endif
