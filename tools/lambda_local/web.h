/*
 * Web: an HTTP server on a loop (libmicrohttpd, epoll). Each request is handed over once it is
 * whole, and may be answered whenever the answer is there: thousands may wait at once.
 *
 * Ownership: a request belongs to the web; the handler may keep the pointer until it has answered,
 * or until its gone is called (the server ends; the request is not to be answered any more).
 * Threads: all on the loop's thread.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_WEB_H
#define GGFS_TOOLS_LAMBDA_LOCAL_WEB_H

#include <netinet/in.h>

#include "common/buf.h"
#include "common/loop.h"

struct web;
struct web_request;

enum web_cut {
	WEB_WHOLE,
	WEB_CUT_BEFORE, /* the connection is closed, no byte having been sent */
	WEB_CUT_MIDDLE, /* ... half of the body having been sent */
};

struct web_answer {
	unsigned status;
	enum web_cut cut;
	struct strv headers; /* "Name: value" */
	struct buf body;
};
void web_answer_release(struct web_answer *a);

struct web_request {
	const char *method;
	char *path, *query;  /* as sent, still encoded; query is "" when there was none */
	struct strv headers; /* "name: value", names in lower case */
	struct strv trailers;
	struct buf body;
	bool too_large;             /* there was more than body_max; body is cut */
	struct sockaddr_in address; /* this end of the connection */
	void *arg;                  /* the handler's */
	void (*gone)(struct web_request *r);
	/* The web's own. */
	struct web *web;
	void *connection; /* of libmicrohttpd */
	bool suspended, answered;
	struct web_answer answer;
	struct web_request *previous, *next; /* the suspended ones */
};

typedef void web_handler_fn(void *arg, struct web_request *r);

struct web_options {
	int listen_fd; /* becomes the web's */
	size_t body_max;
	unsigned connections_max;
	web_handler_fn *handler;
	void *arg;
};

int web_new(struct loop *loop, const struct web_options *options, struct web **out,
            struct error *err);
void web_free(struct web *web); /* NULL is fine */
uint64_t web_connections_made(const struct web *web);

/* Value of a header, borrowed, or NULL. */
const char *web_header(const struct web_request *r, const char *lower_name);
/* Value of a query's parameter, decoded, the caller's to free; NULL when absent. */
char *web_parameter(const struct web_request *r, const char *name);
/* Decodes %XX; the caller's to free. */
char *web_decode(const char *text, size_t len);

/* Takes what a holds. Once for each request, which is not to be used afterwards. */
void web_answer(struct web_request *r, struct web_answer *a);

/* A listening socket on an IPv4 address and port (0: any); *port is what it got. loopback_only:
 * only what comes over the loopback device is accepted, whichever address it is for. */
int web_listen(const char *address, bool loopback_only, unsigned *port, int *out,
               struct error *err);

#endif
