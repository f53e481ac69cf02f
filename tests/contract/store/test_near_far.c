/* What near over far promises besides the contract of stores: what stays where. */
#include "tests/lib/test.h"

#include <string.h>

#include "objstore/far.h"
#include "tests/contract/store/backend.h"

struct fixture {
	char *near_directory, *far_directory;
	struct store *near, *far; /* as others see them, beside the one under test */
	struct store *both;
};

static struct store *open_one(const struct backend *kind, const char *directory)
{
	struct error err;
	struct store *s = NULL;
	assert_ok(kind->open(directory, &s, &err));
	return s;
}

static int set_up(void **state)
{
	struct error err;
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->near_directory = test_directory();
	f->far_directory = test_directory();
	f->near = open_one(&local_backend, f->near_directory);
	f->far = open_one(&fake_backend, f->far_directory);
	assert_ok(store_open_near_far(open_one(&local_backend, f->near_directory),
	                              open_one(&fake_backend, f->far_directory), &f->both, &err));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	store_free(f->near);
	store_free(f->far);
	store_free(f->both);
	test_directory_remove(f->near_directory);
	test_directory_remove(f->far_directory);
	free(f);
	return 0;
}

static struct digest put(struct store *s, const char *text)
{
	struct error err;
	struct digest d;
	assert_ok(store_put_bytes(s, text, strlen(text), &d, &err));
	return d;
}

static void what_far_had_is_near_from_then_on(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f->far, "far away");
	scoped_buf struct buf b = BUF_INIT;
	uint64_t size;
	assert_ok(store_has(f->both, &d, &size, &err));
	assert_int_equal(size, 8);
	assert_error(store_has(f->near, &d, NULL, &err), -ENOENT);
	assert_ok(store_get_bytes(f->both, &d, 100, &b, &err));
	assert_string_equal(b.data, "far away");
	assert_ok(store_has(f->near, &d, NULL, &err));
	assert_ok(store_delete(f->far, &d, &err));
	assert_ok(store_verify(f->both, &d, &err));
}

static void puts_go_near_also_when_far_has_it(void **state)
{
	struct fixture *f = *state;
	struct error err;
	put(f->far, "in both");
	struct digest d = put(f->both, "in both"), other = put(f->both, "near alone");
	assert_ok(store_has(f->near, &d, NULL, &err));
	assert_ok(store_has(f->near, &other, NULL, &err));
	assert_error(store_has(f->far, &other, NULL, &err), -ENOENT);
}

static void wrong_bytes_of_far_are_ebadmsg_and_not_near(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f->far, "right");
	assert_ok(fake_backend.damage_blob(f->far_directory, &d, "wrong", 5, &err));
	assert_error(store_get(f->both, &d, &err), -EBADMSG);
	assert_error(store_has(f->near, &d, NULL, &err), -ENOENT);
}

static int count(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)d, (void)size_bytes;
	++*(int *)arg;
	return 0;
}

static void walks_tell_of_both_and_of_each_once(void **state)
{
	struct fixture *f = *state;
	struct error err;
	int blobs = 0;
	put(f->near, "1");
	put(f->far, "2");
	put(f->near, "3");
	put(f->far, "3");
	assert_ok(store_iterate(f->both, count, &blobs, &err));
	assert_int_equal(blobs, 3);
}

static void deleted_is_gone_from_both_and_absent_only_if_in_neither(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest near = put(f->near, "near"), far = put(f->far, "far");
	assert_ok(store_delete(f->both, &near, &err));
	assert_ok(store_delete(f->both, &far, &err));
	assert_error(store_delete(f->both, &far, &err), -ENOENT);
	assert_error(store_has(f->far, &far, NULL, &err), -ENOENT);
}

static struct memo memo_of(uint8_t thunk, const char *engine)
{
	struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 1 };
	memo.thunk.bytes[0] = thunk;
	memo.engine = xstrdup(engine);
	memo_add_output(&memo, "out", &ref);
	return memo;
}

static void memo_of_far_is_near_from_then_on_and_nears_own_comes_first(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo far = memo_of(1, "far"), near = memo_of(2, "near"),
	                        other = memo_of(2, "far");
	scoped_memo struct memo got = MEMO_INIT, kept = MEMO_INIT, first = MEMO_INIT;
	int memos = 0;
	assert_ok(store_memo_put(f->far, &far, &err));
	assert_ok(store_memo_put(f->both, &near, &err));
	assert_ok(store_memo_put(f->far, &other, &err));
	assert_ok(store_memo_get(f->both, &far.thunk, &got, &err));
	assert_ok(store_memo_get(f->near, &far.thunk, &kept, &err));
	assert_string_equal(kept.engine, "far");
	assert_ok(store_memo_get(f->both, &near.thunk, &first, &err));
	assert_string_equal(first.engine, "near");
	assert_ok(store_memo_iterate(f->both, count, &memos, &err));
	assert_int_equal(memos, 2);
}

static void unreadable_memo_of_far_is_ebadmsg_and_not_kept(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = memo_of(1, "far"), got = MEMO_INIT;
	assert_ok(store_memo_put(f->far, &memo, &err));
	assert_ok(fake_backend.damage_memo(f->far_directory, &memo.thunk, "no memo", 7, &err));
	assert_error(store_memo_get(f->both, &memo.thunk, &got, &err), -EBADMSG);
	assert_error(store_memo_get(f->near, &memo.thunk, &got, &err), -ENOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_far_had_is_near_from_then_on),
		T(puts_go_near_also_when_far_has_it),
		T(wrong_bytes_of_far_are_ebadmsg_and_not_near),
		T(walks_tell_of_both_and_of_each_once),
		T(deleted_is_gone_from_both_and_absent_only_if_in_neither),
		T(memo_of_far_is_near_from_then_on_and_nears_own_comes_first),
		T(unreadable_memo_of_far_is_ebadmsg_and_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
