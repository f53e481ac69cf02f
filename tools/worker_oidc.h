/*
 * OIDC: who may have a worker run something, by OpenID Connect's ID tokens. The issuer's keys are
 * found as OpenID Connect Discovery 1.0 says, kept for an hour, and asked for anew when a token
 * names one that is not among them, at most once a minute. While the issuer cannot be reached the
 * last keys do for a day.
 *
 * Threads: any, but for new and free. oidc_check may wait for the issuer.
 */
#ifndef GGFS_TOOLS_WORKER_OIDC_H
#define GGFS_TOOLS_WORKER_OIDC_H

#include "common/jwt.h"
#include "common/net.h"

#define OIDC_ISSUER_GOOGLE "https://accounts.google.com"

enum {
	OIDC_KEYS_MS = 3600 * 1000,          /* then they are asked for again ... */
	OIDC_KEYS_MS_MAX = 24 * 3600 * 1000, /* ... and then no longer used */
	OIDC_HOLD_MS = 60 * 1000,            /* between two askings */
	OIDC_HOLD_FIRST_MS = 2 * 1000,       /* likewise, while there are no keys */
	OIDC_FETCH_MS = 10 * 1000,           /* one request */
	OIDC_ANSWER_BYTES_MAX = JWT_KEYS_BYTES_MAX,
};

struct oidc;

/* The policy's strings and the net must outlive it. Asks nobody yet. -EINVAL: the issuer is no
 * https URL, nor an http one of this machine's loopback. */
int oidc_new(struct net *net, const struct jwt_policy *policy, struct oidc **out,
             struct error *err);
void oidc_free(struct oidc *o); /* NULL is fine */

/* -EACCES: the token is refused, with the reason; -EAGAIN: the issuer's keys cannot be had now. */
int oidc_check(struct oidc *o, const char *token, struct error *err);

#endif
