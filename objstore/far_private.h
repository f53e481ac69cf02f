/*
 * What the files of the far store share. far.c: opening, what is remembered, groups and jobs;
 * far_push.c and far_pull.c: what one job does; far_ask.c: the single questions.
 *
 * A job sees to one digest, for all who asked; a group is one call of far_push or far_pull. Jobs
 * wait in a queue, at most as many at once as there are connections; of those under way each holds
 * at most S3_MEMORY_BYTES. All on the net's thread but what the pool does for a job.
 */
#ifndef GGFS_OBJSTORE_FAR_PRIVATE_H
#define GGFS_OBJSTORE_FAR_PRIVATE_H

#include <pthread.h>

#include "common/pool.h"
#include "objstore/far.h"
#include "objstore/s3.h"
#include "objstore/s3_body.h"
#include "objstore/s3_fetch.h"

enum {
	/* Up to this size a blob that is maybe there is put without asking first. */
	FAR_UNASKED_BYTES = 256 << 10,
	FAR_NOTES_MAX = 256 << 10, /* digests remembered in memory */
	FAR_REFETCHES = 1,         /* of a blob that came with another digest */
	FAR_POOL_THREADS_MAX = 4,  /* and no more than there are processors, but two */
};

enum far_kind { FAR_PUSH, FAR_PULL, FAR_KINDS };

struct far_group {
	size_t remaining;
	int code; /* the first failure's */
	struct digest absent;
	struct error *err;
	far_many_fn *done;
	void *arg;
};

struct far_waiter {
	struct far_group *group;
	struct far_waiter *next;
};

struct far_job {
	struct digest digest; /* first: jobs are found by it */
	struct far *far;
	enum far_kind kind;
	uint64_t size_bytes; /* UINT64_MAX: not known */
	struct far_waiter *waiters;
	int64_t queued_ms;
	struct far_job *next; /* in the queue */
	/* Under way: */
	char *key;
	int code; /* of what the pool did last */
	struct error *err;
	struct s3_body body;
	struct s3_info info;
	bool replace; /* what is there is known to be wrong */
	unsigned refetches;
};

struct far {
	struct aws *aws;
	struct store *near;
	int near_dirfd;
	bool (*known)(void *arg, const struct digest *d);
	void (*remember)(void *arg, const struct digest *d, bool there);
	void *arg;
	struct s3 *s3;
	struct pool *pool;
	pthread_mutex_t lock;
	void *notes; /* struct far_note by digest, a tsearch tree; under the lock */
	size_t note_count;
	/* On the net's thread: */
	void *jobs[FAR_KINDS]; /* struct far_job by digest, tsearch trees */
	struct far_job *queue, *queue_last;
	size_t active;
	bool stopping;
	/* For far_free, under the lock: */
	pthread_cond_t idle;
	bool is_idle;
};

/* Ends the job: tells all who wait, and has the next begin. err may be NULL. */
void far_settle(struct far_job *job, int code, const struct error *err);
/* Has work(job) done by the pool, then done(job). In between job->code and job->err are the work's.
 */
void far_in_pool(struct far_job *job, loop_fn *work, loop_fn *done);
/* Stores the failure of a piece of work. */
void far_job_result(struct far_job *job, int code, const struct error *err);

enum far_word { FAR_THERE, FAR_ABSENT, FAR_WRONG };
/* What was found out of a blob. Any thread. */
void far_note(struct far *far, const struct digest *d, enum far_word word);
/* What is there is wrong, as somebody found. */
bool far_is_wrong(struct far *far, const struct digest *d);

void far_push_begin(struct far_job *job);
void far_pull_begin(struct far_job *job);

/* For tests: before the first request. */
void far_set_limits(struct far *far, const struct s3_limits *limits);

#endif
