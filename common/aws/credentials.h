/*
 * Credentials: the keys in force, as the plan has them, fetched when first needed, renewed before
 * they expire and when they are refused, once for all who wait.
 *
 * A failure is remembered for a while, so that thousands of calls do not each ask a source that
 * has just failed.
 *
 * Threads: the net's.
 */
#ifndef GGFS_COMMON_AWS_CREDENTIALS_H
#define GGFS_COMMON_AWS_CREDENTIALS_H

#include "common/aws/clock.h"
#include "common/aws/config.h"
#include "common/aws/sigv4.h"
#include "common/net.h"

enum {
	CREDENTIALS_LAST_S = 10,        /* before the end, keys count as expired */
	CREDENTIALS_HOLD_MS = 3 * 1000, /* after a failure, before the source is asked again */
	CREDENTIALS_WHOLE_MS = 90 * 1000,
};

struct credentials;

/* keys NULL: code and err say why (-EACCES, -ECANCELED). Borrowed until it returns. */
typedef void credentials_fn(void *arg, const struct aws_keys *keys, int code,
                            const struct error *err);
/* One who waits; belongs to him. */
struct credentials_waiter {
	credentials_fn *fn;
	void *arg;
	struct credentials_waiter *next, **link; /* link NULL: does not wait */
};

/* All three must outlive it. */
struct credentials *credentials_new(struct net *net, const struct aws_config *config,
                                    struct aws_clock *clock);
void credentials_free(struct credentials *c); /* those who wait get -ECANCELED */

/* Keys that are good now, or NULL: then wait. Begins to renew them when it is time to. */
const struct aws_keys *credentials_ready(struct credentials *c);
/* fn is called once, never from within. */
void credentials_wait(struct credentials *c, struct credentials_waiter *w);
void credentials_leave(struct credentials_waiter *w); /* fn is not called; also if it was */
/* The service says that the key with this id has expired. Whether others can be had: not when it
 * is what the configuration itself says. */
bool credentials_refused(struct credentials *c, const char *access_key);
/* How the keys come about: a phrase. Borrowed. */
const char *credentials_origin(const struct credentials *c);

#endif
