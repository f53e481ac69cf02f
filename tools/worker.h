/*
 * What the guises of ggfs-worker share (docs/worker.md).
 *
 * Private to tools/worker*.c. Threads: as each says.
 */
#ifndef GGFS_TOOLS_WORKER_H
#define GGFS_TOOLS_WORKER_H

#include "engine/worker/worker.h"

enum {
	WORKER_JOBS_MAX = 1024,
	WORKER_REQUEST_MS_MAX = 24 * 3600 * 1000, /* over which a request names no deadline */
	WORKER_LATE_MS = 1000, /* a request that came so long ago has not all of its time */
};

struct worker_settings {
	const char *cache;
	uint64_t cache_bytes;
	const char *far_url; /* the only one allowed; NULL: any */
	const char *address; /* serve: to listen at */
	unsigned port;
	unsigned jobs;
	char *token;    /* serve: bearer token; NULL: none */
	bool anonymous; /* serve: without a token everybody may ask */
	/* serve: whose ID tokens are taken, for which audience (NULL: none are), and of whom alone
	 * (NULL: all). */
	const char *issuer, *audience, *email, *subject;
};

/* The network as the AWS configuration has it, certificates included. */
int worker_net_new(struct net **net, struct aws_config **config, struct error *err);

/* A worker with its network and credentials. */
struct worker_self {
	struct net *net;
	struct aws_config *config;
	struct aws *aws;
	struct worker *worker;
};
int worker_self_init(const struct worker_settings *s, struct worker_self *out, struct error *err);
void worker_self_release(struct worker_self *self);

/* Each returns the program's exit status. */
int worker_lambda(const struct worker_settings *s);
int worker_serve(const struct worker_settings *s);
int worker_job(const struct worker_settings *s); /* requests from WORKER_JOB_SOCKET */
int worker_run(const struct worker_settings *s); /* one request, from standard input */

/* --- jobs: processes that each have a worker ----------------------------------------------------
 */

enum { WORKER_JOB_SOCKET = 3 };

/* Before the bytes of a request, and before those of an answer. Both ends are one build. */
struct worker_frame {
	uint64_t len;
	int64_t began_ms, deadline_ms; /* of a request, on now_ms()'s clock; no deadline: 0 */
	uint64_t answer_max;
};

struct worker_pool;

/* Starts so many; each has a directory of its own below the cache, and its share of the bytes. */
int worker_pool_new(const struct worker_settings *s, struct worker_pool **out, struct error *err);
/* Has some job handle a request, waiting for one to be free. -EPIPE: it died of it; it is started
 * again. -ESHUTDOWN: the pool is closing. Any thread. */
int worker_pool_call(struct worker_pool *p, const struct worker_frame *frame, const char *request,
                     struct buf *answer, struct error *err);
/* No call is taken any more; waits until those that run have ended. */
void worker_pool_drain(struct worker_pool *p);
/* What runs is ended, and not answered. Any thread, until worker_pool_free(). */
void worker_pool_hurry(struct worker_pool *p);
void worker_pool_free(struct worker_pool *p); /* drains it first */

/* One request on a socket: 0, or -errno; -EFBIG: over max. */
int worker_frame_send(int socket, const struct worker_frame *frame, const void *bytes);
int worker_frame_receive(int socket, struct worker_frame *frame, size_t max, struct buf *bytes);

#endif
