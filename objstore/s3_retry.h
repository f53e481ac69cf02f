/*
 * How often and how soon a request is sent again.
 *
 * A retry takes a token from a budget that all requests share, and only success gives tokens back:
 * a service in trouble is asked less, not more. When the budget is spent, nothing fails: the far
 * store pauses (objstore/s3.h). Waiting is "full jitter": anything up to a bound that doubles.
 *
 * Threads: pure functions; a budget belongs to one thread.
 */
#ifndef GGFS_OBJSTORE_S3_RETRY_H
#define GGFS_OBJSTORE_S3_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	S3_BUDGET_TOKENS = 64,
	S3_REFUND_PERCENT = 50, /* of a token, for each success */
	/* In a row, of any requests, and of twice as many as are sent at once: nobody is there. */
	S3_AWAY_FAILURES = 8,
};

struct s3_limits {
	int64_t away_ms; /* how long one request waits for a service that is away */
	int64_t backoff_ms, backoff_max_ms; /* the first retry's bound, and any one's */
	int64_t probe_ms, probe_max_ms;     /* likewise, between probes */
	int64_t stall_ms;                   /* no byte for so long: the connection is given up */
	unsigned attempts;                  /* of one request while the service answers others */
};

#define S3_LIMITS                                                                                  \
	((struct s3_limits){ .away_ms = FAR_AWAY_MS,                                               \
	                     .backoff_ms = 100,                                                    \
	                     .backoff_max_ms = 10000,                                              \
	                     .probe_ms = 250,                                                      \
	                     .probe_max_ms = 5000,                                                 \
	                     .stall_ms = 30000,                                                    \
	                     .attempts = 10 })

struct s3_budget {
	unsigned hundredths;
};

void s3_budget_fill(struct s3_budget *budget);
bool s3_budget_take(struct s3_budget *budget); /* false: it is spent */
void s3_budget_refund(struct s3_budget *budget);

/* attempt: 0 for the first retry. random: anything, evenly spread. In [0, bound]. */
int64_t s3_backoff_ms(const struct s3_limits *limits, unsigned attempt, uint32_t random);
/* The time to the next probe: half of a bound that doubles, and up to another half. */
int64_t s3_probe_ms(const struct s3_limits *limits, unsigned probes, uint32_t random);

#endif
