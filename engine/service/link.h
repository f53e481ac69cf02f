/*
 * Link: a mount's line to the service. Never blocks the caller: every request has a callback,
 * which comes on the link's own thread. While the service is away the link starts it and
 * connects again, then asks anew whatever was asked and not answered; so a reader parked on a
 * force does not notice that the service was killed. There are ends to that: a force whose service
 * LINK_LOST_MAX times in a row ended soon after it was asked, or that no service could be
 * reached or started for since LINK_AWAY_MAX_MS, is answered with -ENETDOWN and the reason; one
 * whose deadline passes with -ETIMEDOUT, also while the service is away.
 *
 * A service that was told to stop says so, and is not started anew until there is a request; one
 * that somebody else starts is joined, within about LINK_QUIET_MOST_MS.
 *
 * Threads: all functions from any thread. Callbacks on the link's thread, with no lock held.
 */
#ifndef GGFS_ENGINE_SERVICE_LINK_H
#define GGFS_ENGINE_SERVICE_LINK_H

#include "engine/service/client.h"

enum { LINK_LOST_MAX = 8, LINK_AWAY_MAX_MS = 60000, LINK_QUIET_MOST_MS = 250 };

struct link;
struct link_force;

struct link_options {
	struct client_options client;
	const char *mountpoint; /* absolute, real */
	int backing_fd;         /* lent to the service at each connect; stays the caller's */
	const char *engine; /* which engines take its forces; NULL: as the store's settings say */
	uint64_t budget_nanodollars; /* for all its forces together; 0: none */
	/* A thunk settled somewhere: forget what was remembered of it, look again. */
	void (*settled)(void *arg, const struct digest *thunk, int code);
	/* Connected again after being away: settled notices may have been missed; look at all
	 * again. */
	void (*reconnected)(void *arg);
	void *arg;
};

/* Starts the thread; returns at once, connected or not. */
int link_open(const struct link_options *options, struct link **out, struct error *err);
void link_free(struct link *l); /* outstanding callbacks come with -ESHUTDOWN first */

/* Forces; answer as in engine/force.h (answer->ref is in the local store when code is 0).
 * local_only: never an engine that costs. */
struct link_force *link_force_start(struct link *l, const struct ref *ref, const char *asker,
                                    int64_t deadline_ms, bool local_only, force_done_fn *done,
                                    void *arg);
/* After this returns, done is not called any more unless it was already running or called:
 * returns false then, and true when the force was withdrawn. */
bool link_force_cancel(struct link *l, struct link_force *force);

/* look is the callee's to read until it returns; NULL with code < 0: -EAGAIN when the service is
 * away right now (never waits for it to come back). */
typedef void link_look_fn(void *arg, int code, const struct force_look *look);
void link_look(struct link *l, const struct ref *ref, link_look_fn *done, void *arg);

/* Forgets a failure. Asynchronous; no answer. */
void link_retry(struct link *l, const struct digest *thunk);

#endif
