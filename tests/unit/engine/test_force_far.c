/* A force with a far store: a second directory here, which answers when asked. */
#include "force_fixture.h"

#include <errno.h>
#include <string.h>

struct far_fixture {
	struct fixture *x;
	char *path;
	struct store *store; /* the far one */
	int code;            /* what every question comes to, when it is not 0 */
	bool hold;           /* questions are kept */
	struct force_errand *held[8];
	unsigned held_count, memos_asked, pulls;
};

static bool far_known(void *arg, const struct digest *blob)
{
	struct far_fixture *f = arg;
	return index_far_known(f->x->index, blob);
}

static void far_remember(void *arg, const struct digest *blob, bool there)
{
	struct far_fixture *f = arg;
	index_far_remember(f->x->index, blob, there);
}

static bool keep(struct far_fixture *f, struct force_errand *errand)
{
	if (f->code)
		force_errand_done(errand, f->code, NULL, "as told");
	else if (f->hold)
		f->held[f->held_count++] = errand;
	return f->code || f->hold;
}

static void far_pull(void *arg, const struct digest *blob, uint64_t size_bytes,
                     struct force_errand *errand)
{
	struct far_fixture *f = arg;
	struct error err = ERROR_INIT;
	struct digest got;
	(void)size_bytes;
	f->pulls++;
	if (keep(f, errand))
		return;
	scoped_fd int fd = store_get(f->store, blob, &err);
	int r = fd < 0 ? fd : store_put_fd(f->x->store, fd, &got, NULL, &err);
	force_errand_done(errand, r < 0 ? r : 0, NULL, err.text);
}

static void far_memo(void *arg, const struct digest *thunk, struct force_errand *errand)
{
	struct far_fixture *f = arg;
	struct memo memo = MEMO_INIT;
	f->memos_asked++;
	if (keep(f, errand))
		return;
	int r = store_memo_get(f->store, thunk, &memo, NULL);
	force_errand_done(errand, r, r == 0 ? &memo : NULL, "");
}

static void let_go(struct far_fixture *f)
{
	for (unsigned i = 0; i < f->held_count; i++)
		force_errand_done(f->held[i], -ENOENT, NULL, "absent");
	f->held_count = 0;
}

static void use_far(struct far_fixture *f)
{
	struct force_far far = { far_known, far_remember, far_pull, far_memo, f };
	forcer_set_far(f->x->forcer, &far);
}

static int far_setup(void **state)
{
	struct error err = ERROR_INIT;
	struct far_fixture *f = xcalloc(1, sizeof(*f));
	fixture_setup(state);
	f->x = *state;
	f->path = test_directory();
	scoped_free char *path = xformat("%s/far", f->path);
	assert_ok(store_open_local(path, true, STORE_SYNC_NONE, &f->store, &err));
	use_far(f);
	*state = f;
	return 0;
}

static int far_teardown(void **state)
{
	struct far_fixture *f = *state;
	forcer_free(f->x->forcer);
	f->x->forcer = NULL;
	let_go(f);
	store_free(f->store);
	test_directory_remove(f->path);
	void *x = f->x;
	free(f);
	return fixture_teardown(&x);
}

/* --- what others have made: moved from here to the far store --- */

static int move_blob(void *arg, const struct digest *d, uint64_t size_bytes)
{
	struct far_fixture *f = arg;
	struct error err = ERROR_INIT;
	struct digest got;
	(void)size_bytes;
	scoped_fd int fd = store_get(f->x->store, d, &err);
	assert_true(fd >= 0);
	assert_ok(store_put_fd(f->store, fd, &got, NULL, &err));
	return 0;
}

static int move_memo(void *arg, const struct digest *thunk, uint64_t size_bytes)
{
	struct far_fixture *f = arg;
	struct error err = ERROR_INIT;
	scoped_memo struct memo memo = MEMO_INIT;
	(void)size_bytes;
	assert_ok(index_memo_get(f->x->index, thunk, &memo, &err));
	assert_ok(store_memo_put(f->store, &memo, &err));
	assert_ok(index_memo_delete(f->x->index, thunk, &err));
	for (size_t i = 0; i < memo.count; i++)
		if (memo.outputs[i].ref.kind != REF_THUNK)
			store_delete(f->x->store, &memo.outputs[i].ref.digest, NULL);
	return 0;
}

/* Forces ref here, moves all results and memos to the far store, and forgets. */
static void made_by_others(struct far_fixture *f, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	struct result r;
	start(f->x, ref, PRIORITY_BATCH, &r);
	run_until_answered(f->x, &r);
	assert_int_equal(r.code, 0);
	result_release(&r);
	assert_ok(store_iterate(f->x->store, move_blob, f, &err));
	assert_ok(store_memo_iterate(f->x->store, move_memo, f, &err));
	fixture_new_forcer(f->x);
	use_far(f);
	f->x->fake.submits = 0;
	f->memos_asked = f->pulls = 0;
}

static void what_others_have_made_is_not_made_again(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	struct ref top = thunk_of(f->x, "join", "top", &a, NULL);
	made_by_others(f, &top);
	scoped_free char *bytes = force_bytes(f->x, &top);
	assert_string_equal(bytes, "top(a())");
	assert_int_equal(f->x->fake.submits, 0);
	assert_int_equal(f->memos_asked, 1); /* what it is made of is not even asked for */
	assert_int_equal(f->pulls, 1);
	ref_release(&a);
	ref_release(&top);
}

static void result_may_stay_in_the_far_store(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	made_by_others(f, &a);
	struct force_request request = { .ref = a, .leave_far = true };
	struct result r;
	start_request(f->x, &request, &r);
	run_until_answered(f->x, &r);
	assert_int_equal(r.code, 0);
	assert_true(r.memoised);
	assert_int_equal(f->pulls, 0);
	struct error err = ERROR_INIT;
	assert_error(store_has(f->x->store, &r.ref.digest, NULL, &err), -ENOENT);
	result_release(&r);
	ref_release(&a);
}

static void blob_gone_from_the_far_store_is_made_again(void **state)
{
	struct far_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct ref a = simple_thunk(f->x, "join", "a");
	made_by_others(f, &a);
	scoped_memo struct memo memo = MEMO_INIT;
	assert_ok(store_memo_get(f->store, &a.digest, &memo, &err));
	assert_ok(store_delete(f->store, &memo.outputs[0].ref.digest, &err));
	scoped_free char *bytes = force_bytes(f->x, &a);
	assert_string_equal(bytes, "a()");
	assert_int_equal(f->x->fake.submits, 1);
	ref_release(&a);
}

static void thunk_and_tree_that_are_only_far_are_fetched(void **state)
{
	struct far_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct ref tree = simple_thunk(f->x, "tree", "t");
	made_by_others(f, &tree);
	assert_ok(store_delete(f->x->store, &tree.digest, &err));
	struct ref b = ref_of_bytes(f->x, "b");
	assert_ok(store_delete(f->x->store, &b.digest, &err));
	tree.selection = xstrdup("sub/b");
	scoped_free char *bytes = force_bytes(f->x, &tree);
	assert_string_equal(bytes, "b");
	assert_int_equal(f->x->fake.submits, 0);
	assert_int_equal(f->pulls, 2);
	struct ref a = simple_thunk(f->x, "join", "a");
	made_by_others(f, &a);
	assert_ok(store_delete(f->x->store, &a.digest, &err));
	assert_ok(store_memo_delete(f->store, &a.digest, &err));
	scoped_free char *again = force_bytes(f->x, &a);
	assert_string_equal(again, "a()");
	assert_int_equal(f->x->fake.submits, 1);
	ref_release(&tree);
	ref_release(&a);
}

static void far_store_that_is_away_does_not_stop_what_can_be_made_here(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	f->code = -ENETDOWN;
	scoped_free char *bytes = force_bytes(f->x, &a);
	assert_string_equal(bytes, "a()");
	ref_release(&a);
}

static void blob_that_cannot_be_fetched_is_enetdown_or_what_refused_it(void **state)
{
	static const struct {
		int code, answer;
	} cases[] = { { -ENETDOWN, -ENETDOWN }, { -EACCES, -EACCES }, { -ENOSPC, -ENOSPC } };
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	made_by_others(f, &a);
	struct force_request request = { .ref = a, .leave_far = true };
	struct result r;
	start_request(f->x, &request, &r);
	run_until_answered(f->x, &r);
	result_release(&r);
	for (size_t i = 0; i < 3; i++) {
		f->code = cases[i].code;
		scoped_free char *reason = force_failure(f->x, &a, cases[i].answer, NULL);
		assert_non_null(strstr(reason, "as told"));
		struct failure failure = { 0 };
		assert_int_equal(index_failure_get(f->x->index, &a.digest, &failure), 0);
		assert_int_equal(failure.code, -cases[i].answer);
		failure_release(&failure);
	}
	f->code = 0;
	scoped_free char *bytes = force_bytes(f->x, &a);
	assert_string_equal(bytes, "a()");
	ref_release(&a);
}

static bool has_held(void *arg)
{
	return ((struct far_fixture *)arg)->held_count > 0;
}

static void caller_may_leave_while_the_far_store_is_asked(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	struct result r;
	f->hold = true;
	start(f->x, &a, PRIORITY_READER, &r);
	run_until(f->x, has_held, f);
	force_cancel(r.force);
	let_go(f);
	run_until_idle(f->x);
	assert_int_equal(f->x->fake.submits, 0);
	ref_release(&a);
}

static void cancel_ends_the_wait_for_the_far_store(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a"), b = simple_thunk(f->x, "join", "b");
	made_by_others(f, &b);
	struct force_request request = { .ref = b, .leave_far = true };
	struct result made, wait, fetch;
	start_request(f->x, &request, &made);
	run_until_answered(f->x, &made);
	f->hold = true;
	start(f->x, &a, PRIORITY_READER, &wait);
	start(f->x, &b, PRIORITY_READER, &fetch);
	run_until(f->x, has_held, f);
	while (f->held_count < 2)
		run_until(f->x, has_held, f);
	forcer_cancel_all(f->x->forcer);
	run_until_answered(f->x, &wait);
	run_until_answered(f->x, &fetch);
	assert_int_equal(wait.code, -ECANCELED);
	assert_int_equal(fetch.code, -ECANCELED);
	result_release(&made);
	result_release(&wait);
	result_release(&fetch);
	ref_release(&a);
	ref_release(&b);
}

static void forcer_may_end_while_the_far_store_is_asked(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	struct result r;
	f->hold = true;
	start(f->x, &a, PRIORITY_READER, &r);
	run_until(f->x, has_held, f);
	fixture_new_forcer(f->x);
	assert_true(r.answered);
	assert_int_equal(r.code, -ECANCELED);
	result_release(&r);
	ref_release(&a);
}

/* --- terms --- */

static void terms_of_the_caller_reach_the_engine(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	struct ref top = thunk_of(f->x, "join", "top", &a, NULL);
	struct force_request request = { .ref = top, .engines = "lambda", .local_only = true };
	struct result r;
	start_request(f->x, &request, &r);
	run_until_answered(f->x, &r);
	assert_string_equal(f->x->fake.engines, "lambda");
	assert_true(f->x->fake.local_only);
	result_release(&r);
	ref_release(&a);
	ref_release(&top);
}

static void caller_who_may_pay_frees_what_waits_for_one_who_may_not(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a");
	struct ref top = thunk_of(f->x, "join", "top", &a, NULL);
	struct force_request request = { .ref = top, .local_only = true };
	struct result poor, rich;
	f->x->fake.hold = true;
	start_request(f->x, &request, &poor);
	run_until_held(f->x, "a");
	request.local_only = false;
	start_request(f->x, &request, &rich);
	f->x->fake.hold = false;
	fake_release(&f->x->fake);
	run_until_answered(f->x, &poor);
	run_until_answered(f->x, &rich);
	assert_false(f->x->fake.local_only);
	result_release(&poor);
	result_release(&rich);
	ref_release(&a);
	ref_release(&top);
}

static void budget_is_not_passed_and_counts_what_is_in_flight(void **state)
{
	struct far_fixture *f = *state;
	struct ref a = simple_thunk(f->x, "join", "a"), b = simple_thunk(f->x, "join", "b"),
	           c = simple_thunk(f->x, "join", "c");
	struct purse *purse = purse_new(25 * 1000000000ull);
	struct force_request request = { .purse = purse };
	struct result ra, rb, rc;
	f->x->fake.jobs = 8;
	f->x->fake.price = 1000000000; /* ten seconds are taken for what was never seen */
	f->x->fake.cost = 7;
	f->x->fake.hold = true;
	request.ref = a;
	start_request(f->x, &request, &ra);
	request.ref = b;
	start_request(f->x, &request, &rb);
	request.ref = c;
	start_request(f->x, &request, &rc);
	run_until_answered(f->x, &rc);
	assert_int_equal(rc.code, -EDQUOT);
	assert_non_null(strstr(rc.reason, "--budget"));
	f->x->fake.hold = false;
	fake_release(&f->x->fake);
	run_until_answered(f->x, &ra);
	run_until_answered(f->x, &rb);
	assert_int_equal(ra.code, 0);
	assert_int_equal(rb.code, 0);
	assert_int_equal(purse->spent, 14);
	assert_int_equal(purse->reserved, 0);
	struct force_counts counts;
	forcer_counts(f->x->forcer, &counts);
	assert_int_equal(counts.cost_nanodollars, 14);
	struct failure failure = { 0 };
	assert_int_equal(index_failure_get(f->x->index, &c.digest, &failure), 0);
	assert_int_equal(failure.code, EDQUOT);
	failure_release(&failure);
	/* Told, but not heeded: with room in the purse it is made. */
	result_release(&rc);
	start_request(f->x, &request, &rc);
	run_until_answered(f->x, &rc);
	assert_int_equal(rc.code, 0);
	purse_unshare(purse);
	result_release(&ra);
	result_release(&rb);
	result_release(&rc);
	ref_release(&a);
	ref_release(&b);
	ref_release(&c);
}

#define T(name) cmocka_unit_test_setup_teardown(name, far_setup, far_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_others_have_made_is_not_made_again),
		T(result_may_stay_in_the_far_store),
		T(blob_gone_from_the_far_store_is_made_again),
		T(thunk_and_tree_that_are_only_far_are_fetched),
		T(far_store_that_is_away_does_not_stop_what_can_be_made_here),
		T(blob_that_cannot_be_fetched_is_enetdown_or_what_refused_it),
		T(caller_may_leave_while_the_far_store_is_asked),
		T(cancel_ends_the_wait_for_the_far_store),
		T(forcer_may_end_while_the_far_store_is_asked),
		T(terms_of_the_caller_reach_the_engine),
		T(caller_who_may_pay_frees_what_waits_for_one_who_may_not),
		T(budget_is_not_passed_and_counts_what_is_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
