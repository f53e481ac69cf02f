#include "tests/lib/test.h"

#include <string.h>

#include "objstore/pack.h"

struct fixture {
	char *path;
	struct store *from, *to;
};

static int set_up(void **state)
{
	struct error err;
	struct fixture *f = xcalloc(1, sizeof(*f));
	f->path = test_directory();
	scoped_free char *from = xformat("%s/from", f->path), *to = xformat("%s/to", f->path);
	assert_ok(store_open_local(from, true, STORE_SYNC_NONE, &f->from, &err));
	assert_ok(store_open_local(to, true, STORE_SYNC_NONE, &f->to, &err));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	store_free(f->from);
	store_free(f->to);
	test_directory_remove(f->path);
	free(f);
	return 0;
}

static struct digest put(struct store *s, const char *bytes, size_t len)
{
	struct error err;
	struct digest d;
	assert_ok(store_put_bytes(s, bytes, len, &d, &err));
	return d;
}

/* Moves the pack over, altered or not, and unpacks it there. */
static int move_and_unpack(struct fixture *f, const struct digest *pack, size_t cut,
                           const char *instead, struct error *why)
{
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	assert_ok(store_get_bytes(f->from, pack, 10 << 20, &text, &err));
	if (instead)
		memcpy(strstr(text.data, instead), "X", 1);
	struct digest there = put(f->to, text.data, text.len - cut);
	return pack_unpack(f->to, &there, NULL, NULL, why);
}

static void what_is_packed_is_unpacked(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_free char *large = xmalloc(300000);
	memset(large, 'x', 300000);
	struct digest blobs[] = { put(f->from, large, 300000), put(f->from, "", 0),
		                  put(f->from, "end\n", 4), put(f->from, "a\0b", 3) };
	struct digest again[] = { blobs[3], blobs[3], blobs[2], blobs[1], blobs[0] };
	struct digest pack, same, absent;
	uint64_t size, actual;
	assert_ok(pack_make(f->from, blobs, 4, &pack, &size, &absent, &err));
	assert_ok(store_has(f->from, &pack, &actual, &err));
	assert_int_equal(size, actual);
	assert_ok(pack_make(f->from, again, 5, &same, &size, &absent, &err));
	assert_true(digest_equal(&pack, &same));
	assert_ok(move_and_unpack(f, &pack, 0, NULL, &err));
	for (size_t i = 0; i < 4; i++)
		assert_ok(store_has(f->to, &blobs[i], NULL, &err));
}

static void absent_blob_is_named_and_nothing_is_made(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest blobs[] = { put(f->from, "a", 1), put(f->to, "b", 1) }, missing = blobs[1];
	struct digest pack, absent;
	uint64_t size;
	assert_error(pack_make(f->from, blobs, 2, &pack, &size, &absent, &err), -ENOENT);
	assert_true(digest_equal(&absent, &missing));
}

static void what_is_no_pack_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest blobs[] = { put(f->from, "alpha", 5), put(f->from, "beta", 4) }, pack, absent;
	uint64_t size;
	assert_ok(pack_make(f->from, blobs, 2, &pack, &size, &absent, &err));
	for (size_t cut = 1; cut <= size; cut++)
		assert_int_equal(move_and_unpack(f, &pack, cut, NULL, &err), -EBADMSG);
	assert_int_equal(move_and_unpack(f, &pack, 0, "alpha", &err), -EBADMSG);
	assert_int_equal(move_and_unpack(f, &pack, 0, "blob", &err), -EBADMSG);
	assert_int_equal(move_and_unpack(f, &pack, 0, "ggfs", &err), -EBADMSG);
	assert_int_equal(move_and_unpack(f, &pack, 0, "end", &err), -EBADMSG);
	struct digest none;
	digest_of(&none, "nothing", 7);
	assert_int_equal(pack_unpack(f->to, &none, NULL, NULL, &err), -ENOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_packed_is_unpacked),
		T(absent_blob_is_named_and_nothing_is_made),
		T(what_is_no_pack_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
