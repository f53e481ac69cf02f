#include "engine/local/limit.h"

void limit_lower(int resource, rlim_t value)
{
	struct rlimit limit;
	if (getrlimit(resource, &limit) < 0)
		return;
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > value)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}
