/*
 * Engine: something that runs resolved thunks: all their inputs are blobs or trees that the
 * store has. One table of functions, asynchronous; backends: local (engine/local/), lambda, http and
 * the mixture of several (engine/remote/).
 *
 * The engine gets outputs into the store and says what they are; it knows nothing of memos,
 * of other thunks, of readers. Retrying is the caller's (engine/force.h).
 *
 * Threads: submit and cancel from one thread (the service's loop); done is called from any
 * thread, once for each accepted submit, also after a cancel, never from within submit.
 */
#ifndef GGFS_ENGINE_ENGINE_H
#define GGFS_ENGINE_ENGINE_H

#include "engine/thunk.h"
#include "objstore/memo.h"
#include "objstore/store.h"

enum outcome {
	OUTCOME_DONE,      /* exit 0 and every output there: result.memo is filled */
	OUTCOME_FAILED,    /* the function ran and failed: exit status, missing output, bad yield */
	OUTCOME_TIMED_OUT, /* killed at its timeout */
	OUTCOME_CANCELLED,
	OUTCOME_NO_ROOM,   /* ENOSPC while laying out, running or storing */
	OUTCOME_BAD_INPUT, /* an input is absent or broken in the store: reason names it */
	OUTCOME_LOST,      /* the engine's own trouble: worth another try */
	OUTCOME_REFUSED,   /* the engine cannot run this at all: reason says why */
	OUTCOME_DENIED,    /* the service does not accept our credentials, or there are none */
	OUTCOME_UNREACHABLE, /* no engine can be reached, all tries spent */
};

struct engine_result {
	enum outcome outcome;
	int exit_status;   /* as in struct failure; -1 when the function never ran */
	struct memo memo;  /* memo.thunk is the resolved thunk; stderr, micros, engine are filled
	                      in for failures as well */
	char *reason;      /* NULL when done: one sentence, "cannot open ..." included */
	char *stderr_tail; /* the last FAILURE_STDERR_MAX bytes; never NULL */
	bool has_absent;   /* OUTCOME_BAD_INPUT: which blob, so that it can be made again */
	struct digest absent;
	/* Of the job's next thunks, from the first on: those that were run in the same go, all
	 * OUTCOME_DONE. Their memo.thunk is the thunk with its inputs put in. */
	struct engine_result *also;
	size_t also_count;
};

void engine_result_release(struct engine_result *r);

/* r is the callee's to look at until it returns; it may steal members by copying and zeroing. */
typedef void engine_done_fn(void *arg, struct engine_result *r);

/* A thunk that lacks nothing but outputs of the one before it, the job's or another next one:
 * such an input names that by its digest here. */
struct engine_next {
	const struct thunk *thunk;
	struct digest digest;
	uint64_t expected_micros;
};

struct engine_job {
	const struct thunk *thunk; /* resolved; valid until done */
	struct digest digest;      /* of the resolved thunk */
	const char *engines;       /* which may take it: "lambda,http"; NULL: any. Valid until done */
	bool local_only;           /* never one that costs */
	uint64_t expected_micros;  /* what this output took last time; 0: not known */
	/* What is wanted of the job's outputs, as far as nobody else waits for them: an engine to
	 * which the way is long may run these as well, in this order. Valid until done. */
	const struct engine_next *next;
	size_t next_count;
	engine_done_fn *done;
	void *arg;
};

struct engine;
struct engine_ticket; /* one accepted submit; gone when done was called */

struct engine_ops {
	const char *name;
	bool takes_next; /* whether it is of use to it to be told what comes next */
	/* How many jobs it takes at once now; the caller keeps to it. */
	unsigned (*capacity)(struct engine *e);
	int (*set_capacity)(struct engine *e, unsigned jobs, struct error *err);
	int (*submit)(struct engine *e, const struct engine_job *job, struct engine_ticket **ticket,
		      struct error *err);
	void (*cancel)(struct engine *e, struct engine_ticket *ticket);
	/* What a second of this thunk costs, nanodollars; 0 for one's own machine. */
	uint64_t (*price)(struct engine *e, const struct thunk *t);
	/* Cancels what runs, waits for it, frees. */
	void (*free)(struct engine *e);
};

struct engine {
	const struct engine_ops *ops;
};

/* The local engine: this machine, each function in a sandbox (docs/sandbox.md). jobs 0: as many
 * as there are processors. The store must be a local one and outlive the engine. */
int engine_local_new(struct store *store, unsigned jobs, struct engine **out, struct error *err);

/* What the local engine's isolation is here: "namespaces", or the weaker documented mode, with
 * the reason. For `ggfs doctor`. why is the caller's to free. */
bool engine_local_isolated(char **why);

#endif
