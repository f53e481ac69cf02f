/*
 * The two halves of a run: what comes before the function is executed (run_prepare.c), and the
 * rest.
 *
 * Private to run*.c. Threads: one owner at a time.
 */
#ifndef GGFS_ENGINE_WORKER_RUN_IMPL_H
#define GGFS_ENGINE_WORKER_RUN_IMPL_H

#include "engine/local/plan.h"
#include "engine/worker/run.h"

struct run {
	const struct run_place *place;
	struct remote_result *out;
	struct run_made *made;
	struct thunk thunk;
	struct plan plan;
	struct stage *stage;
	bool unpacked;  /* its toolchain's pack */
	bool cut_short; /* its time is what the request's deadline leaves */
};

/* Sets how it ended; -1, so that it can be returned. */
int run_end(struct run *run, enum outcome outcome, const char *reason);
/* The same from what went wrong with a blob (or NULL). */
int run_end_by_code(struct run *run, int code, const struct digest *blob, const char *reason);

/* Loads the thunk, fetches what it needs, lays its world out: 0, or -1 and the run has ended. */
int run_prepare(struct run *run);

#endif
