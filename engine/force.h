/*
 * Force: from a ref to a blob in the store. Memo first; single flight across all who ask;
 * what a thunk needs is forced in parallel before it; its inputs are then replaced by their
 * digests, and that *resolved* thunk is looked up and run (so a changed comment that gives the
 * same object does not link again); outputs that are again thunks are followed.
 *
 * Ready work runs highest priority first: PRIORITY_READER (somebody's open() is parked on it)
 * before PRIORITY_BATCH (`ggfs force`); what a thunk waits for inherits its priority.
 *
 * Bounds: FORCE_FOLLOW_MAX thunks one after another in one chain of answers (-ELOOP), and a
 * thunk that waits for itself, through inputs or answers, is -ELOOP at once, naming the cycle.
 * FORCE_RETRIES_MAX tries for engine trouble (OUTCOME_LOST, with a pause); a function's own
 * failure is never retried: it is remembered in the index until `retry`. An input blob that
 * turns out absent or broken although a memo promised it is made again from its thunk.
 *
 * Threads: all functions and callbacks on the loop's thread. Blocking store reads of small
 * thunks and manifests happen there; engines do the heavy work elsewhere.
 */
#ifndef GGFS_ENGINE_FORCE_H
#define GGFS_ENGINE_FORCE_H

#include "common/loop.h"
#include "engine/engine.h"
#include "engine/purse.h"
#include "objstore/index.h"

enum { FORCE_FOLLOW_MAX = 10000, FORCE_RETRIES_MAX = 3, FORCE_DEPTH_MAX = 1000000,
       FORCE_ESTIMATE_MAX = 200000 };

enum force_priority { PRIORITY_BATCH, PRIORITY_READER };

struct forcer;
struct force; /* one caller's interest in one ref */

struct force_answer {
	int code;              /* 0, or the negative errno that a reader gets (LAZY-FILES table):
	                          -EREMOTEIO -ETIMEDOUT -ENOSPC -ECANCELED -ENETDOWN -EACCES
	                          -EDQUOT -EIO -ELOOP */
	const struct ref *ref; /* code 0: REF_BLOB or REF_TREE with its size */
	const char *reason;    /* code < 0: one sentence */
	struct digest failed;  /* code < 0: the thunk at the root of it */
	bool memoised;         /* code 0: nothing had to run */
};

typedef void force_done_fn(void *arg, const struct force_answer *answer);

struct force_request {
	struct ref ref;
	enum force_priority priority;
	int64_t deadline_ms;  /* from now; 0: none. Past it: -ETIMEDOUT to this caller, work goes on */
	bool keep_going;      /* when an input fails, still make the others before failing (make -k) */
	const char *asker;    /* "program[pid]", for the log; copied */
	const char *engines;  /* which may run it, as in struct engine_job; NULL: any; copied */
	bool local_only;      /* never an engine that costs */
	bool leave_far;       /* the result may stay in the far store */
	struct purse *purse;  /* what it may cost; NULL: no limit; shared. Of several who want the same
	                         thunk the first pays */
	force_done_fn *done;  /* called once, never from within force_start; not after force_cancel.
	                         The struct force is gone when it is called */
	void *arg;
};

struct force_counts {
	uint64_t queued, running, done, failed, memoised; /* since the forcer was made; the first
	                                                     two: now */
	uint64_t cost_nanodollars; /* of all that ended, failures included */
};

/* Everything lent must outlive the forcer. */
int forcer_new(struct loop *loop, struct store *store, struct index *index,
	       struct engine *engine, struct forcer **out, struct error *err);
/* Cancels everything; callers get -ECANCELED first. Not from within a callback. Jobs that the engine
 * still has are left to it: free the engine next, then the loop. */
void forcer_free(struct forcer *f);

int force_start(struct forcer *f, const struct force_request *request, struct force **out,
		struct error *err);
/* This caller leaves. Work nobody else wants and that has not started is dropped; what has started
 * is finished and kept. */
void force_cancel(struct force *force);

/* Drops queued and kills running work for this thunk, or for the one that its answers have led to;
 * all who wait get -ECANCELED. -ENOENT: there is none. */
int forcer_cancel_thunk(struct forcer *f, const struct digest *thunk);
/* Likewise for everything. */
void forcer_cancel_all(struct forcer *f);

/* What is known without doing anything: READY when every step of the way is memoised. */
enum force_state { STATE_UNFORCED, STATE_FORCING, STATE_READY, STATE_FAILED };
struct force_look {
	enum force_state state;
	struct ref ref;          /* READY: the blob or tree; release it */
	struct failure failure;  /* FAILED: release it */
	uint64_t size_guess;     /* the size this output had last time; UINT64_MAX: never seen */
	bool local;              /* READY: the blob is in the local store */
};
int forcer_look(struct forcer *f, const struct ref *ref, struct force_look *out,
		struct error *err);
void force_look_release(struct force_look *look);

/* What a thunk (or the one that its answers have led to) waits for right now: digests of thunks
 * that run or are queued below it; the caller's to free. -ENOENT: it is not being forced. */
int forcer_waiting_for(struct forcer *f, const struct digest *thunk, struct digest **out,
		       size_t *count);

void forcer_counts(struct forcer *f, struct force_counts *out);

/* What making a ref would take, without doing anything: the thunks on its way that have no memo
 * here. Durations are those that outputs of the same name took last; thunks never seen, and what
 * thunks that have not run may yield, cannot be told. */
struct force_estimate {
	uint64_t to_run, unknown; /* thunks; how many of them were never seen */
	uint64_t known;           /* thunks that need not run */
	uint64_t micros;          /* of functions, all after another */
	uint64_t nanodollars;
	uint64_t spent_micros, spent_nanodollars; /* whole: what those known took and cost */
	bool is_cut;              /* more than FORCE_ESTIMATE_MAX thunks: the rest is not in it */
};
/* price: what a second costs. whole: looks beneath thunks that need not run as well. Adds to *out. */
typedef uint64_t force_price_fn(void *arg, const struct thunk *t);
int forcer_estimate(struct forcer *f, const struct ref *refs, size_t count, bool whole,
                    force_price_fn *price, void *arg, struct force_estimate *out, struct error *err);

/* Called when a thunk settles (result or failure), for those who keep states: the mounts. */
typedef void forcer_settled_fn(void *arg, const struct digest *thunk, int code);
void forcer_on_settled(struct forcer *f, forcer_settled_fn *fn, void *arg);
/* Called for each engine job that starts or ends and each memo hit, for the live line; the
 * label is the thunk's first output. */
struct force_event {
	enum { FORCE_EVENT_STARTED, FORCE_EVENT_DONE, FORCE_EVENT_FAILED, FORCE_EVENT_KNOWN } kind;
	struct digest thunk;
	const char *label;
	const char *stderr_tail; /* DONE: warnings; FAILED: the message; may be "" */
};
typedef void forcer_event_fn(void *arg, const struct force_event *event);
void forcer_on_event(struct forcer *f, forcer_event_fn *fn, void *arg);

/*
 * A far store, as far as a force heeds one. A memo there is as good as one here; blobs that are
 * only there count as made; they are pulled when a caller waits for them.
 */
struct force_errand; /* one question under way */
struct force_far {
	bool (*known)(void *arg, const struct digest *blob);
	void (*remember)(void *arg, const struct digest *blob, bool there);
	/* Asynchronous, asked on the loop's thread; each is answered once, from any thread, by
	 * force_errand_done(). size_bytes UINT64_MAX: not known. */
	void (*pull)(void *arg, const struct digest *blob, uint64_t size_bytes,
	             struct force_errand *errand);
	void (*memo_get)(void *arg, const struct digest *thunk, struct force_errand *errand);
	void *arg;
};
/* Before the first force. far is copied; what it points to must outlive the forcer, and every errand
 * be answered before the loop is freed. */
void forcer_set_far(struct forcer *f, const struct force_far *far);
/* code 0, -ENOENT absent, else as objstore/far.h; memo (of memo_get, else NULL) is taken over. */
void force_errand_done(struct force_errand *errand, int code, struct memo *memo,
                       const char *reason);

#endif
