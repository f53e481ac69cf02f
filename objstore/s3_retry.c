#include "objstore/s3_retry.h"

enum { HUNDREDTHS = 100, SHIFT_MAX = 20 };

void s3_budget_fill(struct s3_budget *budget)
{
	budget->hundredths = S3_BUDGET_TOKENS * HUNDREDTHS;
}

bool s3_budget_take(struct s3_budget *budget)
{
	if (budget->hundredths < HUNDREDTHS)
		return false;
	budget->hundredths -= HUNDREDTHS;
	return true;
}

void s3_budget_refund(struct s3_budget *budget)
{
	budget->hundredths += S3_REFUND_PERCENT;
	if (budget->hundredths > S3_BUDGET_TOKENS * HUNDREDTHS)
		s3_budget_fill(budget);
}

static int64_t doubled(int64_t first, int64_t most, unsigned times)
{
	int64_t bound = first << (times < SHIFT_MAX ? times : SHIFT_MAX);
	return bound < most ? bound : most;
}

int64_t s3_backoff_ms(const struct s3_limits *limits, unsigned attempt, uint32_t random)
{
	return random % (doubled(limits->backoff_ms, limits->backoff_max_ms, attempt) + 1);
}

int64_t s3_probe_ms(const struct s3_limits *limits, unsigned probes, uint32_t random)
{
	int64_t half = doubled(limits->probe_ms, limits->probe_max_ms, probes) / 2;
	return half + random % (half + 1);
}
