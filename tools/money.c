#include "tools/money.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NANO_DIGITS = 9 };
#define DOLLARS_MAX 1000000000ull

int money_parse(const char *text, uint64_t *nanodollars)
{
	uint64_t whole = 0, part = 0;
	int digits = 0, decimals = 0;
	if (*text == '$')
		text++;
	for (; *text >= '0' && *text <= '9'; text++, digits++) {
		whole = whole * 10 + (uint64_t)(*text - '0');
		if (whole > DOLLARS_MAX)
			return -EINVAL;
	}
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9'; text++, digits++)
			if (decimals < NANO_DIGITS) {
				part = part * 10 + (uint64_t)(*text - '0');
				decimals++;
			}
	for (; decimals < NANO_DIGITS; decimals++)
		part *= 10;
	if (*text || !digits || whole + part == 0)
		return -EINVAL;
	*nanodollars = whole * 1000000000u + part;
	return 0;
}

struct money_text money_text(uint64_t nanodollars)
{
	struct money_text t;
	double dollars = (double)nanodollars / 1e9;
	int decimals = nanodollars >= 1000000000u ? 2 : nanodollars >= 10000000u ? 4 : 6;
	if (nanodollars == 0)
		decimals = 2;
	snprintf(t.text, sizeof(t.text), "$%.*f", decimals, dollars);
	return t;
}

json_t *json_estimate(const struct force_estimate *e)
{
	json_t *o = json_object();
	json_object_set_new(o, "to_run", json_integer((json_int_t)e->to_run));
	json_object_set_new(o, "never_ran", json_integer((json_int_t)e->unknown));
	json_object_set_new(o, "known", json_integer((json_int_t)e->known));
	json_object_set_new(o, "function_seconds", json_real((double)e->micros / 1e6));
	json_object_set_new(o, "cost_usd", json_real((double)e->nanodollars / 1e9));
	json_object_set_new(o, "spent_seconds", json_real((double)e->spent_micros / 1e6));
	json_object_set_new(o, "spent_usd", json_real((double)e->spent_nanodollars / 1e9));
	json_object_set_new(o, "is_cut", json_boolean(e->is_cut));
	return o;
}
