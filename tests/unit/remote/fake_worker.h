/*
 * An HTTP server that answers as a worker would, or as it is told: for tests of what engines do
 * about it. A thread of its own, HTTP/1.1 on a port of the loopback.
 */
#ifndef GGFS_TESTS_FAKE_WORKER_H
#define GGFS_TESTS_FAKE_WORKER_H

#include "engine/remote/wire.h"

struct fake_worker;

enum fake_cut { CUT_NOT, CUT_BEFORE, CUT_MIDDLE, CUT_AFTER };

/* What is done about one request; made for it by the standard, then changed by the test's function.
 */
struct fake_act {
	const char *head; /* of the request: its first line and headers; borrowed, until the act
	                     returns */
	int status;
	char *headers; /* further lines, each with \r\n; allocated; NULL: none */
	struct buf body;
	int64_t delay_ms;
	enum fake_cut
	        cut; /* before, in the middle of, and right after the answer, the connection */
};

/* On the server's thread. number counts from 0. request: what was sent, decoded; of a GET, nothing.
 */
typedef void fake_act_fn(void *arg, unsigned number, const struct remote_request *request,
                         struct fake_act *act);

/* act NULL: always as a worker would. */
struct fake_worker *fake_worker_new(fake_act_fn *act, void *arg);
void fake_worker_free(struct fake_worker *w);
/* http://127.0.0.1:PORT/run, borrowed. */
const char *fake_worker_url(const struct fake_worker *w);
unsigned fake_worker_requests(struct fake_worker *w);
unsigned fake_worker_waiting(struct fake_worker *w); /* not answered yet */
unsigned fake_worker_at_once(struct fake_worker *w); /* the most that were waiting together */

/* What a worker answers: each output of each thunk of the request holds fake_output(thunk). */
void fake_answer_begin(struct remote_answer *a, const struct remote_request *request);
void fake_answer_release(struct remote_answer *a);
void fake_output(const struct digest *thunk, char text[80]);
/* Puts this answer in the place of the act's body. */
void fake_act_answer(struct fake_act *act, const struct remote_answer *a);
/* An error of a service: this status, with AWS's words for it. */
void fake_act_error(struct fake_act *act, int status, const char *type, const char *message);

#endif
