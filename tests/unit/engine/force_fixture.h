/* A store, an index, a loop, a fake engine and a forcer in a directory of their own. */
#ifndef GGFS_TESTS_FORCE_FIXTURE_H
#define GGFS_TESTS_FORCE_FIXTURE_H

#include "tests/lib/test.h"

#include "engine/force.h"
#include "fake_engine.h"

struct fixture {
	char *directory;
	struct store *store;
	struct index *index;
	struct loop *loop;
	struct fake_engine fake;
	struct forcer *forcer;
};

/* What came of one force. */
struct result {
	struct fixture *fixture;
	struct force *force; /* NULL once answered */
	bool answered;
	int code;
	struct ref ref;
	char *reason;
	struct digest failed;
	bool memoised;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Another forcer, with nothing in its memory. */
void fixture_new_forcer(struct fixture *x);

/* A thunk "VERB NAME ARGUMENT..." with the output o<NAME>, saved. Inputs and more: start from
 * thunk_begin(), end with thunk_end(), which also releases t. */
void thunk_begin(struct thunk *t, const char *verb, const char *name);
void thunk_needs(struct thunk *t, const char *path, const struct ref *ref);
struct ref thunk_end(struct fixture *x, struct thunk *t);
struct ref simple_thunk(struct fixture *x, const char *verb, const char *name);
struct ref thunk_of(struct fixture *x, const char *verb, const char *name, const struct ref *a,
                    const struct ref *b); /* inputs a and b, which may be NULL */
struct ref ref_of_bytes(struct fixture *x, const char *bytes);

void start(struct fixture *x, const struct ref *ref, enum force_priority priority,
           struct result *out);
void start_request(struct fixture *x, const struct force_request *request, struct result *out);
void result_release(struct result *r);

/* Runs the loop until the condition holds; fails the test after a minute. */
typedef bool condition_fn(void *arg);
void run_until(struct fixture *x, condition_fn *condition, void *arg);
void run_until_answered(struct fixture *x, struct result *r);
void run_until_idle(struct fixture *x); /* nothing queued or running */
void run_until_held(struct fixture *x, const char *name);

/* Forces and returns the result's bytes, the caller's to free; fails the test on failure. */
char *force_bytes(struct fixture *x, const struct ref *ref);
/* Forces and expects this code; the reason, the caller's to free. failed may be NULL. */
char *force_failure(struct fixture *x, const struct ref *ref, int code, struct digest *failed);
void assert_bytes(struct fixture *x, const struct ref *ref, const char *bytes);

#endif
