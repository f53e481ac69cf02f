/*
 * Remote engines: lambda (AWS Lambda's Invoke) and http (POST to a ggfs-worker), behind the table
 * of engine/engine.h; and the mixed engine, which places jobs on several.
 *
 * A remote engine sees to it that a job's inputs are in the far store (or inside the request, when
 * they are small), invokes, and makes of the answer a result whose blobs are in near (small ones,
 * that came in the answer) or in the far store. It retries what the transport and the service do
 * to it (429, 5xx, cut connections, lost or wrong answers), with full jitter under a budget, learns
 * how many the service takes at once, duplicates stragglers; a job's own failure is an answer.
 *
 * What becomes of a job that none of this helps: OUTCOME_LOST, with the service's own words;
 * OUTCOME_DENIED; OUTCOME_UNREACHABLE; a thunk under which workers die or that Lambda's own
 * timeout ends fails alone, after REMOTE_DEATHS_MAX tries. All tries' cost is in memo's.
 *
 * Threads: as engine.h says: submit and cancel from one thread; done comes on the net's thread.
 * free not on that one.
 */
#ifndef GGFS_ENGINE_REMOTE_REMOTE_H
#define GGFS_ENGINE_REMOTE_REMOTE_H

#include "engine/engine.h"
#include "engine/price.h"
#include "objstore/far.h"

enum {
	REMOTE_JOBS_MAX = 8192,
	REMOTE_JOBS_DEFAULT = 1000,
	REMOTE_TRIES_MAX = 16,             /* of one job, for trouble that is not its own */
	REMOTE_DEATHS_MAX = 3,             /* out of memory, or at the service's timeout */
	REMOTE_CRASHES_MAX = 8,            /* workers that end otherwise */
	REMOTE_THROTTLED_MS_MAX = 600000,  /* one job, waiting for a service that takes nothing */
	REMOTE_AWAY_MS = 120000,           /* a service that cannot be reached any more ... */
	REMOTE_AWAY_FIRST_MS = 10000,      /* ... or never could */
	REMOTE_HELD_BYTES_MAX = 256 << 20, /* of requests in flight; more wait */
	REMOTE_INLINE_MAX = 256 << 10, /* of a request, where there is a far store for the rest */
	REMOTE_RESULT_INLINE_MAX = 32 << 10, /* an output so small comes in the answer as well */
};

/* All lent, must outlive the engine. */
struct remote_context {
	struct net *net;
	struct aws *aws; /* lambda needs it */
	struct far *far; /* NULL: inputs must fit in the request, results in the answer */
	/* How a worker finds that store: its url (NULL: far_url()), endpoint, region and
	 * path_style. NULL: as AWS has it, by the url alone. */
	const struct far_options *worker_far;
	struct store *near;
	struct ledger *ledger;
	const struct prices *prices;
};

struct lambda_options {
	const char *function; /* name, or name:qualifier; NULL: "ggfs-worker" */
	const char *endpoint; /* NULL: from the AWS configuration */
	const char *region;   /* likewise */
	bool arm;             /* priced as arm64 */
	unsigned start;       /* requests at once at first; 0: 1,000, as Lambda's own scaling */
};
/* -EINVAL: the function's name or the endpoint are none. */
int engine_lambda_new(const struct remote_context *context, const struct lambda_options *options,
                      unsigned jobs, struct engine **out, struct error *err);

struct http_engine_options {
	const char *url; /* of the worker: https://host[:port][/path] */
	/* The bearer token; the first that is not NULL: itself; a file with it, read anew when it
	 * changes or its token is refused; the audience of an ID token by Google's metadata
	 * server. */
	const char *token, *token_file, *audience;
	unsigned start; /* as of Lambda */
};
/* -EINVAL: the url or the token is none; else what keeps the file from being read. */
int engine_http_new(const struct remote_context *context, const struct http_engine_options *options,
                    unsigned jobs, struct engine **out, struct error *err);

/* Several engines as one. Placement: what a job asks for (engine_job.engines, local_only), then
 * cost and size: a job whose inputs would cost more to send than it is likely to run stays here
 * while there is room. What one refuses (OUTCOME_REFUSED) another is asked for. For the local part
 * the job's inputs are pulled from the far store first, and its outputs offered to it afterwards.
 * Owns the parts from now on, on success. near and far as above; far may be NULL. */
int engine_mixed_new(const struct remote_context *context, struct engine *const *parts,
                     size_t count, struct engine **out, struct error *err);

/* "local=2,lambda=2000,http=50": which engines with which capacities; no number: the default. */
struct engine_spec {
	char name[16];
	unsigned jobs; /* 0: the default */
};
enum { ENGINE_SPECS_MAX = 8 };
/* -EINVAL says what was not understood. Returns how many. */
int engine_spec_parse(const char *text, struct engine_spec out[ENGINE_SPECS_MAX],
                      struct error *err);

/* Whether a list of names with commas between has this one; a NULL list has all. */
bool engine_list_names(const char *list, const char *name);

#endif
