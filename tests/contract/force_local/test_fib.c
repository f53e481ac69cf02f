/* The force on the local engine, with functions that answer with further thunks: examples/fib. */
#include "tests/lib/test.h"

#include <string.h>

#include "engine/digest_map.h"
#include "engine/force.h"

enum { PATIENCE_MS = 100000 };

struct world {
	char *directory;
	struct store *store;
	struct index *index;
	struct loop *loop;
	struct engine *engine;
	struct forcer *forcer;
};

static int setup(void **state)
{
	struct error err = ERROR_INIT;
	struct world *w = xcalloc(1, sizeof(*w));
	w->directory = test_directory();
	scoped_free char *path = xformat("%s/store", w->directory);
	assert_ok(store_open_local(path, true, STORE_SYNC_NONE, &w->store, &err));
	assert_ok(index_open(w->store, &w->index, NULL, &err));
	assert_ok(loop_new(&w->loop, &err));
	assert_ok(engine_local_new(w->store, 0, &w->engine, &err));
	assert_ok(forcer_new(w->loop, w->store, w->index, w->engine, &w->forcer, &err));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	forcer_free(w->forcer);
	w->engine->ops->free(w->engine);
	loop_free(w->loop);
	index_free(w->index);
	store_free(w->store);
	test_directory_remove(w->directory);
	free(w);
	return 0;
}

static void add_program(struct world *w, struct thunk *t, const char *variable, const char *path)
{
	struct error err = ERROR_INIT;
	struct ref ref = { .kind = REF_BLOB };
	const char *from = getenv(variable);
	assert_non_null(from);
	scoped_fd int fd = open(from, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_ok(store_put_fd(w->store, fd, &ref.digest, &ref.size_bytes, &err));
	manifest_add_file(&t->inputs, path, 0755, &ref);
}

static struct ref fib_thunk(struct world *w, const char *n, const char *cwd)
{
	struct error err = ERROR_INIT;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct ref ref = { .kind = REF_THUNK, .output = xstrdup("work/out") };
	t.program = xstrdup("bin/fib");
	t.cwd = cwd ? xstrdup(cwd) : NULL;
	strv_add(&t.args, "fib");
	strv_add(&t.args, n);
	add_program(w, &t, "GGFS_TEST_FIB", "bin/fib");
	add_program(w, &t, "GGFS_TEST_ADD", "bin/add");
	thunk_add_output(&t, OUTPUT_FILE, "work/out");
	t.yields = true;
	assert_ok(thunk_finish(&t, &err));
	assert_ok(thunk_save(w->store, &t, &ref.digest, &err));
	return ref;
}

struct answer {
	struct world *world;
	int code;
	bool late;
	bool memoised;
	struct buf text; /* the bytes, or the reason */
};

static void take(void *arg, const struct force_answer *answer)
{
	struct answer *a = arg;
	struct error err = ERROR_INIT;
	a->code = answer->code;
	a->memoised = answer->memoised;
	if (answer->code)
		buf_add_str(&a->text, answer->reason);
	else
		assert_ok(store_get_bytes(a->world->store, &answer->ref->digest, 100, &a->text,
		                          &err));
	loop_stop(a->world->loop);
}

static void give_up(void *arg)
{
	struct answer *a = arg;
	a->late = true;
	loop_stop(a->world->loop);
}

static struct answer force(struct world *w, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	struct answer a = { .world = w };
	struct force *handle;
	struct force_request request = {
		.ref = *ref, .priority = PRIORITY_READER, .asker = "test", .done = take, .arg = &a
	};
	assert_ok(force_start(w->forcer, &request, &handle, &err));
	struct loop_timer *timer = loop_after(w->loop, PATIENCE_MS, give_up, &a);
	assert_ok(loop_run(w->loop, &err));
	assert_false(a.late);
	loop_cancel(timer);
	return a;
}

struct runs {
	struct digest_map seen;
	size_t count;
	bool twice;
};

static int count_run(void *arg, const struct log_record *r)
{
	struct runs *runs = arg;
	if (r->memoised)
		return 0;
	runs->count++;
	runs->twice = digest_map_put(&runs->seen, &r->thunk, runs) || runs->twice;
	return 0;
}

static void fib_24_is_right_and_each_distinct_thunk_runs_once(void **state)
{
	struct world *w = *state;
	struct error err = ERROR_INIT;
	struct runs runs = { 0 };
	struct force_counts counts;
	scoped_ref struct ref fib = fib_thunk(w, "24", NULL);
	struct answer a = force(w, &fib);
	assert_string_equal(a.text.data, "46368\n");
	assert_int_equal(a.code, 0);
	buf_release(&a.text);
	/* fib 0 to fib 24, and add for fib 2 to fib 24. */
	forcer_counts(w->forcer, &counts);
	assert_int_equal(counts.done, 25 + 23);
	assert_ok(index_log_iterate(w->index, 1000, count_run, &runs, &err));
	assert_int_equal(runs.count, 25 + 23);
	assert_false(runs.twice);
	digest_map_release(&runs.seen);

	a = force(w, &fib);
	assert_true(a.memoised);
	assert_string_equal(a.text.data, "46368\n");
	buf_release(&a.text);
	/* fib 25 needs itself and one add more. */
	scoped_ref struct ref next = fib_thunk(w, "25", NULL);
	a = force(w, &next);
	assert_string_equal(a.text.data, "75025\n");
	buf_release(&a.text);
	forcer_counts(w->forcer, &counts);
	assert_int_equal(counts.done, 25 + 23 + 2);
}

static void fib_works_in_a_working_directory_of_its_own(void **state)
{
	struct world *w = *state;
	scoped_ref struct ref fib = fib_thunk(w, "7", "work");
	struct answer a = force(w, &fib);
	assert_string_equal(a.text.data, "13\n");
	buf_release(&a.text);
}

static void a_function_that_fails_tells_why(void **state)
{
	struct world *w = *state;
	struct failure failure = { 0 };
	scoped_ref struct ref fib = fib_thunk(w, "many", NULL);
	struct answer a = force(w, &fib);
	assert_int_equal(a.code, -EREMOTEIO);
	buf_release(&a.text);
	assert_int_equal(index_failure_get(w->index, &fib.digest, &failure), 0);
	assert_int_equal(failure.exit_status, 2);
	assert_non_null(strstr(failure.stderr_tail, "usage: fib N"));
	failure_release(&failure);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fib_24_is_right_and_each_distinct_thunk_runs_once,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(fib_works_in_a_working_directory_of_its_own, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_function_that_fails_tells_why, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
