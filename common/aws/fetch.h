/*
 * One fetching of keys as a plan says: from its source, then a role after the other by STS. Each
 * source is a function that begins and, some answers later, ends with fetch_keys() or fetch_fail().
 *
 * Threads: the net's.
 */
#ifndef GGFS_COMMON_AWS_FETCH_H
#define GGFS_COMMON_AWS_FETCH_H

#include "common/aws/clock.h"
#include "common/aws/plan.h"
#include "common/aws/sigv4.h"
#include "common/net.h"

enum {
	FETCH_ATTEMPTS = 3, /* of a request that the network or a 5xx spoils */
	FETCH_FIRST_DELAY_MS = 100,
	FETCH_CONNECT_MS = 5000,
	FETCH_REQUEST_MS = 10000,
	FETCH_ANSWER_MAX = 256 << 10,
	FETCH_FILE_MAX = 256 << 10,
};

struct fetch;
/* keys: the callee may steal; NULL when it failed, -EACCES with a sentence. */
typedef void fetch_done_fn(void *arg, struct aws_keys *keys, const struct error *err);
typedef void fetch_answer_fn(struct fetch *f, struct http_response *r);

struct process;

struct fetch {
	struct net *net;
	const struct aws_config *config;
	const struct plan *plan;
	struct aws_clock *clock;
	fetch_done_fn *done;
	void *arg;
	struct aws_keys keys; /* so far */
	size_t roles_left;    /* of plan->roles; the last is assumed first */
	bool source_is_through;
	struct loop_timer *deadline;
	/* The request under way, kept for its repetition. */
	struct http_transfer *transfer;
	struct loop_timer *again;
	char *method, *url, *body;
	struct strv headers;
	unsigned attempts, attempts_max;
	int64_t connect_ms, whole_ms;
	fetch_answer_fn *answered;
	char *token; /* a secret that is sent; no answer's sentence may show it */
	struct process *process;
};

/* done is called once, never from within. Ended by fetch_free, before or after. */
struct fetch *fetch_new(struct net *net, const struct aws_config *config, const struct plan *plan,
                        struct aws_clock *clock, int64_t whole_ms, fetch_done_fn *done, void *arg);
void fetch_free(struct fetch *f);

/* --- for the sources --- */

/* These end the step; the fetch may be gone when they return. */
void fetch_keys(struct fetch *f, struct aws_keys *keys); /* steals */
void fetch_fail(struct fetch *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fetch_fail_error(struct fetch *f, const struct error *err);

/* Sends f->method, url, headers and body; answered gets what came of it in the end. Direct: these
 * are no requests for proxies. */
void fetch_request(struct fetch *f, fetch_answer_fn *answered);
/* Empties what the last request was. */
void fetch_reset(struct fetch *f);
void fetch_set_token(struct fetch *f, const char *token); /* copied; NULL is fine */
/* "where: 403 AccessDenied: ..." or the transport's fault. */
void fetch_fail_answer(struct fetch *f, const char *where, const struct http_response *r);

void fetch_static(struct fetch *f);
void fetch_web_identity(struct fetch *f);
void fetch_sso(struct fetch *f);
void fetch_process(struct fetch *f);
void fetch_container(struct fetch *f);
void fetch_imds(struct fetch *f);
/* Assumes plan->roles[roles_left] with f->keys. */
void fetch_role(struct fetch *f);

void process_free(struct process *p); /* kills it; NULL is fine */

#endif
