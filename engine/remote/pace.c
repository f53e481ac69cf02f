#include "engine/remote/pace.h"

#include <stdlib.h>
#include <string.h>

enum { PROBE_STEP = 10 };
static const double PROBE_FACTOR = 1.25, FADING = 0.02;

static double budget(const struct pace *p)
{
	return p->ceiling > PACE_RETRIES ? p->ceiling : PACE_RETRIES;
}

static void earn(struct pace *p, double retries)
{
	p->retries += retries;
	if (p->retries > budget(p))
		p->retries = budget(p);
}

void pace_init(struct pace *p, unsigned ceiling, unsigned start, uint64_t seed, int64_t now_ms)
{
	*p = (struct pace){
		.limit = start ? start : PACE_START,
		.grown_ms = now_ms,
		.random = seed | 1,
	};
	pace_set_ceiling(p, ceiling);
	p->retries = budget(p);
}

void pace_set_ceiling(struct pace *p, unsigned ceiling)
{
	p->ceiling = ceiling ? ceiling : 1;
}

/* 0..max, xorshift64*. */
static int64_t random_up_to(struct pace *p, int64_t max)
{
	p->random ^= p->random >> 12;
	p->random ^= p->random << 25;
	p->random ^= p->random >> 27;
	return (int64_t)((p->random * 0x2545f4914f6cdd1du >> 33) % ((uint64_t)max + 1));
}

static double doubled(double first, unsigned times, double max)
{
	while (times-- > 0 && first < max)
		first *= 2;
	return first < max ? first : max;
}

/* As far as the limit may grow now. */
static double reach(const struct pace *p, int64_t now_ms)
{
	double proven = p->proven > 1 ? p->proven : 1;
	if (!p->throttled)
		return p->ceiling;
	if (now_ms - p->throttled_ms < PACE_QUIET_MS)
		return proven;
	double step = proven + PROBE_STEP, factor = proven * PROBE_FACTOR;
	return step > factor ? step : factor;
}

static void grow(struct pace *p, double by, int64_t now_ms)
{
	double to = reach(p, now_ms);
	if (to > p->ceiling)
		to = p->ceiling;
	if (p->limit < to)
		p->limit = p->limit + by < to ? p->limit + by : to;
}

/* What time brings. */
static void pass(struct pace *p, int64_t now_ms)
{
	double seconds = (double)(now_ms - p->grown_ms) / 1000;
	p->grown_ms = now_ms;
	earn(p, seconds * PACE_RETRIES_A_SECOND);
	/* Where nothing is answered, time is no reason to send more. */
	if (p->pauses == 0)
		grow(p, seconds * PACE_GROWTH_A_SECOND, now_ms);
}

unsigned pace_room(struct pace *p, int64_t now_ms)
{
	pass(p, now_ms);
	unsigned limit = p->limit < p->ceiling ? (unsigned)p->limit : p->ceiling;
	if (now_ms < p->pause_until_ms || p->in_flight >= limit)
		return 0;
	return limit - p->in_flight;
}

bool pace_may_retry(const struct pace *p)
{
	return p->retries >= 1;
}

int64_t pace_wait_ms(const struct pace *p, int64_t now_ms)
{
	if (now_ms < p->pause_until_ms)
		return p->pause_until_ms - now_ms;
	return pace_may_retry(p) ? 50 : 1 + 1000 / PACE_RETRIES_A_SECOND;
}

void pace_sent(struct pace *p, bool retry)
{
	p->in_flight++;
	if (retry)
		p->retries -= 1;
}

void pace_unsent(struct pace *p)
{
	p->in_flight--;
}

void pace_answered(struct pace *p, int64_t now_ms)
{
	pass(p, now_ms);
	if (p->in_flight > p->proven)
		p->proven = p->in_flight;
	p->in_flight--;
	p->trouble = p->pauses = 0;
	earn(p, PACE_RETRIES_AN_ANSWER);
	grow(p, 1, now_ms);
}

static void pause_for(struct pace *p, int64_t now_ms, int64_t ms)
{
	if (p->pause_until_ms < now_ms + ms)
		p->pause_until_ms = now_ms + ms;
}

/* Nothing comes back but that: everything stops for a while, and then one is tried. */
static void pause_all(struct pace *p, int64_t now_ms, int64_t pause_max_ms)
{
	double most = doubled(PACE_PAUSE_MS, p->pauses, (double)pause_max_ms);
	/* Half of it at least: what is refused wholesale is not to be asked at once again. */
	pause_for(p, now_ms, (int64_t)most / 2 + random_up_to(p, (int64_t)most / 2));
	p->trouble = 0;
	p->pauses++;
	p->limit = p->limit / 2 > 1 ? p->limit / 2 : 1;
}

void pace_throttled(struct pace *p, int64_t now_ms, int64_t retry_after_ms)
{
	p->in_flight--;
	p->throttled = true;
	p->throttled_ms = now_ms;
	double out = p->in_flight > 1 ? p->in_flight : 1;
	if (p->limit > out)
		p->limit = out;
	/* What was proven once fades, since others share the service. */
	if (p->proven > out)
		p->proven -= (p->proven - out) * FADING;
	if (retry_after_ms > PACE_RETRY_AFTER_MAX_MS)
		retry_after_ms = PACE_RETRY_AFTER_MAX_MS;
	if (retry_after_ms > 0)
		pause_for(p, now_ms, retry_after_ms);
	/* What is still out was taken, and tells by its end how much there is room for. */
	if (p->in_flight == 0)
		pause_all(p, now_ms, PACE_PAUSE_MAX_MS);
}

void pace_troubled(struct pace *p, int64_t now_ms)
{
	p->in_flight--;
	p->trouble++;
	if (p->in_flight == 0 || (p->trouble >= PACE_TROUBLE_MAX && p->trouble >= p->in_flight))
		pause_all(p, now_ms, PACE_TROUBLE_PAUSE_MAX_MS);
}

int64_t pace_backoff_ms(struct pace *p, unsigned tries)
{
	double most = doubled(PACE_BACKOFF_MS, tries > 0 ? tries - 1 : 0, PACE_BACKOFF_MAX_MS);
	return random_up_to(p, (int64_t)most);
}

/* --- what requests take ------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int64_t median_of(const struct durations *d)
{
	int64_t sorted[DURATIONS_KEPT];
	size_t n = d->count < DURATIONS_KEPT ? (size_t)d->count : DURATIONS_KEPT;
	memcpy(sorted, d->ms, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return sorted[n / 2];
}

void durations_add(struct durations *d, int64_t ms)
{
	d->ms[d->count++ % DURATIONS_KEPT] = ms;
	/* Sorting costs more than to be a little late. */
	if (d->count % DURATIONS_NEEDED == 0)
		d->median = median_of(d);
}

int64_t durations_median(const struct durations *d)
{
	return d->count < DURATIONS_NEEDED ? -1 : d->median;
}
