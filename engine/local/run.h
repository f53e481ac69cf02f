/*
 * Run: one thunk through one slot, from plan to result. What the local engine's workers do.
 *
 * Threads: a slot, and so a run, by one thread; the rest is shared and only read.
 */
#ifndef GGFS_ENGINE_LOCAL_RUN_H
#define GGFS_ENGINE_LOCAL_RUN_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/local/slot.h"
#include "engine/local/toolchain.h"

enum {
	RUN_TRACE_BELOW_MS = 5000, /* a failed function that took longer is not run again */
	RUN_TRACE_MS_MAX = 10000,  /* how long the second run may take */
	RUN_NAMED_MAX = 3,         /* files that a reason names */
};

struct run_context {
	struct store *store;
	struct toolchains *toolchains;
	struct slot_options slots;
	atomic_bool no_overlay; /* found out: toolchains are laid out file by file */
	bool trace;             /* failed functions are run again to find out what they lacked */
};

/* Never fails: what went wrong is in *out (which must be zeroed). cancel_fd as in struct slot_run.
 */
void run_thunk(struct run_context *c, struct slot *slot, const struct engine_job *job,
               int cancel_fd, struct engine_result *out);

#endif
