/* Dollars, as people write them; in nanodollars inside. Pure. */
#ifndef GGFS_TOOLS_MONEY_H
#define GGFS_TOOLS_MONEY_H

#include <jansson.h>
#include <stdint.h>

#include "engine/force.h"

/* "2.50", "0.001", "$3": 0, or -EINVAL for what is not an amount of more than nothing. */
int money_parse(const char *text, uint64_t *nanodollars);

/* "$0.0123": two digits behind the point from a dollar on, more below. */
struct money_text {
	char text[32];
};
struct money_text money_text(uint64_t nanodollars);

json_t *json_estimate(const struct force_estimate *e);

#endif
