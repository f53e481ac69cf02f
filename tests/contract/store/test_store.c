/* The contract of struct store, run over the backend that the first argument names. */
#include "tests/contract/store/fixture.h"

#include <pthread.h>

static void bytes_put_come_back_whatever_their_number(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const size_t sizes[] = { 0, 1, 500, 256 << 10, LARGE_BYTES };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct digest d, expected;
		assert_ok(store_put_bytes(f->store, f->large, sizes[i], &d, &err));
		digest_of(&expected, f->large, sizes[i]);
		assert_true(digest_equal(&d, &expected));
		assert_holds(f, &d, f->large, sizes[i]);
	}
}

static void streamed_put_is_the_same_blob_as_a_put_of_all_bytes(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct store_put *p;
	struct digest d, expected;
	assert_ok(store_put_begin(f->store, &p, &err));
	for (size_t at = 0; at < LARGE_BYTES; at += 100003) {
		size_t len = LARGE_BYTES - at < 100003 ? LARGE_BYTES - at : 100003;
		assert_ok(store_put_write(p, f->large + at, len, &err));
	}
	digest_of(&expected, f->large, LARGE_BYTES);
	assert_ok(store_put_finish(p, &expected, &d, &err));
	assert_true(digest_equal(&d, &expected));
	assert_holds(f, &d, f->large, LARGE_BYTES);
}

static void other_bytes_than_expected_are_ebadmsg_and_nothing_is_stored(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct store_put *p;
	struct digest expected, d = { { 7 } }, before = d;
	digest_of(&expected, "expected", 8);
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_ok(store_put_write(p, "other", 5, &err));
	assert_error(store_put_finish(p, &expected, &d, &err), -EBADMSG);
	assert_memory_equal(&d, &before, sizeof(d));
	assert_int_equal(count_blobs(f), 0);
}

static void aborted_put_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct store_put *p;
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_ok(store_put_write(p, "bytes", 5, &err));
	store_put_abort(p);
	store_put_abort(NULL);
	assert_int_equal(count_blobs(f), 0);
}

static void blob_put_twice_is_there_once(void **state)
{
	struct fixture *f = *state;
	struct digest a = put(f, "twice"), b = put(f, "twice");
	assert_true(digest_equal(&a, &b));
	assert_int_equal(count_blobs(f), 1);
	struct error err;
	struct store_put *p;
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_ok(store_put_write(p, "twice", 5, &err));
	assert_ok(store_put_finish(p, &a, &b, &err));
	assert_int_equal(count_blobs(f), 1);
	assert_holds(f, &a, "twice", 5);
}

static void two_puts_of_one_blob_at_once_both_succeed(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct store_put *p, *q;
	struct digest a, b;
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_ok(store_put_begin(f->store, &q, &err));
	assert_ok(store_put_write(p, "same", 4, &err));
	assert_ok(store_put_write(q, "same", 4, &err));
	assert_ok(store_put_finish(p, NULL, &a, &err));
	assert_ok(store_put_finish(q, NULL, &b, &err));
	assert_true(digest_equal(&a, &b));
	assert_int_equal(count_blobs(f), 1);
}

static void absent_blob_is_enoent_and_leaves_outputs_alone(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d;
	uint64_t size = 12345;
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "kept");
	digest_of(&d, "absent", 6);
	assert_error(store_get(f->store, &d, &err), -ENOENT);
	assert_error(store_get_bytes(f->store, &d, 100, &b, &err), -ENOENT);
	assert_error(store_has(f->store, &d, &size, &err), -ENOENT);
	assert_error(store_delete(f->store, &d, &err), -ENOENT);
	assert_error(store_verify(f->store, &d, &err), -ENOENT);
	assert_int_equal(size, 12345);
	assert_string_equal(b.data, "kept");
}

static void blob_larger_than_allowed_is_efbig_and_leaves_the_buffer_alone(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "five5");
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "kept");
	assert_error(store_get_bytes(f->store, &d, 4, &b, &err), -EFBIG);
	assert_string_equal(b.data, "kept");
	assert_ok(store_get_bytes(f->store, &d, 5, &b, &err));
	assert_string_equal(b.data, "keptfive5");
}

static void descriptor_got_cannot_be_written(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "read only");
	scoped_fd int fd = -1;
	assert_ok(fd = store_get(f->store, &d, &err));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EBADF);
}

static void deleted_blob_is_absent_and_can_be_put_again(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "gone");
	assert_ok(store_delete(f->store, &d, &err));
	assert_error(store_has(f->store, &d, NULL, &err), -ENOENT);
	d = put(f, "gone");
	assert_holds(f, &d, "gone", 4);
}

static void descriptor_outlives_its_blob(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "outlives");
	scoped_fd int fd = -1;
	assert_ok(fd = store_get(f->store, &d, &err));
	assert_ok(store_delete(f->store, &d, &err));
	char bytes[16];
	assert_int_equal(read_full(fd, bytes, sizeof(bytes)), 8);
}

static void file_is_put_whole_whatever_the_descriptors_offset(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const size_t sizes[] = { 0, 500, 1 << 20, LARGE_BYTES };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		scoped_fd int fd = open_file(f, f->large, sizes[i]);
		struct digest d;
		uint64_t size;
		lseek(fd, (off_t)sizes[i] / 2, SEEK_SET);
		assert_ok(store_put_fd(f->store, fd, &d, &size, &err));
		assert_int_equal(size, sizes[i]);
		assert_int_equal(lseek(fd, 0, SEEK_CUR), sizes[i] / 2);
		assert_holds(f, &d, f->large, sizes[i]);
	}
}

static void later_change_of_a_file_does_not_reach_its_blob(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d;
	scoped_fd int fd = open_file(f, f->large, LARGE_BYTES);
	assert_ok(store_put_fd(f->store, fd, &d, NULL, &err));
	assert_int_equal(pwrite(fd, "changed", 7, 0), 7);
	assert_holds(f, &d, f->large, LARGE_BYTES);
	assert_ok(store_verify(f->store, &d, &err));
}

static void what_is_no_regular_file_is_not_put(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d;
	scoped_fd int fd = open(f->files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_error(store_put_fd(f->store, fd, &d, NULL, &err), -EINVAL);
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_error(store_put_fd(f->store, ends[0], &d, NULL, &err), -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

static void change_original(int fd)
{
	assert_int_equal(pwrite(fd, "changed", 7, 0), 7);
}

/* Only the fake store clones on every filesystem; the code above the table is the same. */
static void file_that_changes_once_cloned_is_stored_as_it_was_when_cloned(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d, expected;
	uint64_t size;
	scoped_fd int fd = open_file(f, f->large, LARGE_BYTES);
	fake_faults.after_clone = change_original;
	assert_ok(store_put_fd(f->store, fd, &d, &size, &err));
	digest_of(&expected, f->large, LARGE_BYTES);
	assert_true(digest_equal(&d, &expected));
	assert_int_equal(size, LARGE_BYTES);
	assert_holds(f, &d, f->large, LARGE_BYTES);
}

static int stop_at_second(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)d, (void)size_bytes;
	return ++*(int *)arg == 2 ? 42 : 0;
}

static int add_size(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)d;
	*(uint64_t *)arg += size_bytes;
	return 0;
}

static void walk_visits_each_blob_with_its_size_and_ends_when_told(void **state)
{
	struct fixture *f = *state;
	struct error err;
	uint64_t total = 0;
	int visited = 0;
	for (int i = 0; i < 100; i++) {
		struct digest d;
		assert_ok(store_put_bytes(f->store, f->large, (size_t)i, &d, &err));
	}
	assert_int_equal(count_blobs(f), 100);
	assert_ok(store_iterate(f->store, add_size, &total, &err));
	assert_int_equal(total, 99 * 100 / 2);
	assert_int_equal(store_iterate(f->store, stop_at_second, &visited, &err), 42);
	assert_int_equal(visited, 2);
}

static int delete_it(void *arg, const struct digest *d, uint64_t size_bytes)
{
	(void)size_bytes;
	return store_delete(arg, d, NULL);
}

static void blobs_may_be_deleted_while_they_are_walked(void **state)
{
	struct fixture *f = *state;
	struct error err;
	for (int i = 0; i < 100; i++) {
		struct digest d;
		assert_ok(store_put_bytes(f->store, f->large, (size_t)i, &d, &err));
	}
	assert_ok(store_iterate(f->store, delete_it, f->store, &err));
	assert_int_equal(count_blobs(f), 0);
}

static void sound_blob_verifies(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "sound");
	assert_ok(store_verify(f->store, &d, &err));
	assert_holds(f, &d, "sound", 5);
}

static void broken_blob_is_ebadmsg_then_absent_and_a_put_heals_it(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d = put(f, "sound");
	damage(f, &d, "sOund");
	assert_error(store_verify(f->store, &d, &err), -EBADMSG);
	assert_error(store_has(f->store, &d, NULL, &err), -ENOENT);
	put(f, "sound");
	assert_holds(f, &d, "sound", 5);
}

static void blob_cut_short_is_healed_by_any_put(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct store_put *p;
	struct digest d = put(f, "sound"), again;
	damage(f, &d, "");
	put(f, "sound");
	assert_holds(f, &d, "sound", 5);
	damage(f, &d, "soun");
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_ok(store_put_write(p, "sound", 5, &err));
	assert_ok(store_put_finish(p, NULL, &again, &err));
	assert_holds(f, &d, "sound", 5);
}

static void broken_blob_of_an_untrusted_store_is_never_handed_out(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const char *const broken[] = { "sOund", "", "sound and more" };
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		struct digest d = put(f, "sound");
		scoped_buf struct buf b = BUF_INIT;
		damage(f, &d, broken[i]);
		assert_error(store_get(f->store, &d, &err), -EBADMSG);
		assert_error(store_get_bytes(f->store, &d, 100, &b, &err), -EBADMSG);
		assert_int_equal(b.len, 0);
	}
}

static void broken_bytes_of_a_store_that_is_distrusted_are_never_handed_out(void **state)
{
	struct fixture *f = *state;
	struct error err;
	static const char *const broken[] = { "sOund", "", "sound and more" };
	store_distrust(f->store);
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		struct digest d = put(f, "sound");
		scoped_buf struct buf b = BUF_INIT;
		assert_ok(store_get_bytes(f->store, &d, 100, &b, &err));
		buf_reset(&b);
		damage(f, &d, broken[i]);
		assert_error(store_get_bytes(f->store, &d, 100, &b, &err), -EBADMSG);
		assert_int_equal(b.len, 0);
		assert_error(store_verify(f->store, &d, &err), -EBADMSG);
	}
}

static void full_store_is_enospc_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest d;
	struct store_put *p;
	scoped_fd int fd = open_file(f, f->large, LARGE_BYTES);
	fake_faults.room_bytes = 1000;
	assert_error(store_put_bytes(f->store, f->large, 1001, &d, &err), -ENOSPC);
	assert_error(store_put_fd(f->store, fd, &d, NULL, &err), -ENOSPC);
	assert_ok(store_put_begin(f->store, &p, &err));
	assert_error(store_put_write(p, f->large, 1001, &err), -ENOSPC);
	assert_error(store_put_write(p, f->large, 1, &err), -ENOSPC);
	assert_error(store_put_finish(p, NULL, &d, &err), -ENOSPC);
	assert_int_equal(count_blobs(f), 0);
	assert_ok(store_put_bytes(f->store, f->large, 1000, &d, &err));
}

static struct memo make_memo(uint8_t thunk, uint64_t size)
{
	struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = size };
	memo.thunk.bytes[0] = thunk;
	memo.engine = xstrdup("local");
	memo_add_output(&memo, "out put\n", &ref);
	return memo;
}

static void memo_put_comes_back_and_the_last_writer_wins(void **state)
{
	struct fixture *f = *state;
	struct error err;
	for (uint64_t size = 1; size <= 2; size++) {
		scoped_memo struct memo memo = make_memo(1, size);
		scoped_memo struct memo got = MEMO_INIT;
		assert_ok(store_memo_put(f->store, &memo, &err));
		assert_ok(store_memo_get(f->store, &memo.thunk, &got, &err));
		assert_int_equal(memo_output(&got, "out put\n")->size_bytes, size);
		assert_string_equal(got.engine, "local");
	}
}

static void absent_memo_is_enoent_and_leaves_outputs_alone(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct digest thunk = { { 1 } };
	scoped_memo struct memo got = MEMO_INIT;
	assert_error(store_memo_get(f->store, &thunk, &got, &err), -ENOENT);
	assert_error(store_memo_delete(f->store, &thunk, &err), -ENOENT);
	assert_int_equal(got.count, 0);
	assert_null(got.outputs);
}

static void deleted_memo_is_absent(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = make_memo(1, 1);
	scoped_memo struct memo got = MEMO_INIT;
	assert_ok(store_memo_put(f->store, &memo, &err));
	assert_ok(store_memo_delete(f->store, &memo.thunk, &err));
	assert_error(store_memo_get(f->store, &memo.thunk, &got, &err), -ENOENT);
}

static void memos_are_walked_apart_from_blobs(void **state)
{
	struct fixture *f = *state;
	struct error err;
	int count = 0;
	put(f, "a blob");
	for (uint8_t i = 0; i < 10; i++) {
		scoped_memo struct memo memo = make_memo(i, 1);
		assert_ok(store_memo_put(f->store, &memo, &err));
	}
	assert_ok(store_memo_iterate(f->store, count_one, &count, &err));
	assert_int_equal(count, 10);
	assert_int_equal(count_blobs(f), 1);
}

static void unreadable_memo_is_ebadmsg_until_put_again(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = make_memo(1, 1), other = make_memo(2, 1);
	scoped_buf struct buf text = BUF_INIT;
	scoped_free char *huge = xcalloc(1, MEMO_BYTES_MAX + 1);
	memo_encode(&other, &text);
	const struct {
		const char *bytes;
		size_t len;
	} broken[] = {
		{ "", 0 },
		{ "ggfs-memo 1\n", 12 },
		{ text.data, text.len - 1 },
		{ text.data, text.len }, /* sound, but of another thunk */
		{ huge, MEMO_BYTES_MAX + 1 },
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		scoped_memo struct memo got = MEMO_INIT;
		assert_ok(store_memo_put(f->store, &memo, &err));
		assert_ok(backend->damage_memo(f->directory, &memo.thunk, broken[i].bytes,
					       broken[i].len, &err));
		assert_error(store_memo_get(f->store, &memo.thunk, &got, &err), -EBADMSG);
		assert_null(got.outputs);
	}
	scoped_memo struct memo got = MEMO_INIT;
	assert_ok(store_memo_put(f->store, &memo, &err));
	assert_ok(store_memo_get(f->store, &memo.thunk, &got, &err));
}

static void memo_over_the_limit_is_efbig(void **state)
{
	struct fixture *f = *state;
	struct error err;
	scoped_memo struct memo memo = make_memo(1, 1);
	struct ref ref = { .kind = REF_BLOB };
	for (int i = 0; i < MEMO_OUTPUTS_MAX; i++) {
		char path[32];
		snprintf(path, sizeof(path), "%d", i);
		memo_add_output(&memo, path, &ref);
	}
	assert_error(store_memo_put(f->store, &memo, &err), -EFBIG);
}

enum { THREADS = 4, ROUNDS = 50 };

/* All threads put, get, verify and list the same blobs and memos. Returns what went wrong. */
static void *hammer(void *arg)
{
	struct store *s = arg;
	struct error err = ERROR_INIT;
	for (uint8_t i = 0; i < ROUNDS; i++) {
		scoped_memo struct memo memo = make_memo(i, i), got = MEMO_INIT;
		scoped_buf struct buf b = BUF_INIT;
		struct digest d;
		int count = 0;
		if (store_put_bytes(s, &i, 1, &d, &err) < 0 ||
		    store_get_bytes(s, &d, 1, &b, &err) < 0 || store_verify(s, &d, &err) < 0 ||
		    store_memo_put(s, &memo, &err) < 0 ||
		    store_memo_get(s, &memo.thunk, &got, &err) < 0 ||
		    store_iterate(s, count_one, &count, &err) < 0)
			return xstrdup(err.text);
		if (b.len != 1 || (uint8_t)b.data[0] != i)
			return xstrdup("other bytes came back");
	}
	return NULL;
}

static void many_threads_use_one_store_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, f->store), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		if (wrong)
			fail_msg("%s", (char *)wrong);
	}
	assert_int_equal(count_blobs(f), ROUNDS);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define ALL_STORES                                                                                 \
	T(bytes_put_come_back_whatever_their_number),                                              \
		T(streamed_put_is_the_same_blob_as_a_put_of_all_bytes),                            \
		T(other_bytes_than_expected_are_ebadmsg_and_nothing_is_stored),                    \
		T(aborted_put_leaves_nothing), T(blob_put_twice_is_there_once),                    \
		T(two_puts_of_one_blob_at_once_both_succeed),                                      \
		T(absent_blob_is_enoent_and_leaves_outputs_alone),                                 \
		T(blob_larger_than_allowed_is_efbig_and_leaves_the_buffer_alone),                  \
		T(descriptor_got_cannot_be_written),                                               \
		T(deleted_blob_is_absent_and_can_be_put_again), T(descriptor_outlives_its_blob),   \
		T(file_is_put_whole_whatever_the_descriptors_offset),                              \
		T(later_change_of_a_file_does_not_reach_its_blob),                                 \
		T(what_is_no_regular_file_is_not_put),                                             \
		T(walk_visits_each_blob_with_its_size_and_ends_when_told),                         \
		T(blobs_may_be_deleted_while_they_are_walked), T(sound_blob_verifies),             \
		T(broken_blob_is_ebadmsg_then_absent_and_a_put_heals_it),                          \
		T(blob_cut_short_is_healed_by_any_put),                                            \
		T(memo_put_comes_back_and_the_last_writer_wins),                                   \
		T(absent_memo_is_enoent_and_leaves_outputs_alone), T(deleted_memo_is_absent),      \
		T(memos_are_walked_apart_from_blobs),                                              \
		T(unreadable_memo_is_ebadmsg_until_put_again), T(memo_over_the_limit_is_efbig),    \
		T(many_threads_use_one_store_at_once)

static int run_trusted(void)
{
	const struct CMUnitTest tests[] = {
		ALL_STORES,
		T(broken_bytes_of_a_store_that_is_distrusted_are_never_handed_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int run_untrusted(void)
{
	const struct CMUnitTest tests[] = {
		ALL_STORES,
		T(broken_blob_of_an_untrusted_store_is_never_handed_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* With its faults on order. */
static int run_fake(void)
{
	const struct CMUnitTest tests[] = {
		ALL_STORES,
		T(broken_blob_of_an_untrusted_store_is_never_handed_out),
		T(file_that_changes_once_cloned_is_stored_as_it_was_when_cloned),
		T(full_store_is_enospc_and_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Skipping is failing where nothing may be skipped. */
static int skip_all(const char *missing)
{
	const char *must_work = getenv("GGFS_MUST_WORK");
	if (must_work && strcmp(must_work, "1") == 0) {
		printf("1..1\nnot ok 1 - needs %s\n", missing);
		return 1;
	}
	printf("1..0 # SKIP needs %s\n", missing);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct backend *const backends[] = { &local_backend, &fake_backend, &s3_backend,
							  &near_far_backend, &near_s3_backend };
	for (size_t i = 0; argc == 2 && i < sizeof(backends) / sizeof(*backends); i++)
		if (strcmp(backends[i]->name, argv[1]) == 0)
			backend = backends[i];
	if (!backend)
		return 2;
	const char *missing = backend->missing ? backend->missing() : NULL;
	if (missing)
		return skip_all(missing);
	int failed = backend == &fake_backend ? run_fake()
		     : backend->trusted       ? run_trusted()
					      : run_untrusted();
	if (backend->finish)
		backend->finish();
	return failed;
}
