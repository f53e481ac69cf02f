#include "force_fixture.h"

#include <string.h>

#include "engine/force_impl.h"

enum { PATIENCE_MS = 60000, POLL_MS = 1 };

int fixture_setup(void **state)
{
	struct error err = ERROR_INIT;
	struct fixture *x = xcalloc(1, sizeof(*x));
	x->directory = test_directory();
	scoped_free char *path = xformat("%s/store", x->directory);
	assert_ok(store_open_local(path, true, STORE_SYNC_NONE, &x->store, &err));
	assert_ok(index_open(x->store, &x->index, NULL, &err));
	assert_ok(loop_new(&x->loop, &err));
	fake_init(&x->fake, x->store);
	assert_ok(forcer_new(x->loop, x->store, x->index, &x->fake.engine, &x->forcer, &err));
	*state = x;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *x = *state;
	forcer_free(x->forcer);
	fake_end(&x->fake);
	loop_free(x->loop);
	index_free(x->index);
	store_free(x->store);
	test_directory_remove(x->directory);
	free(x);
	return 0;
}

void fixture_new_forcer(struct fixture *x)
{
	struct error err = ERROR_INIT;
	forcer_free(x->forcer);
	assert_ok(forcer_new(x->loop, x->store, x->index, &x->fake.engine, &x->forcer, &err));
}

/* --- thunks --- */

void thunk_begin(struct thunk *t, const char *verb, const char *name)
{
	*t = THUNK_INIT;
	t->program = xstrdup("bin/fake");
	strv_add(&t->args, verb);
	strv_add(&t->args, name);
}

void thunk_needs(struct thunk *t, const char *path, const struct ref *ref)
{
	manifest_add_file(&t->inputs, path, 0644, ref);
}

struct ref thunk_end(struct fixture *x, struct thunk *t)
{
	struct error err = ERROR_INIT;
	scoped_free char *output = xformat("o%s", t->args.items[1]);
	struct ref ref = { .kind = REF_THUNK };
	if (t->output_count == 0)
		thunk_add_output(t,
		                 strcmp(t->args.items[0], "tree") == 0 ? OUTPUT_TREE : OUTPUT_FILE,
		                 output);
	assert_ok(thunk_finish(t, &err));
	assert_ok(thunk_save(x->store, t, &ref.digest, &err));
	ref.output = xstrdup(t->outputs[0].path);
	thunk_release(t);
	return ref;
}

struct ref simple_thunk(struct fixture *x, const char *verb, const char *name)
{
	return thunk_of(x, verb, name, NULL, NULL);
}

struct ref thunk_of(struct fixture *x, const char *verb, const char *name, const struct ref *a,
                    const struct ref *b)
{
	struct thunk t;
	thunk_begin(&t, verb, name);
	if (a)
		thunk_needs(&t, "a", a);
	if (b)
		thunk_needs(&t, "b", b);
	return thunk_end(x, &t);
}

struct ref ref_of_bytes(struct fixture *x, const char *bytes)
{
	struct error err = ERROR_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(bytes) };
	assert_ok(store_put_bytes(x->store, bytes, strlen(bytes), &ref.digest, &err));
	return ref;
}

/* --- forcing --- */

static void take_answer(void *arg, const struct force_answer *answer)
{
	struct result *r = arg;
	assert_false(r->answered);
	r->answered = true;
	r->force = NULL;
	r->code = answer->code;
	r->memoised = answer->memoised;
	r->failed = answer->failed;
	if (answer->ref)
		ref_copy(&r->ref, answer->ref);
	if (answer->reason)
		r->reason = xstrdup(answer->reason);
}

void start_request(struct fixture *x, const struct force_request *request, struct result *out)
{
	struct error err = ERROR_INIT;
	struct force_request full = *request;
	*out = (struct result){ .fixture = x };
	full.done = take_answer;
	full.arg = out;
	if (!full.asker)
		full.asker = "test[1]";
	assert_ok(force_start(x->forcer, &full, &out->force, &err));
	assert_false(out->answered);
}

void start(struct fixture *x, const struct ref *ref, enum force_priority priority,
           struct result *out)
{
	struct force_request request = { .ref = *ref, .priority = priority };
	start_request(x, &request, out);
}

void result_release(struct result *r)
{
	ref_release(&r->ref);
	free(r->reason);
	*r = (struct result){ 0 };
}

struct wait {
	struct fixture *fixture;
	condition_fn *condition;
	void *arg;
	int64_t until_ms;
	bool late;
};

static void poll_condition(void *arg)
{
	struct wait *w = arg;
	w->late = now_ms() > w->until_ms;
	if (w->late || w->condition(w->arg))
		loop_stop(w->fixture->loop);
	else
		loop_after(w->fixture->loop, POLL_MS, poll_condition, w);
}

void run_until(struct fixture *x, condition_fn *condition, void *arg)
{
	struct error err = ERROR_INIT;
	struct wait w = { x, condition, arg, now_ms() + PATIENCE_MS, false };
	loop_after(x->loop, 0, poll_condition, &w);
	assert_ok(loop_run(x->loop, &err));
	if (w.late)
		fail_msg("what was waited for did not come about");
	struct force_counts counts;
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.queued, forcer_count_queued(x->forcer));
}

static bool is_answered(void *arg)
{
	return ((struct result *)arg)->answered;
}

void run_until_answered(struct fixture *x, struct result *r)
{
	run_until(x, is_answered, r);
}

static bool is_idle(void *arg)
{
	struct force_counts counts;
	forcer_counts(((struct fixture *)arg)->forcer, &counts);
	return counts.queued == 0 && counts.running == 0;
}

void run_until_idle(struct fixture *x)
{
	run_until(x, is_idle, x);
}

struct held_wait {
	struct fixture *fixture;
	const char *name;
};

static bool is_held(void *arg)
{
	struct held_wait *w = arg;
	return fake_has_held(&w->fixture->fake, w->name);
}

void run_until_held(struct fixture *x, const char *name)
{
	struct held_wait w = { x, name };
	run_until(x, is_held, &w);
}

/* --- results --- */

void assert_bytes(struct fixture *x, const struct ref *ref, const char *bytes)
{
	struct error err = ERROR_INIT;
	scoped_buf struct buf b = BUF_INIT;
	assert_int_equal(ref->kind, REF_BLOB);
	assert_ok(store_get_bytes(x->store, &ref->digest, 1 << 20, &b, &err));
	assert_string_equal(b.data ? b.data : "", bytes);
	assert_int_equal(ref->size_bytes, b.len);
}

char *force_bytes(struct fixture *x, const struct ref *ref)
{
	struct result r;
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT;
	start(x, ref, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	if (r.code)
		fail_msg("%s", r.reason);
	assert_ok(store_get_bytes(x->store, &r.ref.digest, 1 << 20, &b, &err));
	result_release(&r);
	return buf_steal(&b, NULL);
}

char *force_failure(struct fixture *x, const struct ref *ref, int code, struct digest *failed)
{
	struct result r;
	start(x, ref, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, code);
	assert_non_null(r.reason);
	assert_true(*r.reason);
	if (failed)
		*failed = r.failed;
	char *reason = xstrdup(r.reason);
	result_release(&r);
	return reason;
}
