#include "tests/contract/engine/suite.h"

#include <string.h>

#include "engine/remote/wire.h"
#include "tests/contract/engine/remote_backend.h"

/* Which of them are run: GGFS_TEST_BACKENDS, "local" if it is not set. */
static const struct backend backends[] = {
	{ .name = "local", .make = engine_local_new },
	{ .name = "http",
	  .make = http_backend_new,
	  .relocated = true,
	  .stderr_kept = REMOTE_STDERR_MAX },
	{ .name = "lambda",
	  .make = lambda_backend_new,
	  .relocated = true,
	  .costs = true,
	  .stderr_kept = REMOTE_STDERR_MAX },
};

static bool is_wanted(const char *name)
{
	const char *wanted = getenv("GGFS_TEST_BACKENDS");
	scoped_free char *list = xformat(",%s,", wanted ? wanted : "local");
	scoped_free char *word = xformat(",%s,", name);
	return strstr(list, word);
}

int suite_run(struct CMUnitTest *tests, size_t count)
{
	int failed = 0;
	for (size_t b = 0; b < sizeof(backends) / sizeof(*backends); b++) {
		if (!is_wanted(backends[b].name))
			continue;
		for (size_t i = 0; i < count; i++)
			tests[i].initial_state = (void *)(uintptr_t)&backends[b];
		failed += _cmocka_run_group_tests(backends[b].name, tests, count, NULL, NULL);
	}
	return failed != 0;
}

int suite_setup(void **state)
{
	const struct backend *backend = *state;
	struct fixture *f = xcalloc(1, sizeof(*f));
	fixture_begin(f, backend, 2);
	*state = f;
	return 0;
}

int suite_teardown(void **state)
{
	struct fixture *f = *state;
	fixture_end(f);
	free(f);
	return 0;
}

struct engine_result run_well(struct fixture *f, struct thunk *t)
{
	struct engine_result r = run(f, t);
	if (r.outcome != OUTCOME_DONE)
		fail_msg("outcome %d: %s; it said: %s", r.outcome, r.reason, r.stderr_tail);
	assert_null(r.reason);
	assert_int_equal(r.memo.count, t->output_count);
	thunk_release(t);
	return r;
}

void expect_outcome(struct fixture *f, struct thunk *t, enum outcome outcome, int exit_status,
                    const char *words)
{
	struct engine_result r = run(f, t);
	if (r.outcome != outcome || r.exit_status != exit_status || !r.reason ||
	    !strstr(r.reason, words))
		fail_msg("outcome %d, exit %d: %s; it said: %s", r.outcome, r.exit_status, r.reason,
		         r.stderr_tail);
	engine_result_release(&r);
	thunk_release(t);
}

bool refused_without_root(struct fixture *f, struct thunk *t)
{
	if (!f->backend->relocated)
		return false;
	expect_outcome(f, t, OUTCOME_REFUSED, -1, "without namespaces");
	return true;
}

void expect_text(struct fixture *f, const struct engine_result *r, const char *path,
                 const char *text)
{
	scoped_free char *actual = output_text(f, r, path);
	assert_string_equal(actual, text);
}
