/*
 * The time as servers see it: ours and a skew that is learnt from their answers.
 *
 * Threads: the net's.
 */
#ifndef GGFS_COMMON_AWS_CLOCK_H
#define GGFS_COMMON_AWS_CLOCK_H

#include <time.h>

#include "common/http.h"

enum { AWS_CLOCK_TOLERANCE_S = 30 }; /* servers take 300; a Date header is a second or so off */

struct aws_clock {
	int64_t skew_s;
};

time_t aws_now(const struct aws_clock *clock);
/* Whether this answer complains of the time it was signed at and its Date says something else than
 * we thought: then clock is put right, and the request is worth another try. */
bool aws_clock_learn(struct aws_clock *clock, const struct http_response *r);

#endif
