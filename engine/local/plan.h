/*
 * Plan: from a resolved thunk to a job for the runner. Pure but for reading manifests from the
 * store and seeing to the caches of toolchains and executables.
 *
 * Threads: a plan by one thread.
 */
#ifndef GGFS_ENGINE_LOCAL_PLAN_H
#define GGFS_ENGINE_LOCAL_PLAN_H

#include "engine/engine.h"
#include "engine/local/job.h"
#include "engine/local/toolchain.h"

enum { PLAN_COPY_MAX = 16 << 10 }; /* larger inputs are bound; below, copying costs no more */

/* Where a thunk that yields finds itself and leaves thunks. */
#define PLAN_THUNK ".ggfs/thunk"
#define PLAN_YIELD ".ggfs/yield"

struct planner {
	struct store *store;
	struct toolchains *toolchains;
	bool overlay; /* toolchains are unpacked and laid under worlds; else they are inputs */
	bool mounts;  /* inputs can be bound */
};

struct plan {
	struct job job;
	struct manifest inputs; /* owns what the job's entries point to */
	const struct toolchain *toolchain;
	struct toolchains *toolchains; /* whom to give it back to */
	struct buf thunk_text;
	struct strv directories;
};

#define PLAN_INIT ((struct plan){ 0 })

void job_plan_release(struct plan *p);

struct plan_fault {
	enum outcome outcome; /* BAD_INPUT, NO_ROOM, REFUSED or LOST */
	bool has_absent;
	struct digest absent;
};

/* 0, or a negative errno with *fault filled in. out must be PLAN_INIT; release it in any case. */
int job_plan_make(const struct planner *planner, const struct thunk *t, struct plan *out,
              struct plan_fault *fault, struct error *err);

/* What went wrong with the input blob d, given the errno: fills in fault. */
void plan_blame_input(struct plan_fault *fault, int code, const struct digest *d);

#endif
