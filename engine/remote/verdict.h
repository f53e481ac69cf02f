/*
 * Verdict: what an HTTP response, or the lack of one, means for the thunks that were sent. And
 * the report that Lambda appends to a function's log. Pure. For engine/remote/, and for
 * `ggfs doctor --cloud`, which judges as the engines do.
 *
 * Lambda: API reference, "Invoke"; error types of the runtime: developer guide, "Errors".
 * An HTTP worker: docs/format-worker.md.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_ENGINE_REMOTE_VERDICT_H
#define GGFS_ENGINE_REMOTE_VERDICT_H

#include "common/http.h"

enum verdict_kind {
	VERDICT_ANSWER,      /* the body should be a worker's answer */
	VERDICT_THROTTLED,   /* too many just now; nothing was run */
	VERDICT_TROUBLE,     /* the service's or the connection's; may have been run */
	VERDICT_UNREACHABLE, /* no name, no connection */
	VERDICT_UNTRUSTED,   /* TLS: not whom we mean */
	VERDICT_DENIED,      /* the service does not accept our credentials */
	VERDICT_TOO_LARGE,   /* the request, for the service */
	VERDICT_REFUSED,     /* the service will never do it */
	VERDICT_DIED,        /* the worker ended while it ran the thunk */
	VERDICT_NO_MEMORY,   /* the same, out of memory */
	VERDICT_DEADLINE,    /* the same, at the service's time limit */
};

struct report {
	uint64_t billed_ms, init_ms;
	uint32_t memory_mib, used_mib; /* 0: not told */
	bool cold;                     /* there was an initialisation */
};

struct verdict {
	enum verdict_kind kind;
	int64_t retry_after_ms; /* 0: not told */
	char *reason;           /* one sentence; NULL with VERDICT_ANSWER */
	bool has_report;
	struct report report;
	bool may_have_run; /* paid for, although no report tells of it */
};
void verdict_release(struct verdict *v);

/* out need not be initialised. */
void verdict_of_lambda(const struct http_response *r, struct verdict *out);
void verdict_of_http(const struct http_response *r, struct verdict *out);

/* From X-Amz-Log-Result: base64 of the log's end. False when there is no REPORT line in it. */
bool report_parse(const char *log_result, struct report *out);

#endif
