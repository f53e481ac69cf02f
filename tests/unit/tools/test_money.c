#include "tests/lib/test.h"

#include <errno.h>

#include "tools/money.h"

static void amounts_are_read_to_the_nanodollar(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t nanodollars;
	} cases[] = {
		{ "1", 1000000000 },
		{ "2.50", 2500000000 },
		{ "$3", 3000000000 },
		{ ".5", 500000000 },
		{ "0.000000001", 1 },
		{ "1.0000000019", 1000000001 },
		{ "1000000000", 1000000000000000000 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t got;
		assert_int_equal(money_parse(cases[i].text, &got), 0);
		assert_int_equal(got, cases[i].nanodollars);
	}
}

static void what_is_no_amount_of_more_than_nothing_is_einval(void **state)
{
	(void)state;
	static const char *const cases[] = { "",    ".",   "$",  "0",   "0.0000000001", "-1",
		                             "1e3", "1,5", "1 ", "ten", "1000000001",   "1.2.3" };
	uint64_t got = 7;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(money_parse(cases[i], &got), -EINVAL);
	assert_int_equal(got, 7);
}

static void small_amounts_are_shown_with_more_digits(void **state)
{
	(void)state;
	assert_string_equal(money_text(0).text, "$0.00");
	assert_string_equal(money_text(12345678901).text, "$12.35");
	assert_string_equal(money_text(12345678).text, "$0.0123");
	assert_string_equal(money_text(12345).text, "$0.000012");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_are_read_to_the_nanodollar),
		cmocka_unit_test(what_is_no_amount_of_more_than_nothing_is_einval),
		cmocka_unit_test(small_amounts_are_shown_with_more_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
