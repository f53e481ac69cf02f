/*
 * For tests of engines: a store, an engine from a table of backends, thunks put together in
 * a line or two and run to their end. Aborts or fails the test when something it needs is not
 * there.
 */
#ifndef GGFS_TESTS_ENGINE_HARNESS_H
#define GGFS_TESTS_ENGINE_HARNESS_H

#include <pthread.h>

#include "engine/engine.h"

/* A row of the table: what a later engine adds to be tested like the others. */
struct backend {
	const char *name;
	int (*make)(struct store *store, unsigned jobs, struct engine **out, struct error *err);
	bool relocated; /* functions have no root of their own: a worker, not a sandbox */
	bool costs;
	size_t stderr_kept; /* at most; 0: FAILURE_STDERR_MAX */
};

struct fixture {
	const struct backend *backend;
	char *directory; /* temporary; holds the store */
	struct store *store;
	struct engine *engine;
	struct ref function; /* the test function's blob, once it was put */
};

void fixture_begin(struct fixture *f, const struct backend *backend, unsigned jobs);
void fixture_end(struct fixture *f);

/* The test function (tests/contract/engine/function.c), as the program bin/f of a thunk with this
 * argument list ("f" is put before it); NULL ends the list. */
void thunk_of_function(struct fixture *f, struct thunk *t, ...) __attribute__((sentinel));
/* /bin/sh with all it needs to start, its utilities not included, running script. */
void thunk_of_shell(struct fixture *f, struct thunk *t, const char *script);
/* Adds an input file with these bytes, or a file of this machine at its own path. */
void add_input(struct fixture *f, struct thunk *t, const char *path, const char *text);
void add_host_file(struct fixture *f, struct manifest *m, const char *path);
/* The files ldd names for a program. */
void add_libraries(struct fixture *f, struct manifest *m, const char *program);

/* One submit and its answer. */
struct pending {
	pthread_mutex_t mutex;
	pthread_cond_t settled;
	bool done;                   /* guarded by mutex, as is result */
	struct engine_result result; /* what done() was given, taken over */
	struct engine_ticket *ticket;
	struct engine_job job;
};

void pending_start(struct fixture *f, struct pending *p, const struct thunk *t); /* finished */
/* Waits at most 60 seconds; aborts then. */
void pending_wait(struct pending *p);
void pending_release(struct pending *p);

/* Finishes t, runs it, gives the result, which the caller releases. */
struct engine_result run(struct fixture *f, struct thunk *t);
/* The bytes of an output, "" and a failed test if it is not there; the caller's to free. */
char *output_text(struct fixture *f, const struct engine_result *r, const char *path);

/* Polls until condition(arg) holds, for ten seconds at most. */
bool eventually(bool (*condition)(void *arg), void *arg);

#endif
