/*
 * Worker: runs the thunks of one request after another where there are no namespaces, no chroot
 * and no mount, which is what AWS Lambda gives (docs/worker.md). Inputs come inside the request
 * or from the far store, into a bounded cache of blobs and of unpacked toolchains; a function runs
 * from its declared inputs, the toolchain relocated (engine/worker/relocate.h); a command that
 * cannot be relocated faithfully is OUTCOME_REFUSED, and some engine with namespaces takes it.
 *
 * Nothing of one thunk reaches the next: its processes are killed and reaped, its directory is
 * removed, whatever happened. The answer comes before the deadline even if the function hangs.
 * A process that does nothing but this makes itself a child subreaper: then also a function that
 * kills what watches over it is ended, with all other children of the process.
 *
 * Threads: one request at a time.
 */
#ifndef GGFS_ENGINE_WORKER_WORKER_H
#define GGFS_ENGINE_WORKER_WORKER_H

#include "common/aws/client.h"
#include "engine/remote/wire.h"

enum {
	WORKER_DEADLINE_MARGIN_MS = 1000, /* kept for the answer */
	WORKER_FETCHES_MAX = 32,          /* at once */
};

struct worker;

struct worker_options {
	const char *cache;        /* directory; "/tmp" in Lambda. Made if absent */
	uint64_t cache_bytes_max; /* blobs and toolchains, without what runs now; 0: three quarters
	                             of the filesystem */
	struct aws *aws;          /* for the far store; NULL: none can be had */
	const char *far_url;      /* the only one allowed; NULL: what the request says */
};

int worker_new(const struct worker_options *options, struct worker **out, struct error *err);
void worker_free(struct worker *w);

struct worker_limits {
	int64_t deadline_ms; /* of the answer, on now_ms()'s clock; 0: none */
	bool late; /* some of the request's time had gone by: another would have more of it */
	size_t answer_max; /* bytes */
	/* When the other end of this socket is closed nobody waits any more, and functions are ended;
	 * 0: none. */
	int asker;
};

/* Runs a request and appends the answer, whatever it is: what cannot be understood gets an answer
 * with no results and a reason. */
void worker_handle(struct worker *w, const char *request, size_t len,
                   const struct worker_limits *limits, struct buf *answer);

#endif
