/*
 * Pace: how many requests a service is sent at once, how long to wait after trouble, and how many
 * retries there may be. Pure: time is given. Private to engine/remote/ (docs/engines.md).
 *
 * The number at once starts at PACE_START, which is what Lambda gives a function at once, and grows
 * with each answer and by PACE_GROWTH_A_SECOND, as Lambda's does. A 429 brings it down to what is
 * still out: what the service did take. It comes back with each answer to what was proven to work,
 * and probes beyond only after PACE_QUIET_MS without a 429. When nothing but trouble comes
 * back, everything pauses, longer each time, and then one request is tried.
 *
 * Threads: one owner.
 */
#ifndef GGFS_ENGINE_REMOTE_PACE_H
#define GGFS_ENGINE_REMOTE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_START = 1000,
	PACE_GROWTH_A_SECOND = 100,
	PACE_QUIET_MS = 2000,
	PACE_TROUBLE_MAX = 32,    /* in a row, before everything pauses */
	PACE_PAUSE_MS = 250,      /* the first; doubled up to ... */
	PACE_PAUSE_MAX_MS = 8000, /* of a service that takes nothing; and if it has trouble ... */
	PACE_TROUBLE_PAUSE_MAX_MS = 2000,
	PACE_BACKOFF_MS = 200, /* of one job; doubled up to ... */
	PACE_BACKOFF_MAX_MS = 3000,
	PACE_RETRY_AFTER_MAX_MS = 60000, /* of what a service may ask for */
	/* The retry budget: at first and at most (or one a job, if those are more), earned by a
	 * second and by an answer. */
	PACE_RETRIES = 200,
	PACE_RETRIES_A_SECOND = 10,
	PACE_RETRIES_AN_ANSWER = 4,
};

struct pace {
	unsigned ceiling, in_flight;
	double limit;  /* requests at once */
	double proven; /* were out together when one of them was answered */
	double retries;
	bool throttled; /* ever */
	int64_t throttled_ms, grown_ms, pause_until_ms;
	unsigned trouble; /* in a row */
	unsigned pauses;  /* in a row */
	uint64_t random;
};

/* start 0: PACE_START. */
void pace_init(struct pace *p, unsigned ceiling, unsigned start, uint64_t seed, int64_t now_ms);
void pace_set_ceiling(struct pace *p, unsigned ceiling);

/* How many more requests may be sent now. */
unsigned pace_room(struct pace *p, int64_t now_ms);
/* Whether one of them may be a retry. */
bool pace_may_retry(const struct pace *p);
/* Milliseconds until there may be more room than now, by time alone; at least 1. */
int64_t pace_wait_ms(const struct pace *p, int64_t now_ms);
void pace_sent(struct pace *p, bool retry);

/* One came back: exactly one of these for each that was sent. */
void pace_answered(struct pace *p, int64_t now_ms);
/* retry_after_ms: what the service asked for; 0: nothing. */
void pace_throttled(struct pace *p, int64_t now_ms, int64_t retry_after_ms);
void pace_troubled(struct pace *p, int64_t now_ms);
void pace_unsent(struct pace *p); /* it never left */

/* A time from 0 to what tries (>= 1) of one job come to: full jitter. */
int64_t pace_backoff_ms(struct pace *p, unsigned tries);

/* --- what requests take ------------------------------------------------------------------------
 */

enum { DURATIONS_KEPT = 64, DURATIONS_NEEDED = 8 };
/* The last ones, for their median. */
struct durations {
	int64_t ms[DURATIONS_KEPT];
	uint64_t count; /* ever */
	int64_t median; /* as of the last eight at most */
};
void durations_add(struct durations *d, int64_t ms);
/* -1: too few are known. */
int64_t durations_median(const struct durations *d);

#endif
