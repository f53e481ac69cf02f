/*
 * One fetching of keys as a plan says: from its source, then a role after the other by STS. Each
 * source is a function that begins and, some answers later, ends with aws_fetch_keys() or
 * aws_fetch_fail().
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

struct aws_fetch;
/* keys: the callee may steal; NULL when it failed, -EACCES with a sentence. */
typedef void aws_fetch_done_fn(void *arg, struct aws_keys *keys, const struct error *err);
typedef void aws_fetch_answer_fn(struct aws_fetch *f, struct http_response *r);

struct aws_process;

struct aws_fetch {
	struct net *net;
	const struct aws_config *config;
	const struct plan *plan;
	struct aws_clock *clock;
	aws_fetch_done_fn *done;
	void *arg;
	struct aws_keys keys; /* so far */
	size_t roles_left;    /* of plan->roles; the last is assumed first */
	struct loop_timer *deadline;
	/* The request under way, kept for its repetition. */
	struct http_transfer *transfer;
	struct loop_timer *again;
	char *method, *url, *body;
	struct strv headers;
	unsigned attempts, attempts_max;
	int64_t connect_ms, whole_ms;
	aws_fetch_answer_fn *answered;
	char *token; /* a secret that is sent; no answer's sentence may show it */
	struct aws_process *process;
};

/* done is called once, never from within. Ended by aws_fetch_free, before or after. */
struct aws_fetch *aws_fetch_new(struct net *net, const struct aws_config *config,
                                const struct plan *plan, struct aws_clock *clock, int64_t whole_ms,
                                aws_fetch_done_fn *done, void *arg);
void aws_fetch_free(struct aws_fetch *f);

/* --- for the sources --- */

/* These end the step; the fetch may be gone when they return. */
void aws_fetch_keys(struct aws_fetch *f, struct aws_keys *keys); /* steals */
void aws_fetch_fail(struct aws_fetch *f, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void aws_fetch_fail_error(struct aws_fetch *f, const struct error *err);

/* Sends f->method, url, headers and body; answered gets what came of it in the end. Services of the
 * machine itself are asked past any proxy. */
void aws_fetch_request(struct aws_fetch *f, aws_fetch_answer_fn *answered);
/* Empties what the last request was. */
void aws_fetch_reset(struct aws_fetch *f);
void aws_fetch_set_token(struct aws_fetch *f, const char *token); /* copied; NULL is fine */
/* "where: 403 AccessDenied: ..." or the transport's fault. */
void aws_fetch_fail_answer(struct aws_fetch *f, const char *where, const struct http_response *r);

void aws_fetch_static(struct aws_fetch *f);
void aws_fetch_web_identity(struct aws_fetch *f);
void aws_fetch_sso(struct aws_fetch *f);
void aws_fetch_process(struct aws_fetch *f);
void aws_fetch_container(struct aws_fetch *f);
void aws_fetch_imds(struct aws_fetch *f);
/* Assumes plan->roles[roles_left] with f->keys. */
void aws_fetch_role(struct aws_fetch *f);

void aws_process_free(struct aws_process *p); /* kills it; NULL is fine */

#endif
