/*
 * Bearer: the token that an HTTP worker is asked with: one that stays, one in a file that somebody
 * else renews, or an ID token of Google's for an audience, by the metadata server of the machine
 * we are on (Compute Engine, "Verify the identity of a VM"; Cloud Run's is the same), which
 * $GCE_METADATA_HOST names as for Google's own libraries.
 *
 * For engine/remote/, and for `ggfs doctor --cloud`.
 *
 * Threads: the net's, but for new, and free, which is not for that one.
 */
#ifndef GGFS_ENGINE_REMOTE_BEARER_H
#define GGFS_ENGINE_REMOTE_BEARER_H

#include <sys/queue.h>

#include "common/net.h"

enum {
	BEARER_BYTES_MAX = 16 << 10,
	BEARER_REFRESH_BEFORE_S = 300, /* a token's end */
	BEARER_FETCH_MS = 10 * 1000,
	BEARER_HOLD_MS = 60 * 1000,   /* one that is refused so soon is not fetched again */
	BEARER_CONNECT_MS = 2 * 1000, /* it is next door or not there at all */
};

struct bearer;
struct bearer_waiter;
LIST_HEAD(bearer_waiters, bearer_waiter);

/* At most one of the three is looked at, in this order; all NULL: no token at all. */
struct bearer_options {
	const char *token;
	const char *file; /* read anew when it has changed, and when its token was refused */
	const char *audience;
};

/* -EINVAL: no token, or one that fits in no header; else what kept the file from being read. */
int bearer_new(struct net *net, const struct bearer_options *options, struct bearer **out,
               struct error *err);
void bearer_free(struct bearer *b); /* nobody waits any more; NULL is fine */

/* One who waits for a token; belongs to him. */
struct bearer_waiter {
	/* code < 0: none can be had. -EACCES: nor later; -EAGAIN: perhaps later. */
	void (*fn)(void *arg, int code, const char *reason);
	void *arg;
	LIST_ENTRY(bearer_waiter) link;
};

/* Whether it is there now, or none is needed; else wait. */
bool bearer_ready(struct bearer *b);
/* fn is called once, never from within, unless he leaves. */
void bearer_wait(struct bearer *b, struct bearer_waiter *w);
void bearer_leave(struct bearer_waiter *w);

/* "Authorization: Bearer ...", or NULL: none. version tells tokens apart. Borrowed until the next
 * call of any. */
const char *bearer_header(const struct bearer *b, unsigned *version);
/* The token of this version was refused. Whether there is another, or may be one after waiting. */
bool bearer_refused(struct bearer *b, unsigned version);

#endif
