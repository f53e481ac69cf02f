/*
 * The inside of the force (engine/force.h), for force*.c only.
 *
 * A *node* is a thunk, or an input set, that somebody wants now. A *want* is one wish for one
 * node: of another node (an input), or of a caller's force. When a node settles, each of its
 * wants is told; a want whose answer is again a thunk moves on to that thunk's node. A node
 * with lazy inputs becomes, once they are known, a wish for the *resolved* node: the same
 * command with digests in place of thunks, a node like any other, so that two thunks that come
 * to the same are run once.
 *
 * Nothing here calls itself for a neighbour: nodes with something to do are put on the
 * agenda, which force.c works through, so that graphs may be of any depth.
 *
 * Callbacks to the outside are queued (notices, answers) and made from force.c alone, where
 * no node is under work; so they may call any function of engine/force.h.
 */
#ifndef GGFS_ENGINE_FORCE_IMPL_H
#define GGFS_ENGINE_FORCE_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "engine/digest_map.h"
#include "engine/force.h"

enum {
	FORCE_SLICE_STEPS = 512,    /* agenda items between two looks at the loop */
	FORCE_PAUSE_FIRST_MS = 100, /* before the second try; doubles; as much again in jitter */
	FORCE_HEALS_MAX = 3,        /* times a thunk starts over since an input was gone */
	FORCE_REMEMBER_NS = 5 * 1000000000LL,
	FORCE_SETS_KNOWN_MAX = 65536,  /* then they are all forgotten */
	FORCE_LOOKS_KNOWN_MAX = 65536, /* likewise */
	FORCE_LOOK_VISIT_MAX = 10000,  /* thunks one look reads, at most, in search of a failure */
	FORCE_TREES_KEPT = 4,          /* decoded directory outputs */
	FORCE_CYCLE_NAMED_MAX = 16,    /* thunks of a cycle that a message names */
	FORCE_FETCHES_MAX = 64,        /* blobs one node pulls before it can begin */
	FORCE_MICROS_UNKNOWN = 10000000, /* what a function is taken to need, for budgets */
	FORCE_LINKS_MAX = 40,            /* symbolic links followed inside one selection */
	FORCE_CHAIN_MAX = 64,            /* thunks told of with the one that they wait for ... */
	FORCE_CHAIN_MICROS_MAX = 2000000, /* ... that come to no more: others may want its answer */
	FORCE_CHAIN_MICROS_UNKNOWN = 250000, /* what one counts for that never ran */
	FORCE_EARLY_MAX = 4096,              /* results kept until they are asked for */
};

/* A failure, shared by all who fail because of it. */
struct shared_failure {
	unsigned refs;
	struct failure failure; /* failure.thunk: the root of it */
	bool unowned;           /* of an input set: its first asking thunk takes it over */
	uint64_t micros, cost;  /* how long the function ran before it failed, and nanodollars */
	bool has_absent;        /* an input the store should have had */
	struct digest absent;
};

/* Who asked first, and on which terms. */
struct asker {
	unsigned refs;
	char *engines; /* NULL: any */
	bool local_only;
	struct purse *purse;
	char text[];
};

enum errand_kind { ERRAND_MEMO, ERRAND_PULL };

struct force_errand {
	struct forcer *forcer; /* NULL: it is gone */
	struct loop *loop;
	struct node *node; /* one of these two is set; none: nobody waits any more */
	struct force *force;
	enum errand_kind kind;
	struct digest digest;
	int code;
	struct memo memo;
	char *reason;
	TAILQ_ENTRY(force_errand) link; /* in forcer->errands */
};
TAILQ_HEAD(errand_list, force_errand);

enum want_kind {
	WANT_OUTPUT,   /* ref, followed until it is a blob or a tree */
	WANT_SET,      /* the same manifest without thunks in it */
	WANT_RESOLVED, /* all that the resolved thunk gives */
};

struct want {
	enum want_kind kind;
	struct node *target; /* what it waits for now; NULL: nothing */
	struct node *owner;  /* one of these two is set */
	struct force *force;
	size_t slot;            /* where the answer goes in owner's thunk or manifest */
	struct ref ref;         /* asked for; once answered: the answer */
	unsigned hops;          /* answers followed so far */
	struct ref *mark;       /* Brent's cycle search: a ref passed before ... */
	unsigned mark_hops;     /* ... at that many hops */
	struct digest from;     /* a force's answer: the thunk that gave it ... */
	struct ref asked;       /* ... and what was asked of it */
	bool distrusted;        /* a memo was found wanting on this way once already */
	bool memoised;          /* nothing ran for it so far */
	TAILQ_ENTRY(want) link; /* in target->waiters */
};
TAILQ_HEAD(want_list, want);

enum node_kind { NODE_THUNK, NODE_SET };
enum node_state {
	NODE_NEW,
	NODE_AFAR,
	NODE_WAITING,
	NODE_READY,
	NODE_RUNNING,
	NODE_PAUSED,
	NODE_SETTLED
};

struct node {
	struct forcer *forcer;
	struct digest digest;
	enum node_kind kind;
	enum node_state state;
	enum force_priority priority;
	bool asked;      /* somebody named it; else it came out of resolving alone */
	bool resolved;   /* its thunk has no lazy inputs (any more) */
	bool changed;    /* an input of it was replaced */
	bool merged;     /* waits for its resolved node */
	bool distrust;   /* its memo promised something the store has not: do not heed it */
	bool keep_going; /* wait for all inputs even when one has failed */
	bool followed;   /* can be reached over an answer that was a thunk: cycles are possible */
	bool memoised;   /* settled, and nothing ran for it */
	bool ran_below;  /* something ran for its inputs */
	bool on_agenda;
	bool in_hand; /* on its forcer's map */
	bool counted; /* in counts.queued */
	bool far_asked; /* whether somebody else has made it */
	unsigned fetches;
	struct force_errand *errand;
	unsigned depth, tries, heals;
	struct thunk *thunk;       /* NODE_THUNK, once loaded; inputs are replaced in place */
	struct manifest *set;      /* NODE_SET, likewise */
	struct sized_digest sized; /* NODE_SET: the resolved manifest, once settled */
	char *label;               /* first output */
	struct asker *asker;       /* who wanted it first */
	struct want *wants;
	size_t want_count, pending;
	struct want_list waiters;
	struct job *job;
	struct loop_timer *pause;
	struct memo memo;               /* settled well */
	struct shared_failure *failure; /* settled badly; or the first of a keep_going node */
	TAILQ_ENTRY(node) agenda, ready;
	struct node *next_on_stack, *reached_from; /* scratch of walks over the graph */
	uint64_t walk;
};
TAILQ_HEAD(node_list, node);

/* One submit. Outlives its node (cancelled) and its forcer (freed): it ends when the engine says
 * so. */
struct job {
	struct forcer *forcer;
	struct node *node;
	struct loop *loop;
	struct engine *engine;
	struct thunk *thunk;
	struct digest digest;
	struct engine_next *next; /* its chain; the thunks are its own */
	size_t next_count, next_capacity;
	struct engine_result result;
	pthread_mutex_t lock; /* guards finished; held across cancel, so that the ticket lives */
	bool finished;
	struct engine_ticket *ticket;
	struct asker *asker; /* its engines are lent to the engine */
	uint64_t estimate;   /* reserved in the asker's purse */
	TAILQ_ENTRY(job) link;
};
TAILQ_HEAD(job_list, job);

struct force {
	struct forcer *forcer;
	struct want want;
	struct ref ref; /* as asked */
	struct asker *asker;
	enum force_priority priority;
	bool keep_going, leave_far;
	struct force_errand *errand;
	force_done_fn *done; /* NULL once its deadline has passed: the work goes on for nobody */
	void *arg;
	struct loop_timer *deadline;
	bool answered;                  /* on forcer->answers */
	struct shared_failure *failure; /* else want.ref is the answer */
	TAILQ_ENTRY(force) link;        /* in forcer->forces */
	TAILQ_ENTRY(force) answer;
};
TAILQ_HEAD(force_list, force);

/* A call to forcer->settled or ->event that is still to be made. */
struct notice {
	bool is_event;
	struct force_event event; /* label and stderr_tail are the notice's */
	struct digest thunk;
	int code;
	TAILQ_ENTRY(notice) link;
};
TAILQ_HEAD(notice_list, notice);

struct kept_tree {
	struct digest digest;
	struct manifest manifest;
	uint64_t used; /* 0: free */
};

struct forcer {
	struct loop *loop;
	struct store *store;
	struct index *index;
	struct engine *engine;
	struct digest_map thunks, sets; /* nodes in hand */
	struct digest_map sets_known;   /* digest of a manifest -> struct sized_digest, resolved */
	struct digest_map looks_known;  /* thunk -> struct look_memory */
	uint64_t failures_made;         /* what was known of no failure is void when it grows */
	struct kept_tree trees[FORCE_TREES_KEPT];
	uint64_t tree_uses;
	struct node_list agenda;
	struct node_list ready[PRIORITY_READER + 1];
	struct force_list forces, answers;
	struct notice_list notices;
	struct job_list jobs;
	struct digest_map early; /* resolved thunk -> struct engine_result, before its turn */
	struct force_far far;
	bool has_far;
	struct errand_list errands;
	unsigned running; /* jobs the engine has, cancelled ones included */
	uint64_t walks;
	struct loop_timer *drain;
	bool closing;               /* no new work */
	bool no_prune;              /* every node is being settled: none may vanish meanwhile */
	struct force_counts counts; /* all but running */
	size_t running_now;
	forcer_settled_fn *settled;
	void *settled_arg;
	forcer_event_fn *event;
	void *event_arg;
};

/* --- force.c ------------------------------------------------------------------------------ */

void forcer_schedule(struct forcer *f); /* has the agenda worked through soon */
void force_answer_later(struct force *force);

/* --- force_graph.c: nodes and wants; no input or output ------------------------------------- */

struct shared_failure *failure_new(const struct digest *thunk, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
struct shared_failure *failure_share(struct shared_failure *s);
void failure_unshare(struct shared_failure *s); /* NULL is fine */
struct asker *asker_new(const struct force_request *request);
struct asker *asker_share(struct asker *a);
void asker_unshare(struct asker *a);

struct node_wish {
	enum force_priority priority;
	bool keep_going;
	bool followed;
	unsigned depth;
	struct asker *asker;
};
struct node_wish node_wish(const struct node *owner); /* of a node for its inputs */

/* The node of this digest, made (NODE_NEW, on the agenda) when there is none. */
struct node *node_obtain(struct forcer *f, enum node_kind kind, const struct digest *digest,
                         const struct node_wish *wish);
void node_take_out(struct node *n); /* off the map: who wants this thunk now gets another node */
void node_free(struct node *n);
void node_enter(struct node *n, enum node_state state);
/* To be called whenever anything of what makes a node queued has changed, but for its state. */
void node_recount(struct node *n);
size_t forcer_count_queued(struct forcer *f); /* by looking at each, for tests: as counts.queued */
void node_to_agenda(struct node *n);
void node_to_ready(struct node *n);
void node_off_queues(struct node *n);
/* Raises n, and what it waits for, to this wish; never lowers. */
void node_raise(struct node *n, const struct node_wish *wish);

void want_attach(struct want *w, struct node *target);
void want_detach(struct want *w); /* leaves the target's waiters; prunes nothing */
void want_release(struct want *w);
/* Drops n and, in turn, what it waited for, as far as nobody waits and nothing has started. */
void node_prune(struct node *n);
void node_release_wants(struct node *n); /* and prunes */
/* Whether goal can be reached over what start waits for. If so, *path is "GOAL -> START -> ... ->
 * GOAL", allocated. Marks all it passes as followed. */
bool graph_reaches(struct node *start, struct node *goal, char **path);

/* --- force_tree.c --------------------------------------------------------------------------- */

/* The decoded manifest of a tree, borrowed until the next call. -EBADMSG: absent or broken. */
int tree_manifest(struct forcer *f, const struct digest *tree, const struct manifest **out,
                  struct error *err);
/* What stands at path inside the tree: a blob, a tree, or a thunk's output (with what is left of
 * the path as its selection). -ENOENT: nothing there; -EBADMSG as above. */
int tree_select(struct forcer *f, const struct ref *tree, const char *path, struct ref *out,
                struct error *err);
/* What a thunk's output is, selection applied: as tree_select, or a plain copy. */
int ref_step(struct forcer *f, const struct memo *memo, const struct ref *ref, struct ref *out,
             struct error *err);

/* --- force_resolve.c ------------------------------------------------------------------------ */

void node_step(struct node *n);    /* NODE_NEW */
void node_resolve(struct node *n); /* NODE_WAITING, nothing pending */
/* Whether the bytes of ref, which is no thunk, are in the store in their full size: 0; -ENOENT
 * absent; -EBADMSG of another size. What a power loss cut short is put aside then, so that it is
 * made again. */
int ref_here(struct forcer *f, const struct ref *ref, struct error *err);
/* Whether the memo of this thunk can be relied on: it is there and so is all it promises. */
bool memo_usable(struct forcer *f, const struct digest *thunk, struct memo *out);
/* Puts a ref in the place of what stands in the slot: its inputs are numbered, the single ones
 * first, then the sets, then the toolchain. Returns whether that changes anything. */
bool thunk_slot_fill(struct thunk *t, size_t slot, const struct ref *ref);
/* The resolved form of a manifest if it is known, else NULL. */
const struct sized_digest *set_known(struct forcer *f, const struct digest *set);
void sets_forget(struct forcer *f);

/* --- force_settle.c ------------------------------------------------------------------------- */

void node_settle_memo(struct node *n); /* n->memo is filled in */
void node_settle_set(struct node *n);  /* n->sized likewise */
/* Takes the failure over. It is recorded when n is at the root of it. */
void node_settle_failure(struct node *n, struct shared_failure *failure);
void node_log(struct node *n, const struct digest *thunk, int code, uint64_t micros, uint64_t cost,
              const char *engine, const char *stderr_tail);
void node_log_known(struct node *n); /* nothing of its own had to run */
void notice_event(const struct node *n, int kind, const char *stderr_tail);
/* The thunk that somebody named, for which n is run. */
const struct digest *node_origin(const struct node *n);

/* --- force_tell.c --------------------------------------------------------------------------- */

void node_deliver(struct node *n); /* NODE_SETTLED: tells its waiters and frees n */
/* What a memo promised is nowhere: has it made again, once. */
bool force_asks_anew(struct force *force);

/* --- force_run.c ---------------------------------------------------------------------------- */

void forcer_dispatch(struct forcer *f);
void node_cancel_job(struct node *n);
void job_free(struct job *job);
/* The function has run; takes r's memo over. */
void node_done(struct node *n, struct engine_result *r, const char *engine);

/* --- force_chain.c -------------------------------------------------------------------------- */

/* Fills in what comes after n, job's node. */
void job_add_chain(struct job *job, const struct node *n);
void job_drop_chain(struct job *job);
/* Takes over what came along with a result. */
void early_keep(struct forcer *f, struct engine_result *of);
void early_forget(struct forcer *f); /* leaving memos */
bool node_takes_early(struct node *n); /* settles n by a result that came before its turn */

/* --- force_far.c ---------------------------------------------------------------------------- */

bool forcer_far_has(struct forcer *f, const struct digest *blob);
/* size_bytes UINT64_MAX: whatever its size. */
bool blob_is_here(struct forcer *f, const struct digest *blob, uint64_t size_bytes);
/* Each sends the node away (NODE_AFAR), to step again when the answer is there; false when there is
 * nothing to ask, or it has been asked. */
bool node_asks_memo(struct node *n);
bool node_fetches(struct node *n, const struct digest *blob);
bool node_fetches_for_memo(struct node *n);
void node_errand_done(struct node *n, struct force_errand *e);
/* The answer is not here yet: true when it is being brought. */
bool force_fetches(struct force *force);
void force_errand_ended(struct force *force, struct force_errand *e);
void errand_leave(struct force_errand *e);   /* nobody waits for it any more; NULL is fine */
void forces_stop_fetching(struct forcer *f); /* those callers get -ECANCELED */
void forcer_drop_errands(struct forcer *f);

/* --- force_heal.c --------------------------------------------------------------------------- */

/* An input of owner's resolved thunk is gone: has it made again and starts owner over. False
 * when nothing is known that makes it. */
bool node_heal(struct node *owner, const struct digest *absent);
/* A new node for this thunk that will not believe its memo. */
struct node *node_distrusted(struct forcer *f, const struct digest *thunk,
                             const struct node_wish *wish);

/* --- force_look.c --------------------------------------------------------------------------- */

/* The node at which a force of this thunk is now: its own, or that of a thunk it answered with. */
struct node *node_in_hand(struct forcer *f, const struct digest *thunk);

void looks_forget(struct forcer *f);

#endif
