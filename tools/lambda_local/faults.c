#include "tools/lambda_local/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static const char *const names[FAULT_COUNT] = {
	[FAULT_NONE] = "none",
	[FAULT_THROTTLE] = "throttle",
	[FAULT_500] = "500",
	[FAULT_502] = "502",
	[FAULT_503] = "503",
	[FAULT_504] = "504",
	[FAULT_CUT_BEFORE] = "cut-before",
	[FAULT_CUT_AFTER] = "cut-after",
	[FAULT_CUT_MIDDLE] = "cut-middle",
	[FAULT_UNHANDLED] = "unhandled",
	[FAULT_OOM] = "oom",
	[FAULT_TIMEOUT] = "timeout",
	[FAULT_SLOW] = "slow",
	[FAULT_WRONG_DIGEST] = "wrong-digest",
	[FAULT_OTHER_THUNK] = "other-thunk",
};

static const char *const throttle_reasons[] = {
	"ConcurrentInvocationLimitExceeded",
	"FunctionInvocationRateLimitExceeded",
	"ReservedFunctionConcurrentInvocationLimitExceeded",
	"ReservedFunctionInvocationRateLimitExceeded",
	"CallerRateLimitExceeded",
	"ConcurrentSnapshotCreateLimitExceeded",
};
enum { THROTTLE_REASONS = sizeof(throttle_reasons) / sizeof(throttle_reasons[0]) };

const char *fault_name(enum fault f)
{
	return names[f];
}

/* One "KIND=RATE" of len bytes. */
static int parse_one(double rates[FAULT_COUNT], const char *text, size_t len, struct error *err)
{
	scoped_free char *item = xstrndup(text, len);
	char *equals = strchr(item, '=');
	if (!equals)
		return error_set(err, -EINVAL, "fault '%s' has no rate: KIND=RATE is wanted", item);
	*equals = '\0';
	char *end;
	double rate = strtod(equals + 1, &end);
	if (end == equals + 1 || *end || !(rate >= 0 && rate <= 1))
		return error_set(err, -EINVAL, "the rate of fault '%s' is no number from 0 to 1",
		                 item);
	for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++)
		if (strcmp(names[f], item) == 0) {
			rates[f] = rate;
			return 0;
		}
	return error_set(err, -EINVAL, "there is no fault '%s'; --help lists them", item);
}

int faults_parse(struct fault_plan *p, const char *text, struct error *err)
{
	double rates[FAULT_COUNT] = { 0 }, sum = 0;
	while (*text) {
		size_t len = strcspn(text, ",");
		int r = parse_one(rates, text, len, err);
		if (r < 0)
			return r;
		text += len;
		text += *text == ',';
	}
	for (int f = 0; f < FAULT_COUNT; f++)
		sum += rates[f];
	if (sum > 1 + 1e-9)
		return error_set(err, -EINVAL, "the faults' rates add up to more than 1");
	memcpy(p->rates, rates, sizeof(rates));
	return 0;
}

void faults_seed(struct fault_plan *p, uint64_t seed)
{
	p->state = seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014): any seed will do, and the sequence is the same anywhere. */
static uint64_t next(struct fault_plan *p)
{
	uint64_t z = (p->state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

enum fault faults_draw(struct fault_plan *p)
{
	double at = (double)(next(p) >> 11) * 0x1p-53;
	for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++) {
		if (at < p->rates[f])
			return (enum fault)f;
		at -= p->rates[f];
	}
	return FAULT_NONE;
}

const char *faults_throttle_reason(struct fault_plan *p)
{
	return throttle_reasons[p->throttles++ % THROTTLE_REASONS];
}
