/*
 * For tests of remote engines: stores, the net's thread, a fake worker and an engine that uses
 * it; thunks of one line, submitted and waited for.
 */
#ifndef GGFS_TESTS_REMOTE_SCENE_H
#define GGFS_TESTS_REMOTE_SCENE_H

#include <pthread.h>

#include "engine/remote/remote.h"
#include "tests/lib/test.h"
#include "tests/unit/remote/fake_far.h"
#include "tests/unit/remote/fake_worker.h"

struct scene {
	char *directory;
	struct store *near, *far_bytes;
	struct net *net;
	struct aws_config *config; /* these two of a lambda engine */
	struct aws *aws;
	struct far *far; /* NULL: none */
	struct fake_worker *worker;
	struct ledger *ledger;
	struct prices prices;
	struct remote_context context;
	struct engine *engine;
};

/* act as in fake_worker_new(). */
void scene_begin(struct scene *s, bool with_far, unsigned jobs, fake_act_fn *act, void *arg);
/* The same without a far store, with these options, whose url is the fake worker's. */
void scene_begin_http(struct scene *s, struct http_engine_options *options, fake_act_fn *act,
                      void *arg);
/* The same with a lambda engine. endpoint NULL: the fake worker; environ NULL: with credentials. */
void scene_begin_lambda(struct scene *s, bool with_far, unsigned jobs, const char *endpoint,
                        char **environ_of_aws, fake_act_fn *act, void *arg);
void scene_end(struct scene *s);
struct ledger_totals scene_totals(struct scene *s);

struct task {
	struct thunk thunk;
	struct engine_job job;
	struct engine_ticket *ticket;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned answers;            /* guarded by mutex, as is result */
	struct engine_result result; /* the first */
};

/* A thunk whose argument is name, with one output "out"; more may be added before task_start(). */
void task_init(struct task *t, const char *name);
void task_input(struct scene *s, struct task *t, const char *path, const void *bytes, size_t len);
/* An input set of one file that holds word; its digest is *member. */
void task_add_set(struct scene *s, struct task *t, const char *word, struct digest *member);
void task_start(struct scene *s, struct task *t);
/* Fails the test after a minute. */
void task_wait(struct task *t);
bool task_is_over(struct task *t);
void task_release(struct task *t); /* it must have been answered once */

/* The three together. */
void task_run(struct scene *s, struct task *t);
/* It was done, by this engine, and near has what the fake worker makes. */
void expect_done(struct scene *s, struct task *t);
void expect_failed(struct task *t, enum outcome outcome, const char *words);

/* For the fake worker: answers rightly after *(int *)arg milliseconds. */
void act_slowly(void *arg, unsigned number, const struct remote_request *request,
                struct fake_act *act);

/* Polls until condition(arg), ten seconds at most. */
bool eventually(bool (*condition)(void *arg), void *arg);

#endif
