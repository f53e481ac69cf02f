/* A worker, a fake far store, and thunks that run this machine's shell with its libraries. */
#ifndef GGFS_TESTS_WORKER_FIXTURE_H
#define GGFS_TESTS_WORKER_FIXTURE_H

#include "tests/lib/test.h"

#include "engine/worker/worker.h"
#include "tests/unit/worker/fake_far.h"

struct fixture {
	char *directory, *cache;
	struct store *far;
	struct worker *worker;
	struct sized_digest toolchain; /* in far, as all that it names */
	struct remote_answer answer;   /* the last; its blobs point into text */
	struct buf text;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* A worker anew, on the same cache. cache_bytes 0: the default. */
void fixture_restart(struct fixture *f, uint64_t cache_bytes);

/* `sh -c SCRIPT` in w/, which has the one output w/out; finish it with fixture_save. */
void fixture_thunk(struct fixture *f, const char *script, struct thunk *out);
struct digest fixture_save(struct fixture *f, struct thunk *t); /* into far; releases t */
void fixture_add_input(struct fixture *f, struct thunk *t, const char *path, const char *text);

/* Has a request of these thunks handled; the answer is in f. NULL request: an ordinary one. */
void fixture_run(struct fixture *f, const struct digest *thunks, size_t count, int64_t deadline_ms,
                 struct remote_request *request);
/* One thunk of this script: its result, borrowed until the next. */
const struct remote_result *fixture_script(struct fixture *f, const char *script);
/* The text of an output that came in the answer. */
void fixture_expect_output(struct fixture *f, size_t result, const char *path, const char *text);

#endif
