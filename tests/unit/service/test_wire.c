/* The fields of frames, and what is no frame. */
#include <errno.h>

#include "engine/service/start.h"
#include "engine/service/wire.h"
#include "tests/lib/test.h"

static void add_one_of_each(struct buf *b)
{
	struct digest d = { { 1, 2, 3 } };
	struct ref ref = { .kind = REF_THUNK,
		           .digest = d,
		           .output = xstrdup("out"),
		           .selection = xstrdup("a/b") };
	struct strv list = STRV_INIT;
	strv_add(&list, "");
	strv_add(&list, "two words");
	wire_u8(b, 200);
	wire_u32(b, 4000000000u);
	wire_u64(b, UINT64_MAX - 1);
	wire_i64(b, -5);
	wire_string(b, NULL);
	wire_bytes(b, "a\0b", 3);
	wire_digest(b, &d);
	wire_strings(b, &list);
	wire_ref(b, &ref);
	ref_release(&ref);
	strv_release(&list);
}

static void what_is_written_is_read_again(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	scoped_strv struct strv list = STRV_INIT;
	scoped_ref struct ref ref = REF_INIT;
	struct error err = ERROR_INIT;
	struct digest d;
	size_t len;
	add_one_of_each(&b);
	struct wire_reader r = wire_reader(b.data, b.len);
	assert_int_equal(wire_get_u8(&r), 200);
	assert_int_equal(wire_get_u32(&r), 4000000000u);
	assert_true(wire_get_u64(&r) == UINT64_MAX - 1);
	assert_int_equal(wire_get_i64(&r), -5);
	scoped_free char *empty = wire_get_string(&r);
	assert_string_equal(empty, "");
	scoped_free char *bytes = wire_get_bytes(&r, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(bytes, "a\0b", 3);
	wire_get_digest(&r, &d);
	assert_int_equal(d.bytes[2], 3);
	wire_get_strings(&r, &list);
	assert_int_equal(list.count, 2);
	wire_get_ref(&r, &ref);
	assert_string_equal(ref.selection, "a/b");
	assert_ok(wire_done(&r, &err));
}

static void read_all_fields(const char *bytes, size_t len, int *code)
{
	struct wire_reader r = wire_reader(bytes, len);
	struct strv list = STRV_INIT;
	struct ref ref = REF_INIT;
	struct digest d;
	size_t n;
	wire_get_u8(&r), wire_get_u32(&r), wire_get_u64(&r), wire_get_i64(&r);
	free(wire_get_string(&r));
	free(wire_get_bytes(&r, &n));
	wire_get_digest(&r, &d);
	wire_get_strings(&r, &list);
	wire_get_ref(&r, &ref);
	*code = wire_done(&r, NULL);
	strv_release(&list);
	ref_release(&ref);
}

static void fields_cut_at_any_byte_are_ebadmsg(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	int code;
	add_one_of_each(&b);
	for (size_t len = 0; len < b.len; len++) {
		scoped_free char *exact =
		        xmalloc(len); /* so that a sanitizer sees a step too far */
		memcpy(exact, b.data, len);
		read_all_fields(exact, len, &code);
		assert_int_equal(code, -EBADMSG);
	}
	buf_add_char(&b, 'x');
	read_all_fields(b.data, b.len, &code);
	assert_int_equal(code, -EBADMSG);
}

static void a_string_with_a_nul_inside_is_refused(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	wire_bytes(&b, "a\0b", 3);
	struct wire_reader r = wire_reader(b.data, b.len);
	free(wire_get_string(&r));
	assert_int_equal(wire_done(&r, NULL), -EBADMSG);
}

static void an_int_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	const int64_t numbers[] = { INT32_MIN, -1, INT32_MAX, INT64_C(1) << 32, INT64_MIN };
	for (size_t i = 0; i < 5; i++) {
		scoped_buf struct buf b = BUF_INIT;
		wire_i64(&b, numbers[i]);
		struct wire_reader r = wire_reader(b.data, b.len);
		assert_int_equal(wire_get_int(&r), i < 3 ? numbers[i] : 0);
		assert_int_equal(wire_done(&r, NULL), i < 3 ? 0 : -EBADMSG);
	}
}

static void refs_that_cannot_be_are_refused(void **state)
{
	(void)state;
	char text[] = "x";
	const struct ref wrong[] = {
		{ .kind = (enum ref_kind)3 },            /* unknown */
		{ .kind = REF_THUNK },                   /* of no output */
		{ .kind = REF_BLOB, .output = text },    /* a blob has none */
		{ .kind = REF_BLOB, .selection = text }, /* nor anything to select */
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped_buf struct buf b = BUF_INIT;
		scoped_ref struct ref got = REF_INIT;
		wire_ref(&b, &wrong[i]);
		struct wire_reader r = wire_reader(b.data, b.len);
		wire_get_ref(&r, &got);
		assert_int_equal(wire_done(&r, NULL), -EBADMSG);
	}
}

static void headers_are_bounded_and_without_flags(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	struct wire_header h;
	wire_end(&b, wire_begin(&b, 7, 9));
	assert_true(wire_header_decode(b.data, &h));
	assert_int_equal(h.type, 7);
	assert_int_equal(h.id, 9);
	assert_int_equal(wire_id(&b), 9);
	assert_int_equal(h.length, WIRE_HEADER_SIZE - 4);
	b.data[6] = 1; /* flags */
	assert_false(wire_header_decode(b.data, &h));
	b.data[6] = 0;
	memset(b.data, 0xff, 4);
	assert_false(wire_header_decode(b.data, &h));
	memset(b.data, 0, 4);
	assert_false(wire_header_decode(b.data, &h));
}

static void versions_compare_as_numbers(void **state)
{
	(void)state;
	assert_true(start_version_compare("0.9", "0.10") < 0);
	assert_true(start_version_compare("1.0", "1") == 0);
	assert_true(start_version_compare("2", "1.9.9") > 0);
	assert_true(start_version_compare("1.2.3", "1.2.3") == 0);
	assert_true(start_version_compare("", "0.0.1") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(fields_cut_at_any_byte_are_ebadmsg),
		cmocka_unit_test(a_string_with_a_nul_inside_is_refused),
		cmocka_unit_test(an_int_that_does_not_fit_is_refused),
		cmocka_unit_test(refs_that_cannot_be_are_refused),
		cmocka_unit_test(headers_are_bounded_and_without_flags),
		cmocka_unit_test(versions_compare_as_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
