/* Answers that are thunks, cycles, depth, healing, looking. */
#include "force_fixture.h"

#include <string.h>

static struct ref yielding_thunk(struct fixture *x, const char *name, const struct ref *to)
{
	struct thunk t;
	thunk_begin(&t, "yield", name);
	strv_add(&t.args, digest_hex(&to->digest).text);
	strv_add(&t.args, to->output);
	t.yields = true;
	return thunk_end(x, &t);
}

static void answers_that_are_thunks_are_followed(void **state)
{
	struct fixture *x = *state;
	struct result r;
	scoped_ref struct ref end = simple_thunk(x, "join", "end");
	scoped_ref struct ref middle = yielding_thunk(x, "m", &end);
	scoped_ref struct ref first = yielding_thunk(x, "f", &middle);
	scoped_free char *bytes = force_bytes(x, &first);
	assert_string_equal(bytes, "end()");
	start(x, &first, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_true(r.memoised);
	result_release(&r);
	/* As an input. */
	scoped_ref struct ref user = thunk_of(x, "join", "u", &first, NULL);
	scoped_free char *used = force_bytes(x, &user);
	assert_string_equal(used, "u(end())");
	assert_int_equal(x->fake.submits, 4);
}

static void a_selection_goes_through_answers_that_are_thunks(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref tree = simple_thunk(x, "tree", "d");
	scoped_ref struct ref first = yielding_thunk(x, "f", &tree);
	first.selection = xstrdup("sub/b");
	scoped_free char *bytes = force_bytes(x, &first);
	assert_string_equal(bytes, "b");
}

static void a_thunk_that_answers_with_itself_is_eloop(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref t = simple_thunk(x, "hook", "t");
	ref_copy(&x->fake.hook, &t);
	scoped_free char *reason = force_failure(x, &t, -ELOOP, NULL);
	scoped_free char *named =
	        xformat("%s -> %s", digest_hex(&t.digest).text, digest_hex(&t.digest).text);
	assert_non_null(strstr(reason, named));
}

static void answers_that_go_in_a_circle_are_eloop_and_all_named(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref hook = simple_thunk(x, "hook", "h");
	scoped_ref struct ref a = yielding_thunk(x, "a", &hook);
	scoped_ref struct ref b = yielding_thunk(x, "b", &a);
	scoped_ref struct ref outside = yielding_thunk(x, "o", &b);
	ref_copy(&x->fake.hook, &b);
	scoped_free char *reason = force_failure(x, &outside, -ELOOP, NULL);
	assert_non_null(strstr(reason, digest_hex(&a.digest).text));
	assert_non_null(strstr(reason, digest_hex(&b.digest).text));
	assert_non_null(strstr(reason, digest_hex(&hook.digest).text));
	assert_null(strstr(reason, digest_hex(&outside.digest).text));
	assert_int_equal(x->fake.submits, 4);
	struct force_look look;
	struct error err = ERROR_INIT;
	assert_ok(forcer_look(x->forcer, &outside, &look, &err));
	assert_int_equal(look.state, STATE_FAILED);
	assert_int_equal(look.failure.code, ELOOP);
	force_look_release(&look);
}

static void a_thunk_whose_input_answers_with_the_thunk_is_eloop(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	scoped_ref struct ref input = simple_thunk(x, "hook", "i");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &input, NULL);
	ref_copy(&x->fake.hook, &t);
	scoped_free char *reason = force_failure(x, &t, -ELOOP, &failed);
	assert_non_null(strstr(reason, digest_hex(&t.digest).text));
	assert_memory_equal(&failed, &t.digest, sizeof(failed));
	run_until_idle(x);
}

static void a_cycle_over_inputs_and_answers_is_eloop_and_named(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref input = simple_thunk(x, "hook", "i");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &input, NULL);
	scoped_ref struct ref between = thunk_of(x, "join", "b", &t, NULL);
	scoped_ref struct ref answer = thunk_of(x, "join", "a", &between, NULL);
	scoped_ref struct ref above = thunk_of(x, "join", "above", &t, NULL);
	ref_copy(&x->fake.hook, &answer);
	struct result r[3];
	start(x, &above, PRIORITY_READER, &r[0]);
	start(x, &t, PRIORITY_READER, &r[1]);
	start(x, &between, PRIORITY_BATCH, &r[2]);
	for (int i = 0; i < 3; i++) {
		run_until_answered(x, &r[i]);
		assert_int_equal(r[i].code, -ELOOP);
		assert_non_null(strstr(r[i].reason, digest_hex(&t.digest).text));
		assert_non_null(strstr(r[i].reason, digest_hex(&between.digest).text));
		assert_non_null(strstr(r[i].reason, digest_hex(&answer.digest).text));
		result_release(&r[i]);
	}
	run_until_idle(x);
	/* With keep_going, too, nobody is left waiting for ever. */
	assert_int_equal(index_failure_delete(x->index, &r[0].failed), -ENOENT);
	index_failure_delete(x->index, &t.digest);
	index_failure_delete(x->index, &between.digest);
	index_failure_delete(x->index, &answer.digest);
	struct force_request request = { .ref = above, .keep_going = true };
	start_request(x, &request, &r[0]);
	run_until_answered(x, &r[0]);
	assert_int_equal(r[0].code, -ELOOP);
	result_release(&r[0]);
	run_until_idle(x);
}

static void answers_without_end_are_eloop(void **state)
{
	struct fixture *x = *state;
	struct thunk t;
	thunk_begin(&t, "endless", "t");
	strv_add(&t.args, "0");
	t.yields = true;
	scoped_ref struct ref ref = thunk_end(x, &t);
	scoped_free char *reason = force_failure(x, &ref, -ELOOP, NULL);
	assert_non_null(strstr(reason, "10000"));
	assert_in_range(x->fake.submits, FORCE_FOLLOW_MAX, FORCE_FOLLOW_MAX + 1);
}

static void a_chain_of(struct fixture *x, size_t length)
{
	struct ref below = simple_thunk(x, "same", "s");
	struct result r;
	for (size_t i = 0; i < length; i++) {
		scoped_free char *name = xformat("%zu", i);
		struct ref t = thunk_of(x, "same", name, &below, NULL);
		ref_release(&below);
		below = t;
	}
	start(x, &below, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	assert_int_equal(r.code, 0);
	assert_bytes(x, &r.ref, "same");
	result_release(&r);
	ref_release(&below);
	assert_int_equal(x->fake.submits, length + 1);
}

static void a_chain_of_200_is_made(void **state)
{
	a_chain_of(*state, 200);
}

static void a_chain_of_10000_is_made(void **state)
{
	a_chain_of(*state, 10000);
}

/* Deep enough for any recursion to overflow the stack, and nothing has to be run. */
static void a_failure_below_a_chain_of_100000_reaches_its_top(void **state)
{
	enum { LENGTH = 100000 };
	struct fixture *x = *state;
	struct digest failed;
	struct ref root = simple_thunk(x, "fail", "root"), below = REF_INIT;
	ref_copy(&below, &root);
	for (size_t i = 0; i < LENGTH; i++) {
		scoped_free char *name = xformat("%zu", i);
		struct ref t = thunk_of(x, "same", name, &below, NULL);
		ref_release(&below);
		below = t;
	}
	free(force_failure(x, &below, -EREMOTEIO, &failed));
	assert_memory_equal(&failed, &root.digest, sizeof(failed));
	/* And a caller that leaves drops as long a chain. */
	struct result r;
	index_failure_delete(x->index, &root.digest);
	x->fake.hold = true;
	start(x, &below, PRIORITY_READER, &r);
	run_until_held(x, "root");
	force_cancel(r.force);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_idle(x);
	ref_release(&below);
	ref_release(&root);
}

static void cancelling_and_asking_go_along_answers(void **state)
{
	struct fixture *x = *state;
	struct result r;
	struct digest *waits = NULL;
	size_t count;
	scoped_ref struct ref low = simple_thunk(x, "join", "low");
	scoped_ref struct ref end = thunk_of(x, "join", "end", &low, NULL);
	scoped_ref struct ref first = yielding_thunk(x, "f", &end);
	scoped_ref struct ref earlier = simple_thunk(x, "join", "e");
	free(force_bytes(x, &earlier));
	assert_int_equal(forcer_cancel_thunk(x->forcer, &earlier.digest), -ENOENT);
	start(x, &first, PRIORITY_READER, &r);
	run_until_answered(x, &r);
	result_release(&r);
	struct error err = ERROR_INIT;
	assert_ok(index_memo_delete(x->index, &end.digest, &err));
	assert_ok(index_memo_delete(x->index, &low.digest, &err));
	x->fake.hold = true;
	start(x, &first, PRIORITY_READER, &r);
	run_until_held(x, "low");
	assert_int_equal(forcer_waiting_for(x->forcer, &first.digest, &waits, &count), 0);
	assert_int_equal(count, 1);
	assert_memory_equal(&waits[0], &low.digest, sizeof(low.digest));
	free(waits);
	assert_int_equal(forcer_cancel_thunk(x->forcer, &first.digest), 0);
	run_until_answered(x, &r);
	assert_int_equal(r.code, -ECANCELED);
	assert_memory_equal(&r.failed, &end.digest, sizeof(r.failed));
	result_release(&r);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_idle(x);
}

/* --- healing --- */

static struct digest output_blob(struct fixture *x, const struct ref *ref)
{
	struct memo memo = MEMO_INIT;
	struct error err = ERROR_INIT;
	assert_ok(index_memo_get(x->index, &ref->digest, &memo, &err));
	struct digest d = memo_output(&memo, ref->output)->digest;
	memo_release(&memo);
	return d;
}

static void a_memo_whose_blob_is_gone_is_no_memo(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	free(force_bytes(x, &t));
	struct digest blob = output_blob(x, &t);
	assert_ok(store_delete(x->store, &blob, &err));
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t()");
	assert_int_equal(fake_runs(&x->fake, "t"), 2);
}

static void damage(struct fixture *x, const struct digest *blob)
{
	struct store_object_path path = store_object_path(blob);
	int dirfd = store_local_dirfd(x->store);
	assert_int_equal(fchmodat(dirfd, path.text, 0644, 0), 0);
	scoped_fd int fd = openat(dirfd, path.text, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, "X", 1), 0);
}

/* As a power loss may leave it. */
static void a_result_that_was_cut_short_is_made_again(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	free(force_bytes(x, &t));
	struct digest blob = output_blob(x, &t);
	struct store_object_path path = store_object_path(&blob);
	int dirfd = store_local_dirfd(x->store);
	assert_int_equal(fchmodat(dirfd, path.text, 0644, 0), 0);
	scoped_fd int fd = openat(dirfd, path.text, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	struct force_look look;
	assert_ok(forcer_look(x->forcer, &t, &look, &err));
	assert_false(look.state == STATE_READY && look.local);
	force_look_release(&look);
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t()");
	assert_int_equal(fake_runs(&x->fake, "t"), 2);
}

static void a_broken_input_is_made_again(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref input = simple_thunk(x, "join", "i");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &input, NULL);
	free(force_bytes(x, &input));
	struct digest blob = output_blob(x, &input);
	damage(x, &blob);
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t(i())");
	assert_int_equal(fake_runs(&x->fake, "i"), 2);
	assert_int_equal(fake_runs(&x->fake, "t"), 2);
	struct error err = ERROR_INIT;
	assert_ok(store_verify(x->store, &blob, &err));
}

static void a_broken_input_behind_an_answer_is_made_again(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref deep = simple_thunk(x, "join", "deep");
	scoped_ref struct ref input = thunk_of(x, "join", "i", &deep, NULL);
	scoped_ref struct ref answer = yielding_thunk(x, "y", &input);
	scoped_ref struct ref t = thunk_of(x, "join", "t", &answer, NULL);
	free(force_bytes(x, &answer));
	struct digest blob = output_blob(x, &input), deeper = output_blob(x, &deep);
	damage(x, &blob);
	damage(x, &deeper);
	scoped_free char *bytes = force_bytes(x, &t);
	assert_string_equal(bytes, "t(i(deep()))");
	assert_int_equal(fake_runs(&x->fake, "y"), 1);
	assert_int_equal(fake_runs(&x->fake, "deep"), 2);
}

static void a_file_gone_from_a_directory_output_is_made_again(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_ref struct ref select = simple_thunk(x, "tree", "d");
	scoped_ref struct ref t = thunk_of(x, "join", "t", &select, NULL);
	select.selection = xstrdup("a");
	free(force_bytes(x, &select));
	struct digest blob;
	digest_of(&blob, "d a", 3);
	/* Selected by a reader. */
	assert_ok(store_delete(x->store, &blob, &err));
	scoped_free char *bytes = force_bytes(x, &select);
	assert_string_equal(bytes, "d a");
	assert_int_equal(fake_runs(&x->fake, "d"), 2);
	/* In a tree that is an input. */
	assert_ok(store_delete(x->store, &blob, &err));
	scoped_free char *used = force_bytes(x, &t);
	assert_string_equal(used, "t(d a,b)");
	assert_int_equal(fake_runs(&x->fake, "d"), 3);
}

static void a_set_that_was_made_by_resolving_is_made_again(void **state)
{
	struct fixture *x = *state;
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	scoped_ref struct ref made = simple_thunk(x, "join", "gen");
	struct digest set, resolved;
	manifest_add_file(&m, "gen.h", 0644, &made);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	assert_ok(store_put_bytes(x->store, text.data, text.len, &set, &err));
	for (int i = 0; i < 2; i++) {
		struct thunk t;
		scoped_free char *name = xformat("%d", i);
		thunk_begin(&t, "join", name);
		thunk_add_set(&t, &set, text.len);
		scoped_ref struct ref ref = thunk_end(x, &t);
		scoped_free char *bytes = force_bytes(x, &ref);
		assert_string_equal(bytes + 1, "(gen())");
		/* What the set came to, as the force wrote it. */
		scoped_manifest struct manifest plain = MANIFEST_INIT;
		scoped_buf struct buf plain_text = BUF_INIT;
		struct ref blob = { .size_bytes = 5, .digest = output_blob(x, &made) };
		manifest_add_file(&plain, "gen.h", 0644, &blob);
		assert_ok(manifest_finish(&plain, &err));
		manifest_encode(&plain, &plain_text);
		digest_of(&resolved, plain_text.data, plain_text.len);
		assert_ok(store_delete(x->store, &resolved, &err));
	}
	assert_int_equal(fake_runs(&x->fake, "gen"), 1);
}

static void an_absent_blob_that_nothing_makes_is_eio_and_named(void **state)
{
	struct fixture *x = *state;
	struct digest failed;
	struct ref absent = { .kind = REF_BLOB, .digest.bytes = { 7 }, .size_bytes = 3 };
	scoped_ref struct ref t = thunk_of(x, "join", "t", &absent, NULL);
	scoped_free char *reason = force_failure(x, &t, -EIO, &failed);
	assert_non_null(strstr(reason, digest_hex(&absent.digest).text));
	assert_memory_equal(&failed, &t.digest, sizeof(failed));
	/* The same with a lazy input beside it. */
	scoped_ref struct ref input = simple_thunk(x, "join", "i");
	scoped_ref struct ref u = thunk_of(x, "join", "u", &absent, &input);
	scoped_free char *again = force_failure(x, &u, -EIO, NULL);
	assert_non_null(strstr(again, digest_hex(&absent.digest).text));
}

/* --- looking --- */

static enum force_state state_of(struct fixture *x, const struct ref *ref)
{
	struct force_look look;
	struct error err = ERROR_INIT;
	assert_ok(forcer_look(x->forcer, ref, &look, &err));
	enum force_state state = look.state;
	if (state == STATE_READY)
		assert_true(look.ref.kind != REF_THUNK);
	if (state == STATE_FAILED)
		assert_true(look.failure.code > 0);
	force_look_release(&look);
	return state;
}

static void a_look_tells_each_state_and_does_nothing(void **state)
{
	struct fixture *x = *state;
	struct result r;
	struct force_look look;
	struct error err = ERROR_INIT;
	scoped_ref struct ref t = simple_thunk(x, "join", "t");
	assert_ok(forcer_look(x->forcer, &t, &look, &err));
	assert_int_equal(look.state, STATE_UNFORCED);
	assert_true(look.size_guess == UINT64_MAX);
	force_look_release(&look);
	assert_int_equal(x->fake.submits, 0);
	x->fake.hold = true;
	start(x, &t, PRIORITY_READER, &r);
	run_until_held(x, "t");
	assert_int_equal(state_of(x, &t), STATE_FORCING);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &r);
	result_release(&r);
	assert_ok(forcer_look(x->forcer, &t, &look, &err));
	assert_int_equal(look.state, STATE_READY);
	assert_true(look.local);
	assert_int_equal(look.size_guess, 3);
	assert_bytes(x, &look.ref, "t()");
	struct digest blob = look.ref.digest;
	force_look_release(&look);
	assert_ok(store_delete(x->store, &blob, &err));
	assert_ok(forcer_look(x->forcer, &t, &look, &err));
	assert_int_equal(look.state, STATE_READY);
	assert_false(look.local);
	force_look_release(&look);
}

static void a_look_guesses_the_size_the_output_had_last(void **state)
{
	struct fixture *x = *state;
	struct force_look look;
	struct error err = ERROR_INIT;
	scoped_ref struct ref old_input = ref_of_bytes(x, "old"),
	                      new_input = ref_of_bytes(x, "new");
	scoped_ref struct ref old = thunk_of(x, "join", "t", &old_input, NULL);
	scoped_ref struct ref new = thunk_of(x, "join", "t", &new_input, NULL);
	free(force_bytes(x, &old));
	assert_ok(forcer_look(x->forcer, &new, &look, &err));
	assert_int_equal(look.state, STATE_UNFORCED);
	assert_int_equal(look.size_guess, strlen("t(old)"));
	force_look_release(&look);
}

static void a_dependant_of_a_failure_looks_failed_until_retry(void **state)
{
	struct fixture *x = *state;
	struct force_look look;
	struct error err = ERROR_INIT;
	scoped_ref struct ref bad = simple_thunk(x, "fail", "bad");
	scoped_ref struct ref middle = thunk_of(x, "join", "m", &bad, NULL);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &middle, NULL);
	assert_int_equal(state_of(x, &top), STATE_UNFORCED);
	free(force_failure(x, &bad, -EREMOTEIO, NULL));
	for (int i = 0; i < 3; i++) { /* remembered, and after a restart */
		assert_ok(forcer_look(x->forcer, &top, &look, &err));
		assert_int_equal(look.state, STATE_FAILED);
		assert_memory_equal(&look.failure.thunk, &bad.digest, sizeof(bad.digest));
		assert_string_equal(look.failure.stderr_tail, "bad: no");
		force_look_release(&look);
		if (i == 1)
			fixture_new_forcer(x);
	}
	assert_int_equal(index_failure_delete(x->index, &bad.digest), 0);
	assert_int_equal(state_of(x, &top), STATE_UNFORCED);
	assert_int_equal(fake_runs(&x->fake, "bad"), 1);
}

static void a_look_follows_answers_and_selections(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref end = simple_thunk(x, "tree", "d");
	scoped_ref struct ref first = yielding_thunk(x, "f", &end);
	first.selection = xstrdup("sub/b");
	assert_int_equal(state_of(x, &first), STATE_UNFORCED);
	free(force_bytes(x, &first));
	assert_int_equal(state_of(x, &first), STATE_READY);
	free(first.selection);
	first.selection = xstrdup("nothing");
	assert_int_equal(state_of(x, &first), STATE_FAILED);
}

static void what_a_thunk_waits_for_is_told(void **state)
{
	struct fixture *x = *state;
	struct result r;
	struct digest *waits = NULL;
	size_t count;
	scoped_ref struct ref a = simple_thunk(x, "join", "a");
	scoped_ref struct ref b = simple_thunk(x, "join", "b");
	scoped_ref struct ref middle = thunk_of(x, "join", "m", &a, &b);
	scoped_ref struct ref top = thunk_of(x, "join", "t", &middle, &a);
	assert_int_equal(forcer_waiting_for(x->forcer, &top.digest, &waits, &count), -ENOENT);
	x->fake.hold = true;
	x->fake.jobs = 1;
	start(x, &top, PRIORITY_READER, &r);
	run_until_held(x, "a");
	assert_int_equal(forcer_waiting_for(x->forcer, &top.digest, &waits, &count), 0);
	assert_int_equal(count, 2);
	bool first_is_a = digest_equal(&waits[0], &a.digest);
	assert_memory_equal(&waits[first_is_a ? 0 : 1], &a.digest, sizeof(a.digest));
	assert_memory_equal(&waits[first_is_a ? 1 : 0], &b.digest, sizeof(b.digest));
	free(waits);
	x->fake.hold = false;
	fake_release(&x->fake);
	run_until_answered(x, &r);
	result_release(&r);
}

/* --- notices --- */

int main(void)
{
#define FORCE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		FORCE_TEST(answers_that_are_thunks_are_followed),
		FORCE_TEST(a_selection_goes_through_answers_that_are_thunks),
		FORCE_TEST(a_thunk_that_answers_with_itself_is_eloop),
		FORCE_TEST(answers_that_go_in_a_circle_are_eloop_and_all_named),
		FORCE_TEST(a_thunk_whose_input_answers_with_the_thunk_is_eloop),
		FORCE_TEST(a_cycle_over_inputs_and_answers_is_eloop_and_named),
		FORCE_TEST(answers_without_end_are_eloop),
		FORCE_TEST(a_chain_of_200_is_made),
		FORCE_TEST(a_chain_of_10000_is_made),
		FORCE_TEST(a_failure_below_a_chain_of_100000_reaches_its_top),
		FORCE_TEST(cancelling_and_asking_go_along_answers),
		FORCE_TEST(a_memo_whose_blob_is_gone_is_no_memo),
		FORCE_TEST(a_result_that_was_cut_short_is_made_again),
		FORCE_TEST(a_broken_input_is_made_again),
		FORCE_TEST(a_broken_input_behind_an_answer_is_made_again),
		FORCE_TEST(a_file_gone_from_a_directory_output_is_made_again),
		FORCE_TEST(a_set_that_was_made_by_resolving_is_made_again),
		FORCE_TEST(an_absent_blob_that_nothing_makes_is_eio_and_named),
		FORCE_TEST(a_look_tells_each_state_and_does_nothing),
		FORCE_TEST(a_look_guesses_the_size_the_output_had_last),
		FORCE_TEST(a_dependant_of_a_failure_looks_failed_until_retry),
		FORCE_TEST(a_look_follows_answers_and_selections),
		FORCE_TEST(what_a_thunk_waits_for_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
