/*
 * Faults on order: which invocations go wrong, and how; by rates and a seed, so that the same
 * sequence of invocations meets the same faults.
 *
 * Threads: one owner.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_FAULTS_H
#define GGFS_TOOLS_LAMBDA_LOCAL_FAULTS_H

#include <stdint.h>

#include "common/error.h"

enum fault {
	FAULT_NONE,
	FAULT_THROTTLE, /* 429, of each Reason in turn */
	FAULT_500,      /* ServiceException */
	FAULT_502,
	FAULT_503,
	FAULT_504,
	FAULT_CUT_BEFORE,   /* the connection is cut and nothing runs */
	FAULT_CUT_AFTER,    /* it runs, and the connection is cut before the answer */
	FAULT_CUT_MIDDLE,   /* ... in the middle of the answer */
	FAULT_UNHANDLED,    /* the function's process ends under it */
	FAULT_OOM,          /* ... killed for its memory */
	FAULT_TIMEOUT,      /* ... killed for its time */
	FAULT_SLOW,         /* it runs, and the answer is held back */
	FAULT_WRONG_DIGEST, /* a byte of a blob of the answer is another one */
	FAULT_OTHER_THUNK,  /* the answer is that of another invocation */
	FAULT_COUNT,
};

const char *fault_name(enum fault f);

struct fault_plan {
	double rates[FAULT_COUNT];
	uint64_t state; /* of the generator */
	unsigned throttles;
};

/* "throttle=0.1,slow=0.05"; "" is none. -EINVAL says what was not understood; p is as before. */
int faults_parse(struct fault_plan *p, const char *text, struct error *err);
void faults_seed(struct fault_plan *p, uint64_t seed);
/* The next invocation's. */
enum fault faults_draw(struct fault_plan *p);
/* The Reason of the next 429. */
const char *faults_throttle_reason(struct fault_plan *p);

#endif
