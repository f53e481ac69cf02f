/*
 * What the parts of `ggfs doctor --cloud` share: the far store, Lambda and an HTTP worker, each
 * looked at in turn. Every request has a limit of seconds and is sent once: how it went is what is
 * to be told. No sentence has a secret in it.
 *
 * Threads: the verb's own; calls block.
 */
#ifndef GGFS_TOOLS_CMD_DOCTOR_CLOUD_H
#define GGFS_TOOLS_CMD_DOCTOR_CLOUD_H

#include <signal.h>

#include "objstore/far.h"
#include "tools/cmd_lambda.h"
#include "tools/findings.h"

enum {
	DOCTOR_CONNECT_MS = 3000,
	DOCTOR_WHOLE_MS = 6000,   /* of one request */
	DOCTOR_INVOKE_MS = 20000, /* of one that starts a worker */
};

struct doctor_cloud {
	struct findings findings;
	struct lambda_session session; /* settings, AWS client, which function */
	/* With endpoint and region as they are in force here, for a worker's AWS configuration is
	 * another; url NULL: none is set. */
	struct far_options far;
	char *s3_endpoint; /* far.endpoint, where it is not a setting's */
	const char *whose; /* goes before the subject of what a worker says: "", "http " */
	bool clock_seen;
	sigset_t signals; /* as they were before they were held */
};

/* NULL: not set. Borrowed. */
const char *doctor_setting(const struct doctor_cloud *d, const char *name);
/* Says how far our clock is off, by the first answer that tells the time. */
void doctor_clock(struct doctor_cloud *d, const struct http_response *r, const char *host);

void doctor_far(struct doctor_cloud *d);
void doctor_lambda(struct doctor_cloud *d);
void doctor_http(struct doctor_cloud *d);

/* SIGINT and its like wait while something lies where it is to be taken away again. */
void doctor_hold_signals(struct doctor_cloud *d);
void doctor_let_signals(struct doctor_cloud *d);

/* Whether what a worker says it has stored is in the far store; deletes it there. */
void doctor_far_take_back(struct doctor_cloud *d, const struct digest *output,
                          const struct digest *thunk);

/* --- requests to a worker (cmd_doctor_probe.c, cmd_doctor_run.c) ---------------------------------
 */

/* Two kinds: for a thunk that is nowhere, so that nothing runs; and for one that runs a shell,
 * which is sent along with its libraries. Nobody else asks for either thunk. */
struct doctor_request {
	struct digest thunk;
	struct digest output; /* of the second kind: what must come of it */
	struct buf text;
};
void doctor_probe_init(const struct doctor_cloud *d, struct doctor_request *p);
/* -EFBIG: this machine's shell is too large to be sent along; else what is wrong with it. */
int doctor_run_init(const struct doctor_cloud *d, struct doctor_request *p, struct error *err);
void doctor_request_release(struct doctor_request *p);
/* Makes p->text of the request, with the far store that is in force here. */
struct remote_request;
void doctor_request_encode(const struct doctor_cloud *d, struct remote_request *request,
                           struct doctor_request *p);

/* Of the answer's body. The first: what the worker is, and what it says of its far store, into
 * which it has to look to know that the thunk is absent; whether it will run anything. deploy: what
 * to do about a worker of another version. */
bool doctor_probe_judge(struct doctor_cloud *d, const struct doctor_request *p,
                        const struct http_response *r, const char *deploy);
/* The second: whether a function runs there, and its result comes here and into the far store. */
void doctor_run_judge(struct doctor_cloud *d, const struct doctor_request *p,
                      const struct http_response *r);

#endif
