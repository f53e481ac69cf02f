#include "tests/lib/test.h"

#include <string.h>
#include <unistd.h>

#include "objstore/digest.h"

/* As b2sum -l 256 prints them. */
static const char of_nothing[] = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
static const char of_abc[] = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";

static void digest_is_what_b2sum_prints(void **state)
{
	(void)state;
	struct digest d;
	digest_of(&d, "", 0);
	assert_string_equal(digest_hex(&d).text, of_nothing);
	digest_of(&d, "abc", 3);
	assert_string_equal(digest_hex(&d).text, of_abc);
}

static void hash_in_pieces_equals_hash_of_the_whole(void **state)
{
	(void)state;
	char bytes[1000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31);
	struct digest whole, pieces;
	struct hasher *h = hasher_new();
	digest_of(&whole, bytes, sizeof(bytes));
	for (size_t step = 1; step <= sizeof(bytes); step = step * 3 + 1) {
		for (size_t at = 0; at < sizeof(bytes); at += step)
			hasher_add(h, bytes + at,
				   step < sizeof(bytes) - at ? step : sizeof(bytes) - at);
		hasher_finish(h, &pieces); /* and starts over */
		assert_true(digest_equal(&whole, &pieces));
	}
	hasher_finish(h, &pieces);
	assert_string_equal(digest_hex(&pieces).text, of_nothing);
	hasher_free(h);
	hasher_free(NULL);
}

static void file_is_hashed_from_its_start_and_its_offset_stays(void **state)
{
	(void)state;
	struct error err;
	char *directory = test_directory();
	scoped_free char *path = xformat("%s/file", directory);
	assert_ok(replace_file_at(AT_FDCWD, path, "abc", 3, 0600, &err));
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digest d;
	uint64_t size = 0;
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_ok(digest_of_fd(fd, &d, &size, &err));
	assert_string_equal(digest_hex(&d).text, of_abc);
	assert_int_equal(size, 3);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 2);
	assert_ok(digest_of_fd(fd, &d, NULL, &err));
	test_directory_remove(directory);
}

static void unreadable_file_gives_an_error_and_no_digest(void **state)
{
	(void)state;
	struct error err;
	struct digest d = { { 9 } }, before = d;
	scoped_fd int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_error(digest_of_fd(directory, &d, NULL, &err), -EISDIR);
	assert_memory_equal(&d, &before, sizeof(d));
}

static void only_64_lower_case_hex_digits_are_a_digest(void **state)
{
	(void)state;
	struct digest d, before;
	assert_true(digest_parse(of_abc, 64, &d));
	assert_string_equal(digest_hex(&d).text, of_abc);
	before = d;
	char text[66];
	memcpy(text, of_nothing, 65);
	assert_false(digest_parse(text, 63, &d));
	assert_false(digest_parse(text, 65, &d));
	assert_false(digest_parse(text, 0, &d));
	static const char wrong[] = "gG A/:`@\n\x80";
	for (const char *c = wrong; *c; c++) {
		text[10] = *c;
		assert_false(digest_parse(text, 64, &d));
	}
	assert_true(digest_equal(&d, &before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_is_what_b2sum_prints),
		cmocka_unit_test(hash_in_pieces_equals_hash_of_the_whole),
		cmocka_unit_test(file_is_hashed_from_its_start_and_its_offset_stays),
		cmocka_unit_test(unreadable_file_gives_an_error_and_no_digest),
		cmocka_unit_test(only_64_lower_case_hex_digits_are_a_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
