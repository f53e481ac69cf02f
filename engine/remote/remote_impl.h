/*
 * Remote: the engine that lambda and http are. Private to engine/remote/.
 *
 * A job's way:  listed (work thread: which blobs, what goes inside the request)
 *            -> pushed (what does not, to the far store; its sets once for all jobs)
 *            -> ready  (waits for room: pace.h)
 *            -> sent   (attempts: encoded on the work thread, on their way, read there again)
 *            -> delivered, or back to ready after a pause.
 * A job may be in two attempts (a straggler's duplicate); an attempt may carry several jobs.
 *
 * Threads: everything belongs to the net's thread but what is marked otherwise. While the
 * work thread reads a job or an attempt (borrowed), that is not delivered, freed or changed.
 */
#ifndef GGFS_ENGINE_REMOTE_REMOTE_IMPL_H
#define GGFS_ENGINE_REMOTE_REMOTE_IMPL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "common/log.h"
#include "engine/digest_map.h"
#include "engine/remote/inputs.h"
#include "engine/remote/pack_set.h"
#include "engine/remote/pace.h"
#include "engine/remote/transport.h"
#include "engine/remote/wire.h"
#include "common/pool.h"

enum {
	REMOTE_TICK_MS = 200,          /* looks for stragglers */
	REMOTE_SETS_MAX = 65536,       /* known to be in the far store, remembered */
	REMOTE_SMALL_MS = 200,         /* thunks that may share a request take no longer ... */
	REMOTE_SMALL_BYTES = 64 << 10, /* ... are no larger ... */
	REMOTE_TOGETHER_MS = 2000,     /* ... and come to no more than this, all in one request */
	REMOTE_TOGETHER_UNKNOWN_MS = 250, /* what a thunk counts for that never ran */
	REMOTE_REPUSHES_MAX = 2,          /* of one job's inputs, when a worker did not find them */
	REMOTE_CHAIN_FAILURES_MAX = 3,    /* of a job, before its chain stays behind */
	REMOTE_DENIALS_MAX = 3,           /* once the service has accepted us */
	REMOTE_STRAGGLER_FACTOR = 3,      /* times what is usual, before a job is sent again */
	REMOTE_STRAGGLER_MIN_MS = 2000,
	REMOTE_DUPLICATES_A_HUNDRED = 5, /* of those in flight, and one at least */
	REMOTE_UNKNOWN_MS = 2000,        /* what a thunk is taken to need, for the ledger */
	REMOTE_MEMORY_MIB = 1769,        /* until a report tells: one processor's worth */
	REMOTE_REQUEST_SPARE = 4096,     /* of a request, besides its blobs */
};

struct remote;

/* --- sets: manifests that many jobs share ----------------------------------------------------- */

TAILQ_HEAD(wait_list, set_wait);

struct set {
	struct remote *e;
	struct sized_digest id;
	bool there;             /* in the far store, with all it names */
	int64_t there_since_ms; /* when that was seen to */
	bool doubted;           /* what is remembered of its blobs proved wrong */
	bool busy;              /* being read or pushed */
	struct wait_list waits; /* empty unless it is busy */
	struct inputs blobs;
	bool is_toolchain; /* goes there as a pack, unless it is small */
	bool packed;
	struct remote_pack pack;
	int code; /* what reading came to */
	struct digest absent;
	char *reason;
};

struct set_wait {
	struct job *job;
	struct set *set;
	TAILQ_ENTRY(set_wait) link;
};

/* A question the far store has been asked. It cannot be taken back: who is gone is NULL. */
struct pushing {
	struct remote *e;
	struct set *set;
	struct job *job;
	LIST_ENTRY(pushing) link;
};

/* --- jobs ------------------------------------------------------------------------------------- */

enum job_state { JOB_NEW, JOB_PUSHING, JOB_READY, JOB_SENT, JOB_PAUSED, JOB_DELIVERED };

/* What an answer is checked against: outputs are paths, and REF_TREE or REF_BLOB for the kind. */
struct promise {
	struct digest thunk;
	struct memo outputs;
	bool yields;
};

struct job_set {
	struct sized_digest id;
	bool is_toolchain;
};

struct listing {
	struct inputs inside, outside; /* the request, the far store */
	bool chain;                    /* what the job's next thunks need is among it */
	bool thunk_outside;
	size_t thunk_bytes, cost; /* of a request, at most */
	int code;                 /* 0, or why it cannot be sent */
	struct digest absent;
	bool has_absent;
	char *reason; /* one sentence, when code < 0 */
};

struct job {
	struct remote *e;
	uintptr_t id;
	struct engine_job job; /* its thunk is gone once it was delivered */
	enum job_state state;
	struct listing listing;
	struct promise promise;
	uint64_t timeout_s, chain_timeout_s; /* its own, and its next thunks' */

	unsigned borrowed; /* by the work thread */
	bool settled;      /* result is what it is, and is delivered as soon as it may be */
	bool cancelled;
	struct engine_result result;
	uint64_t spent; /* nanodollars, of all attempts so far */

	struct job_set *sets; /* its manifests: sets, toolchains, trees; once it was listed */
	size_t set_count, set_capacity;
	struct set_wait *waits; /* set_count of them while it waits, those over with a NULL set */
	unsigned waits_left;
	struct remote_pack *packs; /* of toolchains; known once they are pushed */
	size_t pack_count;
	struct pushing *pushing; /* of its single inputs */

	unsigned attempts; /* it is in now */
	unsigned failures, deaths, crashes, throttles, denials, repushes;
	int64_t throttled_since_ms; /* 0: not */
	bool retry;                 /* when it is sent again, it counts as a retry */
	bool alone;                 /* shares no request any more */
	bool unchained;             /* nothing is run after it any more */
	bool all_outside;           /* nothing of it goes inside a request but what must */
	struct loop_timer *timer;
	TAILQ_ENTRY(job) link, ready;
};
TAILQ_HEAD(job_list, job);

/* What an answer has for a job. */
struct taken {
	struct remote_result *own; /* borrowed from the answer; NULL: none that is right */
	struct remote_result **next; /* likewise, from the first of its next thunks on */
	size_t next_count;
};

struct attempt {
	struct remote *e;
	struct job **jobs;
	size_t count;
	bool duplicate, retry;
	bool chained; /* the jobs' next thunks go along */
	bool sent;
	size_t held_bytes;
	uint64_t reserved; /* nanodollars */
	int64_t sent_ms, took_ms;
	struct buf body; /* the request, then what was answered */
	void *handle;    /* of the transport, while it is sent */
	struct verdict verdict;
	/* What the work thread made of it. */
	int code; /* of encoding, or of the answer */
	struct digest absent;
	char *reason; /* what is wrong with it, or with one of its results; or NULL */
	struct remote_answer answer;
	struct taken *taken; /* one a job */
	TAILQ_ENTRY(attempt) link;
};
TAILQ_HEAD(attempt_list, attempt);

struct remote {
	struct engine engine;  /* first */
	struct engine_ops ops; /* the same for all but the name */
	struct remote_context context;
	struct transport transport;
	char *far_url, *far_endpoint, *far_region; /* for workers; NULL without far */
	int far_path_style;
	struct pool *work;

	atomic_uint capacity;
	atomic_uint memory_mib; /* as last reported */
	atomic_uintptr_t last_id;

	struct pace pace;
	struct durations durations; /* of attempts with one job, in ms */
	struct job_list jobs, ready;
	size_t ready_count;
	struct attempt_list attempts; /* the oldest first */
	size_t duplicates;            /* in flight */
	size_t held_bytes;
	struct digest_map sets;
	LIST_HEAD(, pushing) pushes;
	struct loop_timer *tick, *wake;
	int64_t unreachable_since_ms; /* 0: not */
	bool ever_answered, away, closing;
};

/* --- list.c; work thread ----------------------------------------------------------------------- */

/* Fills in the job's listing, and has the net's thread call job_listed(). */
void list_job(void *job);
void listing_release(struct listing *l);

/* --- prepare.c -------------------------------------------------------------------------------- */

/* JOB_NEW: lists and pushes its inputs; then it is ready, or settled. */
void job_prepare(struct job *job);
void job_listed(void *job);
/* A worker, asked at sent_ms, did not find an input in the far store: what is remembered of them
 * is forgotten, unless it was learnt later. */
void job_doubt_inputs(struct job *job, int64_t sent_ms);
/* Waits for nothing any more. */
void job_leave_waits(struct job *job);
void sets_free(struct remote *e);

/* --- encode.c; work thread --------------------------------------------------------------------- */

/* Makes the attempt's body, and has the net's thread call attempt_encoded(). */
void encode_attempt(void *attempt);

/* --- send.c ----------------------------------------------------------------------------------- */

void job_to_ready(struct job *job);
/* Sends what there is room for. */
void remote_dispatch(struct remote *e);
void attempt_encoded(void *attempt);
void attempt_free(struct attempt *a);

/* --- take.c: pure but for the near store; work thread ------------------------------------------
 */

/* Reads a->body into a->answer, puts its blobs into near, and sets a->taken. */
void attempt_read(struct attempt *a);

/* --- settle.c --------------------------------------------------------------------------------- */

/* The attempt came back; its verdict is known, and if that is an answer, it was read. */
void attempt_ended(struct attempt *a);
/* Fills in what every result has. reason is copied. */
void job_settle(struct job *job, enum outcome outcome, const char *reason);
void job_settle_absent(struct job *job, const struct digest *absent, const char *reason);
/* From a negative code of the store's or the far store's. absent may be NULL. */
void job_settle_code(struct job *job, int code, const struct digest *absent, const char *reason);
void job_unborrow(struct job *job);
/* Gives it back, and frees it when nothing refers to it. */
void job_deliver(struct job *job);
void job_free_if_over(struct job *job);
void job_cancel(struct job *job);
void promise_make(struct promise *p, const struct thunk *t, const struct digest *thunk);
void promise_release(struct promise *p);
uint64_t remote_estimate(const struct remote *e, uint64_t expected_micros);

#endif
