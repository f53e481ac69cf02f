/*
 * Slot: one runner process as its engine sees it. Runs one job at a time; when the runner dies, the
 * job is lost and the next call starts another.
 *
 * Threads: a slot by one thread; the options it borrows are only read.
 */
#ifndef GGFS_ENGINE_LOCAL_SLOT_H
#define GGFS_ENGINE_LOCAL_SLOT_H

#include "engine/local/job.h"

enum {
	SLOT_STDERR_MAX = 1 << 20, /* of a function's standard error, the end is kept */
	SLOT_KILL_GRACE_MS =
	        20000,            /* from asking a runner to end a function to ending the runner */
	SLOT_END_GRACE_MS = 2000, /* from closing an idle runner's socket to ending it */
};

struct slot_options {
	int store;        /* the store's directory */
	char *store_path; /* absolute, real */
	char *runner;     /* path of ggfs-runner */
	bool weak;
	uint64_t world_bytes; /* what a function may write, tmpfs; no bound where weak */
};

/* Fills all but store from the environment and the machine. -ENOENT: there is no runner. */
int slot_options_init(struct slot_options *o, int store, struct error *err);
void slot_options_release(struct slot_options *o);

struct slot {
	const struct slot_options *options;
	pid_t pid; /* 0: not started */
	int socket;
	int stderr_fd;
	bool busy;       /* a function may be running */
	char *directory; /* weak: where worlds are laid out; owned, removed at the end */
};

void slot_init(struct slot *s, const struct slot_options *options);
/* Starts the runner if there is none. -EPERM (and such): this machine does not permit the mode. */
int slot_start(struct slot *s, struct error *err);
void slot_stop(struct slot *s); /* ends the runner and all it runs */

struct slot_run {
	int64_t timeout_ms;
	int cancel_fd; /* becomes readable to cancel; -1: cannot be cancelled */
};

struct slot_answer {
	struct job_result result;
	bool timed_out, cancelled; /* it was killed for that */
	struct buf stderr_tail;
	struct strv missing;
	int root; /* of the world, until slot_release_world(); -1: none */
};

#define SLOT_ANSWER_INIT ((struct slot_answer){ .root = -1 })

void slot_answer_release(struct slot_answer *a);

/* Runs a job to its end. -EPIPE: the runner died (or was ended by us); the slot can be used
 * again. out must be SLOT_ANSWER_INIT; its stderr, timed_out and cancelled are set also on
 * failure. */
int slot_run(struct slot *s, const struct job *job, const struct slot_run *run,
             struct slot_answer *out, struct error *err);
/* The world of the last job can go. */
void slot_release_world(struct slot *s);

#endif
