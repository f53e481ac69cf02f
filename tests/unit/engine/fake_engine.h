/*
 * An engine that runs nothing: what a thunk "does" is told by its arguments.
 *
 *     join NAME        each output holds "NAME(inputs' bytes, comma-separated)"
 *     same NAME        each output holds "same", whatever the inputs are
 *     tree NAME        its tree outputs hold a (bytes "NAME a"), sub/b, and link -> sub/b
 *     fail NAME        OUTCOME_FAILED, exit status 1, "NAME: no" on stderr
 *     outcome NAME N   that enum outcome
 *     lost NAME N      OUTCOME_LOST the first N times, then join
 *     yield NAME HEX OUTPUT   its outputs are that thunk's
 *     hook NAME        its outputs are fake->hook
 *     endless NAME N   its output is the thunk "endless NAME N+1", which it saves
 *     warn NAME        join, with a warning on stderr
 *
 * With runs_next, what comes next is run in the same go, up to the first that is not done.
 * Inputs are read from the store; one that is absent or broken is OUTCOME_BAD_INPUT. While hold is
 * set, submitted jobs wait for fake_release(). done always comes from another thread.
 */
#ifndef GGFS_TESTS_FAKE_ENGINE_H
#define GGFS_TESTS_FAKE_ENGINE_H

#include <pthread.h>

#include "engine/engine.h"

struct fake_engine {
	struct engine engine;
	struct engine_ops ops;
	bool runs_next;
	struct store *store;
	unsigned jobs;
	bool hold;
	bool refuse_submit;
	uint64_t price, cost; /* of a second; of each run */
	bool local_only;      /* what the last job said ... */
	char engines[64];     /* ... likewise; "" when it said nothing */
	struct ref hook;
	struct strv started; /* NAMEs, in the order of submits */
	unsigned submits, cancels;
	struct engine_ticket *held;
	pthread_t thread;
	pthread_mutex_t lock; /* guards started and the rest */
	pthread_cond_t wake;
	struct engine_ticket *queue, **queue_end;
	bool ending;
};

void fake_init(struct fake_engine *fake, struct store *store);
void fake_end(struct fake_engine *fake);
void fake_release(struct fake_engine *fake); /* all held ones go on */
unsigned fake_runs(struct fake_engine *fake, const char *name);
bool fake_has_held(const struct fake_engine *fake, const char *name);

#endif
