#include "tests/lib/test.h"

#include <string.h>
#include <unistd.h>

#include "objstore/s3_body.h"

enum { LARGE = 5 << 20, WHOLE = 64 << 20 };

static int file_of(const void *bytes, size_t len)
{
	struct error err;
	int fd = s3_spool_open(-1, &err);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, bytes, len), 0);
	return fd;
}

static char *text_of(size_t len)
{
	char *bytes = xmalloc(len + 1);
	for (size_t i = 0; i < len; i++)
		bytes[i] = "some words, again and again; "[i % 29];
	return bytes;
}

static char *noise_of(size_t len)
{
	char *bytes = xmalloc(len + 1);
	uint64_t x = 88172645463325252ull;
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (char)x;
	}
	return bytes;
}

static int gather(void *arg, const void *bytes, size_t len, struct error *err)
{
	(void)err;
	buf_add(arg, bytes, len);
	return 0;
}

static void packed_bytes_unpack_to_themselves_whatever_their_size(void **state)
{
	(void)state;
	static const size_t sizes[] = {
		0, 1, 511, 512, 5000, S3_MEMORY_BYTES, S3_MEMORY_BYTES + 1, LARGE
	};
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		struct error err;
		size_t len = sizes[i / 2];
		scoped_free char *bytes = i % 2 ? text_of(len) : noise_of(len);
		scoped_fd int fd = file_of(bytes, len);
		scoped_buf struct buf out = BUF_INIT;
		struct s3_body body = S3_BODY_INIT(-1);
		struct digest d;
		digest_of(&d, bytes, len);
		assert_ok(s3_body_pack(&body, fd, &d, WHOLE, &err));
		assert_int_equal(body.plain_bytes, len);
		assert_int_equal(body.zstd, i % 2 && len >= S3_ZSTD_MIN_BYTES);
		assert_true(body.size_bytes <= len);
		assert_int_equal(body.part_count, 1);
		assert_ok(s3_body_unpack(&body, body.zstd, len, gather, &out, &err));
		assert_int_equal(out.len, len);
		if (len > 0)
			assert_memory_equal(out.data, bytes, len);
		s3_body_release(&body);
	}
}

static void each_part_has_its_own_hash(void **state)
{
	(void)state;
	struct error err;
	size_t len = 2 * S3_PART_BYTES_MIN + 5;
	scoped_free char *bytes = noise_of(len);
	scoped_fd int fd = file_of(bytes, len);
	struct s3_body body = S3_BODY_INIT(-1);
	struct digest d;
	digest_of(&d, bytes, len);
	assert_ok(s3_body_pack(&body, fd, &d, S3_PART_BYTES_MIN, &err));
	assert_int_equal(body.part_count, 3);
	for (size_t i = 0; i < 3; i++) {
		size_t at = i * S3_PART_BYTES_MIN, left = len - at;
		struct sha256_hex hex =
		        sha256_hex(bytes + at, left < S3_PART_BYTES_MIN ? left : S3_PART_BYTES_MIN);
		assert_string_equal(body.part_sha256[i].text, hex.text);
	}
	s3_body_release(&body);
}

static void damaged_blob_is_not_packed(void **state)
{
	(void)state;
	static const size_t sizes[] = { 10, LARGE };
	for (size_t i = 0; i < 2; i++) {
		struct error err;
		scoped_free char *bytes = text_of(sizes[i]);
		scoped_fd int fd = file_of(bytes, sizes[i]);
		struct s3_body body = S3_BODY_INIT(-1);
		struct digest d = { { 1 } };
		assert_error(s3_body_pack(&body, fd, &d, WHOLE, &err), -EBADMSG);
		s3_body_release(&body);
	}
}

static void what_is_cut_short_or_no_zstd_or_longer_than_it_says_is_ebadmsg(void **state)
{
	(void)state;
	struct error err;
	size_t len = 100000;
	scoped_free char *bytes = text_of(len);
	scoped_fd int fd = file_of(bytes, len);
	scoped_buf struct buf out = BUF_INIT;
	struct s3_body body = S3_BODY_INIT(-1);
	struct digest d;
	digest_of(&d, bytes, len);
	assert_ok(s3_body_pack(&body, fd, &d, WHOLE, &err));
	assert_true(body.zstd);
	assert_error(s3_body_unpack(&body, true, len - 1, gather, &out, &err), -EBADMSG);
	assert_error(s3_body_unpack(&body, true, len + 1, gather, &out, &err), -EBADMSG);
	body.size_bytes--;
	assert_error(s3_body_unpack(&body, true, len, gather, &out, &err), -EBADMSG);
	body.size_bytes++;
	body.bytes.data[0] ^= 1;
	assert_error(s3_body_unpack(&body, true, len, gather, &out, &err), -EBADMSG);
	s3_body_release(&body);
}

static void bytes_written_out_of_order_end_in_a_file_in_order(void **state)
{
	(void)state;
	struct s3_body body = S3_BODY_INIT(-1);
	char got[8];
	assert_int_equal(s3_body_write(&body, 0, "ab", 2), 0);
	assert_int_equal(body.fd, -1);
	assert_int_equal(s3_body_write(&body, 4, "ef", 2), 0);
	assert_true(body.fd >= 0);
	assert_int_equal(s3_body_write(&body, 2, "cd", 2), 0);
	assert_int_equal(s3_body_read(&body, 0, got, 8), 6);
	assert_memory_equal(got, "abcdef", 6);
	assert_int_equal(s3_body_read(&body, 6, got, 8), 0);
	s3_body_empty(&body);
	assert_int_equal(s3_body_read(&body, 0, got, 8), 0);
	s3_body_release(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_bytes_unpack_to_themselves_whatever_their_size),
		cmocka_unit_test(each_part_has_its_own_hash),
		cmocka_unit_test(damaged_blob_is_not_packed),
		cmocka_unit_test(what_is_cut_short_or_no_zstd_or_longer_than_it_says_is_ebadmsg),
		cmocka_unit_test(bytes_written_out_of_order_end_in_a_file_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
