/*
 * Keeper: the process that starts a function and sees to it that nothing of it stays. It is a
 * subreaper: whatever the function starts becomes its child in the end, is killed when the function
 * is over, and is waited for.
 *
 * Private to engine/worker/. Threads: any; blocking.
 */
#ifndef GGFS_ENGINE_WORKER_KEEPER_H
#define GGFS_ENGINE_WORKER_KEEPER_H

#include "common/buf.h"
#include "common/error.h"

enum {
	KEEPER_STDERR_MAX = 1 << 20, /* of what a function writes there, the end is kept */
	KEEPER_GRACE_MS = 10000,     /* from asking it to end a function to ending it by force */
	FUNCTION_FILES_MAX_OPEN = 1024,
	FUNCTION_MEMORY_TIMES = 4, /* a thunk's memory is a hint: this many times it is a bound */
};

struct keeper_job {
	const char *execute, *cwd; /* absolute */
	char *const *argv, *const *env;
	const char *job;     /* absolute; of it root/ is the function's, all else read-only */
	uint32_t memory_mib; /* 0: no bound */
	int64_t until_ms;    /* on now_ms()'s clock: killed then */
	int asker;           /* a socket: killed when its other end is closed; 0: none */
};

struct keeper_result {
	int error;       /* of execve: positive errno; 0: it ran */
	int wait_status; /* when it ran */
	bool killed;     /* at until_ms, or since ... */
	bool left;       /* ... the asker's end was closed */
	uint64_t micros;
	uint64_t max_rss_kib;
	struct buf stderr_tail;
};

/* -EPIPE: the keeper itself was killed; anything may have happened. out must be zeroed;
 * stderr_tail is the caller's to release in any case. */
int keeper_run(const struct keeper_job *job, struct keeper_result *out, struct error *err);

#endif
