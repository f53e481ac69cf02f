/* The contract of engines (engine/engine.h) as tests, run on each row of a table of backends. */
#ifndef GGFS_TESTS_ENGINE_SUITE_H
#define GGFS_TESTS_ENGINE_SUITE_H

#include "tests/contract/engine/harness.h"
#include "tests/lib/test.h"

/* Setup and teardown of a test: *state is the struct fixture; its initial state a backend. */
int suite_setup(void **state);
int suite_teardown(void **state);

/* Runs tests, made with CONTRACT_TEST, on each backend of the table in suite.c: the place where
 * a new engine is added. What main() returns. */
int suite_run(struct CMUnitTest *tests, size_t count);
#define CONTRACT_TEST(test)                                                                        \
	{                                                                                          \
#test, test, suite_setup, suite_teardown, NULL                                     \
	}

/* Runs t and gives the result only if it was a success; else fails the test with the reason. */
struct engine_result run_well(struct fixture *f, struct thunk *t);
/* Runs t, which must end so; the reason must contain each of the given words. */
void expect_outcome(struct fixture *f, struct thunk *t, enum outcome outcome, int exit_status,
                    const char *words);
/* Where functions have no root of their own, t, which names a path from the root, must be refused
 * for that: true then. Else false, and nothing was done. */
bool refused_without_root(struct fixture *f, struct thunk *t);
void expect_text(struct fixture *f, const struct engine_result *r, const char *path,
                 const char *text);

#endif
