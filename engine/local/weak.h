/*
 * Weak: what is left of a sandbox where user namespaces are forbidden (docs/sandbox.md). A
 * function runs in a directory of copies, sees the machine's real root, and may read of it,
 * where the kernel has landlock, only what it declared.
 *
 * Threads: for the runner's processes, which have one.
 */
#ifndef GGFS_ENGINE_LOCAL_WEAK_H
#define GGFS_ENGINE_LOCAL_WEAK_H

#include "engine/local/job.h"

/* A landlock ruleset: world is free; the files named by the job's entries can be read and
 * executed at their real places. -1 where there is no landlock. */
int weak_ruleset(const char *world, const struct job *job);
/* Async-signal-safe; ruleset -1: nothing to do. Needs no_new_privs. 0 or -errno. */
int weak_restrict(int ruleset);

/* The world's directory for temporary files, since /tmp is the machine's: relative to the world. */
#define WEAK_TEMPORARY "tmp"
/* The job's environment with TMPDIR naming that directory, whatever it was. A NULL-terminated
 * array, the caller's to free; *variable is what it points into, likewise. The rest is borrowed
 * from the job. */
const char **weak_environment(const char *world, const struct job *job, char **variable);

/* Kills the direct children. Orphans become children of a subreaper, so that repeating it until
 * there is none left ends all descendants. */
void weak_kill_children(void);

#endif
