/* Which blobs a set or a tree consists of; and the thread that reads them. */
#include <string.h>

#include "engine/remote/inputs.h"
#include "common/pool.h"
#include "tests/lib/test.h"

struct shelf {
	char *directory;
	struct store *store;
};

static void begin(struct shelf *s)
{
	struct error err;
	s->directory = test_directory();
	scoped_free char *path = xformat("%s/store", s->directory);
	assert_ok(store_open_local(path, true, STORE_SYNC_NONE, &s->store, &err));
}

static void end(struct shelf *s)
{
	store_free(s->store);
	test_directory_remove(s->directory);
}

static struct ref put(struct shelf *s, const char *text)
{
	struct error err;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(text) };
	assert_ok(store_put_bytes(s->store, text, strlen(text), &ref.digest, &err));
	return ref;
}

/* A tree with one file, which is ref. */
static struct ref tree_of(struct shelf *s, const struct ref *ref)
{
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	manifest_add_file(&m, "a", 0644, ref);
	manifest_add_link(&m, "b", "a");
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	struct ref tree = put(s, text.data);
	tree.kind = REF_TREE;
	return tree;
}

static void a_tree_is_its_manifest_and_all_below(void **state)
{
	(void)state;
	struct shelf s;
	struct error err;
	struct digest absent;
	scoped_inputs struct inputs in = { 0 };
	begin(&s);
	struct ref file = put(&s, "text"), inner = tree_of(&s, &file), outer = tree_of(&s, &inner);
	assert_ok(inputs_add_ref(&in, s.store, &outer, &absent, &err));
	assert_int_equal(in.count, 3);
	assert_true(digest_equal(&in.blobs[0].digest, &outer.digest));
	assert_true(digest_equal(&in.blobs[1].digest, &inner.digest));
	assert_true(digest_equal(&in.blobs[2].digest, &file.digest));
	assert_int_equal(in.blobs[2].size_bytes, 4);
	assert_int_equal(in.unread, 0);
	end(&s);
}

static void only_what_is_absent_is_listed_where_that_is_asked(void **state)
{
	(void)state;
	struct shelf s;
	struct error err;
	struct digest absent;
	scoped_inputs struct inputs none = { .absent_only = true }, one = { .absent_only = true };
	begin(&s);
	struct ref file = put(&s, "text"), tree = tree_of(&s, &file);
	assert_ok(inputs_add_ref(&none, s.store, &tree, &absent, &err));
	assert_int_equal(none.count, 0);
	assert_ok(store_delete(s.store, &file.digest, &err));
	assert_ok(inputs_add_manifest(&one, s.store, &tree.digest, tree.size_bytes, &absent, &err));
	assert_int_equal(one.count, 1);
	assert_true(digest_equal(&one.blobs[0].digest, &file.digest));
	end(&s);
}

static void a_manifest_that_is_elsewhere_is_listed_and_counted_as_unread(void **state)
{
	(void)state;
	struct shelf s;
	struct error err;
	struct digest absent;
	scoped_inputs struct inputs in = { 0 };
	begin(&s);
	struct ref file = put(&s, "text"), tree = tree_of(&s, &file);
	assert_ok(store_delete(s.store, &tree.digest, &err));
	assert_ok(inputs_add_ref(&in, s.store, &tree, &absent, &err));
	assert_int_equal(in.count, 1);
	assert_int_equal(in.unread, 1);
	end(&s);
}

static void what_is_no_manifest_is_named(void **state)
{
	(void)state;
	struct shelf s;
	struct error err;
	struct digest absent;
	scoped_inputs struct inputs in = { 0 };
	begin(&s);
	struct ref text = put(&s, "no manifest\n");
	assert_error(inputs_add_manifest(&in, s.store, &text.digest, 12, &absent, &err), -EBADMSG);
	assert_true(digest_equal(&absent, &text.digest));
	end(&s);
}

static void a_thunk_among_inputs_and_trees_without_end_are_refused(void **state)
{
	(void)state;
	struct shelf s;
	struct error err;
	struct digest absent;
	char output[] = "out";
	scoped_inputs struct inputs in = { 0 };
	begin(&s);
	struct ref thunk = { .kind = REF_THUNK, .output = output }, deep = put(&s, "text");
	assert_error(inputs_add_ref(&in, s.store, &thunk, &absent, &err), -EINVAL);
	for (int i = 0; i <= INPUTS_DEPTH_MAX; i++)
		deep = tree_of(&s, &deep);
	assert_error(inputs_add_ref(&in, s.store, &deep, &absent, &err), -EFBIG);
	end(&s);
}

/* --- the thread --------------------------------------------------------------------------------
 */

static void append(void *arg)
{
	unsigned *at = arg;
	*at = *at * 3 + 1;
}

static void work_is_done_in_order_and_before_it_is_freed(void **state)
{
	(void)state;
	struct error err;
	struct pool *w;
	unsigned value = 0, want = 0;
	assert_ok(pool_new("test", 1, &w, &err));
	for (int i = 0; i < 10; i++, want = want * 3 + 1)
		pool_submit(w, append, &value);
	pool_flush(w);
	assert_int_equal(value, want);
	for (int i = 0; i < 5; i++, want = want * 3 + 1)
		pool_submit(w, append, &value);
	pool_free(w);
	assert_int_equal(value, want);
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_is_its_manifest_and_all_below),
		cmocka_unit_test(only_what_is_absent_is_listed_where_that_is_asked),
		cmocka_unit_test(a_manifest_that_is_elsewhere_is_listed_and_counted_as_unread),
		cmocka_unit_test(what_is_no_manifest_is_named),
		cmocka_unit_test(a_thunk_among_inputs_and_trees_without_end_are_refused),
		cmocka_unit_test(work_is_done_in_order_and_before_it_is_freed),
	};
	return cmocka_run_group_tests_name("inputs", tests, NULL, NULL);
}
