/* Whatever a function has written into the worker's cache, the next thunk is run as it says. */
#include <string.h>

#include "tests/unit/worker/worker_fixture.h"

#define OUTPUT "w/out"

struct blob {
	struct digest digest;
	char *bytes;
	size_t len;
};

struct blobs {
	struct blob *items;
	size_t count, capacity;
	struct store *store;
};

static int add_blob(void *arg, const struct digest *d, uint64_t size_bytes)
{
	struct blobs *b = arg;
	struct error err;
	struct buf text = BUF_INIT;
	assert_ok(store_get_bytes(b->store, d, size_bytes + 1, &text, &err));
	array_grow(b->items, b->count, b->capacity);
	b->items[b->count++] = (struct blob){ *d, text.data ? text.data : xstrdup(""), text.len };
	return 0;
}

/* All that the far store has. */
static void list_blobs(struct fixture *f, struct blobs *b)
{
	struct error err;
	*b = (struct blobs){ .store = f->far };
	assert_ok(store_iterate(f->far, add_blob, b, &err));
}

static void free_blobs(struct blobs *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->items[i].bytes);
	free(b->items);
}

static void put_manifest(struct fixture *f, const char *path, const struct ref *file,
                         struct sized_digest *out)
{
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	manifest_add_file(&m, path, 0644, file);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	out->size_bytes = text.len;
	assert_ok(store_put_bytes(f->far, text.data, text.len, &out->digest, &err));
}

/* A file in a tree in a tree in an input set. */
static struct digest save_deep(struct fixture *f)
{
	struct error err;
	struct thunk t;
	struct sized_digest inner, outer, set;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 5 };
	assert_ok(store_put_bytes(f->far, "right", 5, &ref.digest, &err));
	put_manifest(f, "file", &ref, &inner);
	ref = (struct ref){ REF_TREE, inner.digest, inner.size_bytes };
	put_manifest(f, "inner", &ref, &outer);
	ref = (struct ref){ REF_TREE, outer.digest, outer.size_bytes };
	put_manifest(f, "w/outer", &ref, &set);
	fixture_thunk(f, "cat outer/inner/file >out", &t);
	thunk_add_set(&t, &set.digest, set.size_bytes);
	return fixture_save(f, &t);
}

/* What the cache has of a blob becomes this. False: it has not got it. */
static bool damage(const struct fixture *f, const struct digest *d, const char *bytes, size_t len)
{
	scoped_free char *path = xformat("%s/store/%s", f->cache, store_object_path(d).text);
	if (chmod(path, 0644) < 0)
		return false;
	scoped_fd int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, bytes, len), 0);
	return true;
}

static void nothing_was_put_aside(const struct fixture *f)
{
	scoped_free char *path = xformat("%s/store/quarantine", f->cache);
	assert_int_equal(rmdir(path), 0); /* for it is empty */
	assert_int_equal(mkdir(path, 0700), 0);
}

/* Each blob in turn is damaged and the thunk run; as a well-formed blob of the same kind, too. */
static void damage_each(struct fixture *f, const struct digest *thunk,
                        struct remote_request *request)
{
	struct blobs b;
	size_t damaged = 0;
	list_blobs(f, &b);
	fixture_run(f, thunk, 1, 0, request);
	fixture_expect_output(f, 0, OUTPUT, "right");
	for (size_t i = 0; i < b.count; i++) {
		const struct blob *other = &b.items[(i + 1) % b.count];
		const struct blob texts[] = { { .bytes = (char[]){ "wrong" }, .len = 5 },
			                      { .bytes = (char[]){ "" }, .len = 0 },
			                      { .bytes = (char[]){ "ggfs-manifest 1\n" },
			                        .len = 16 },
			                      *other };
		for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++) {
			if (!damage(f, &b.items[i].digest, texts[k].bytes, texts[k].len))
				continue;
			damaged++;
			fixture_restart(f, 0); /* which lays out anew */
			fixture_run(f, thunk, 1, 0, request);
			fixture_expect_output(f, 0, OUTPUT, "right");
		}
	}
	/* The thunk, its set, two trees, the file, the toolchain and what is in it. */
	assert_true(damaged > 4 * 10);
	nothing_was_put_aside(f);
	free_blobs(&b);
}

static void each_blob_that_is_damaged_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	struct digest d = save_deep(f);
	damage_each(f, &d, NULL);
}

static void each_blob_that_is_damaged_is_taken_from_the_request_again(void **state)
{
	struct fixture *f = *state;
	struct digest d = save_deep(f);
	struct blobs b;
	struct remote_request request = { .inline_max = 1 << 20 };
	list_blobs(f, &b);
	for (size_t i = 0; i < b.count; i++)
		remote_blobs_add(&request.blobs, &b.items[i].digest, b.items[i].bytes,
		                 b.items[i].len);
	damage_each(f, &d, &request);
	free(request.blobs.items);
	free_blobs(&b);
}

static void a_blob_that_changes_while_the_worker_runs_is_repaired(void **state)
{
	struct fixture *f = *state;
	struct digest d = save_deep(f);
	fixture_run(f, &d, 1, 0, NULL);
	struct blobs b;
	list_blobs(f, &b);
	for (size_t i = 0; i < b.count; i++)
		damage(f, &b.items[i].digest, "wrong", 5);
	fixture_run(f, &d, 1, 0, NULL);
	fixture_expect_output(f, 0, OUTPUT, "right");
	free_blobs(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_blob_that_is_damaged_is_fetched_again),
		TEST(each_blob_that_is_damaged_is_taken_from_the_request_again),
		TEST(a_blob_that_changes_while_the_worker_runs_is_repaired),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
