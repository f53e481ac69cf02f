/* A fresh store for each test of the contract suite, and what its tests say often. */
#ifndef GGFS_TESTS_CONTRACT_STORE_FIXTURE_H
#define GGFS_TESTS_CONTRACT_STORE_FIXTURE_H

#include "tests/lib/test.h"

#include <string.h>
#include <unistd.h>

#include "tests/contract/store/backend.h"

enum { LARGE_BYTES = (3 << 20) + 17 };

/* The one under test; main() sets it. */
static const struct backend *backend;

struct fixture {
	char *directory; /* the store's */
	char *files;     /* for what is put */
	struct store *store;
	char *large;
};

static inline int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err;
	f->directory = test_directory();
	f->files = test_directory();
	f->large = xmalloc(LARGE_BYTES);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		f->large[i] = (char)(i * 2654435761u >> 13);
	assert_ok(backend->open(f->directory, &f->store, &err));
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	fake_faults = (struct fake_faults){ 0 };
	store_free(f->store);
	test_directory_remove(f->directory);
	test_directory_remove(f->files);
	free(f->large);
	free(f);
	return 0;
}

static inline struct digest put(struct fixture *f, const char *text)
{
	struct error err;
	struct digest d;
	assert_ok(store_put_bytes(f->store, text, strlen(text), &d, &err));
	return d;
}

static inline void assert_holds(struct fixture *f, const struct digest *d, const char *bytes, size_t len)
{
	struct error err;
	scoped_buf struct buf b = BUF_INIT;
	uint64_t size;
	assert_ok(store_get_bytes(f->store, d, len, &b, &err));
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data, bytes, len);
	assert_ok(store_has(f->store, d, &size, &err));
	assert_int_equal(size, len);
	scoped_fd int fd = -1;
	assert_ok(fd = store_get(f->store, d, &err));
	buf_reset(&b);
	assert_ok(read_all(fd, &b, len));
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data, bytes, len);
}

static inline int count_one(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)d, (void)size_bytes;
	(*(int *)arg)++;
	return 0;
}

static inline int count_blobs(struct fixture *f)
{
	struct error err;
	int count = 0;
	assert_ok(store_iterate(f->store, count_one, &count, &err));
	return count;
}

static inline int open_file(struct fixture *f, const void *bytes, size_t len)
{
	struct error err;
	scoped_free char *path = xformat("%s/file", f->files);
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, len, 0600, &err));
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Puts these bytes where the store has the blob, behind its back. */
static inline void damage(struct fixture *f, const struct digest *d, const char *bytes)
{
	struct error err;
	assert_ok(backend->damage_blob(f->directory, d, bytes, strlen(bytes), &err));
}

#endif
