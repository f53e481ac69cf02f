/*
 * Transport: how a request gets to a worker, and what the answer to it means. What lambda and
 * http do not share. Private to engine/remote/.
 *
 * Threads: the net's, but for free. Ownership: the engine owns its transport.
 */
#ifndef GGFS_ENGINE_REMOTE_TRANSPORT_H
#define GGFS_ENGINE_REMOTE_TRANSPORT_H

#include "engine/remote/remote.h"
#include "engine/remote/verdict.h"
#include "engine/remote/wire.h"

struct transport_ops {
	const char *name;
	size_t bytes_max; /* of a request and of an answer */
	int64_t whole_ms; /* the service's own limit on one request; 0: none */
	bool bills;       /* by report; else by the second */
	/* As http_start; body is lent until done. */
	int (*send)(void *t, const struct buf *body, int64_t whole_ms, http_done_fn *done,
	            void *arg, void **handle, struct error *err);
	void (*cancel)(void *t, void *handle); /* done is not called */
	void (*judge)(const struct http_response *r, struct verdict *out);
	void (*free)(void *t);
};

struct transport {
	const struct transport_ops *ops;
	void *impl;
	bool arm;
	unsigned start;
};

/* The engine that both are: takes the transport over, on failure as well. */
int remote_new(const struct remote_context *context, const struct transport *transport,
               unsigned jobs, struct engine **out, struct error *err);

#endif
