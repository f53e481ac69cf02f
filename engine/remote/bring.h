/*
 * Bring and share: what a local engine needs beside a far store. The inputs of a thunk that only
 * the far store has are brought here before it runs; what it made is offered there afterwards.
 * Private to engine/remote/.
 *
 * Threads: the net's, but for bring_new and bring_free.
 */
#ifndef GGFS_ENGINE_REMOTE_BRING_H
#define GGFS_ENGINE_REMOTE_BRING_H

#include "engine/engine.h"
#include "objstore/far.h"

enum {
	BRING_SETS_MAX = 65536,  /* known to be whole here, remembered */
	BRING_SHARES_MAX = 1024, /* results on their way; beyond that they are not offered */
};

struct bring;
struct bringing; /* one thunk's inputs under way; gone when done was called */

int bring_new(struct net *net, struct far *far, struct store *near, struct bring **out,
              struct error *err);
/* Nothing may be under way but shares, which go on by themselves. Not on the net's thread. */
void bring_free(struct bring *b);

/* outcome: OUTCOME_DONE when all is here; else what becomes of the job, absent (NULL: none in
 * particular) being the blob that was nowhere. Never from within the call. */
typedef void bring_done_fn(void *arg, enum outcome outcome, const struct digest *absent,
                           const char *reason);
/* t must stay valid until done. */
struct bringing *bring_inputs(struct bring *b, const struct thunk *t, bring_done_fn *done,
                              void *arg);
/* done comes with OUTCOME_CANCELLED: at once, or as soon as the thunk is not being read. */
void bring_cancel(struct bringing *g);
/* Something that was here is not: believes nothing from now on. */
void bring_doubt(struct bring *b);

/* Pushes a memo's outputs, then the memo. A failure is logged, no more: nobody depends on it. */
void bring_share(struct bring *b, const struct memo *memo);

/* Has fn(arg) run on the net's thread, and waits for it. Not from that thread. */
void net_run(struct net *net, loop_fn *fn, void *arg);

#endif
