/*
 * HTTP client: many requests at once over kept-alive connections, on a loop (libcurl's multi
 * interface). HTTP/1.1 and TLS as libcurl does them; certificates are always verified;
 * redirects are answers like any other, never followed, so that nothing signed goes elsewhere.
 *
 * Nothing is retried here but a request that a kept-alive connection lost before a byte of the
 * answer came, as libcurl does. Signing: common/aws/client.h.
 *
 * Threads: all functions and callbacks on the loop's thread; common/net.h has a thread for it.
 * Errors: a transport's fault is the response's code and fault, with a sentence.
 */
#ifndef GGFS_COMMON_HTTP_H
#define GGFS_COMMON_HTTP_H

#include "common/buf.h"
#include "common/loop.h"

enum {
	HTTP_CONNECTIONS_MAX = 16384, /* at once; raised file-descriptor limit permitting */
	HTTP_HEADERS_MAX = 128,       /* of an answer */
	HTTP_HEADER_BYTES_MAX = 64 << 10,
};

struct http;
struct http_transfer; /* one request under way */

struct http_options {
	unsigned connections_max; /* open at once, idle ones included; 0: HTTP_CONNECTIONS_MAX */
	const char *ca_bundle;    /* PEM file; NULL: the system's */
	const char *proxy;        /* as curl's --proxy; NULL: from the environment, as curl does */
};

/* Raises the soft limit of descriptors as far as connections_max needs and the hard limit
 * allows; -EMFILE when fewer than 64 would be left, naming the limits. */
int http_new(struct loop *loop, const struct http_options *options, struct http **out,
             struct error *err);
/* Transfers under way end with -ECANCELED, their done being called. NULL is fine. */
void http_free(struct http *http);
/* How many connections the descriptor limit leaves room for. */
unsigned http_connections_max(const struct http *http);

enum http_fault {
	HTTP_FAULT_NONE,      /* there is a status */
	HTTP_FAULT_RESOLVE,   /* -EHOSTUNREACH: the name is not known */
	HTTP_FAULT_CONNECT,   /* -ECONNREFUSED */
	HTTP_FAULT_TLS,       /* -EPERM: certificate or handshake; trying again does not help */
	HTTP_FAULT_TIMEOUT,   /* -ETIMEDOUT */
	HTTP_FAULT_CUT,       /* -ECONNRESET: lost before or in the middle of the answer */
	HTTP_FAULT_TOO_LARGE, /* -EFBIG: body over body_max, headers over their bounds */
	HTTP_FAULT_SINK,      /* what the sink returned */
	HTTP_FAULT_CANCELED,  /* -ECANCELED: http_free */
	HTTP_FAULT_OTHER,     /* -EIO */
};

struct http_response {
	int code; /* 0: status is valid; else a negative errno */
	enum http_fault fault;
	char *reason;    /* code < 0: one sentence, with no more of the URL than its host */
	int status;      /* 200, ... */
	struct buf body; /* without a sink, and always for a status of 300 and above; the
	                    callee may steal it */
	uint64_t sent_bytes, received_bytes; /* bodies */
	bool connected_anew;                 /* a connection was made for it */
	struct strv headers;                 /* "name: value", names in lower case */
};

/* Frees what it owns, leaves it empty. A done's response is released for it. */
void http_response_release(struct http_response *r);

/* The value of a header ("content-length"), borrowed, or NULL. */
const char *http_header(const struct http_response *r, const char *lower_name);

/* Bytes of the body as they come, status below 300 only. Non-zero (-errno) ends the transfer. */
typedef int http_sink_fn(void *arg, const void *bytes, size_t len);
/* Fills in up to len bytes from offset; returns the count, 0 at the end, or -errno. May be asked
 * for an earlier offset again (a connection was lost and the request is sent anew). */
typedef ssize_t http_source_fn(void *arg, uint64_t offset, void *bytes, size_t len);
typedef void http_done_fn(void *arg, struct http_response *response);

struct http_request {
	const char *method;         /* GET HEAD PUT POST DELETE */
	const char *url;            /* copied */
	const char *const *headers; /* "Name: value"; header_count of them; copied */
	size_t header_count;
	const void *body; /* body_len bytes, borrowed until done; or NULL */
	uint64_t body_len;
	http_source_fn *source; /* instead of body: body_len bytes come from here */
	http_sink_fn *sink;     /* NULL: response.body */
	size_t body_max;        /* of response.body; 0: 1 MiB */
	bool direct;            /* no proxy, whatever the options or the environment say */
	int64_t connect_ms;     /* 0: 10,000 */
	int64_t whole_ms;       /* 0: no limit */
	int64_t stall_ms;       /* no byte in either direction for so long; 0: no limit */
	void *arg;              /* of source, sink and done */
	http_done_fn *done;     /* once, never from within http_start; not after http_cancel */
};

/* -EAGAIN: descriptors are used up; else -EINVAL for what is no request. */
int http_start(struct http *http, const struct http_request *request, struct http_transfer **out,
               struct error *err);
void http_cancel(struct http_transfer *transfer); /* done is not called */

#endif
