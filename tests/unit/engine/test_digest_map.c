#include "tests/lib/test.h"

#include "engine/digest_map.h"

/* Digests that share their first bytes land on one slot. */
static struct digest key(uint32_t home, uint32_t number)
{
	struct digest d = { 0 };
	memcpy(d.bytes, &home, sizeof(home));
	memcpy(d.bytes + 16, &number, sizeof(number));
	return d;
}

static void what_was_put_is_got_and_removed_once(void **state)
{
	(void)state;
	struct digest_map m = DIGEST_MAP_INIT;
	struct digest a = key(1, 1), b = key(1, 2);
	int one, two;
	assert_null(digest_map_get(&m, &a));
	assert_null(digest_map_remove(&m, &a));
	assert_null(digest_map_put(&m, &a, &one));
	assert_ptr_equal(digest_map_put(&m, &a, &two), &one);
	assert_int_equal(m.count, 1);
	assert_null(digest_map_get(&m, &b));
	assert_ptr_equal(digest_map_get(&m, &a), &two);
	assert_ptr_equal(digest_map_remove(&m, &a), &two);
	assert_null(digest_map_remove(&m, &a));
	assert_int_equal(m.count, 0);
	digest_map_release(&m);
}

static void removals_leave_all_others_findable(void **state)
{
	enum { COUNT = 2000 };
	static bool there[COUNT];
	static char values[COUNT];
	(void)state;
	struct digest_map m = DIGEST_MAP_INIT;
	uint32_t random = 12345;
	for (int round = 0; round < 20000; round++) {
		random = random * 1664525 + 1013904223;
		uint32_t i = (random >> 8) % COUNT;
		struct digest k = key(i % 97, i); /* many collisions, some across the end */
		if (there[i])
			assert_ptr_equal(digest_map_remove(&m, &k), &values[i]);
		else
			assert_null(digest_map_put(&m, &k, &values[i]));
		there[i] = !there[i];
	}
	size_t count = 0, seen = 0, position = 0;
	for (uint32_t i = 0; i < COUNT; i++) {
		struct digest k = key(i % 97, i);
		assert_ptr_equal(digest_map_get(&m, &k), there[i] ? &values[i] : NULL);
		count += there[i];
	}
	assert_int_equal(m.count, count);
	while (digest_map_next(&m, &position))
		seen++;
	assert_int_equal(seen, count);
	digest_map_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_got_and_removed_once),
		cmocka_unit_test(removals_leave_all_others_findable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
