/*
 * What the files of the HTTP client share. http.c: the client and its transfers; http_shard.c:
 * libcurl and the loop; http_host.c: who may start when; http_transfer.c: one request, as libcurl
 * is told of it; http_answer.c: what libcurl tells back.
 *
 * A shard is one of libcurl's multi handles. libcurl looks for a free connection by walking over
 * all it has to that host, so one handle with thousands of connections would spend its time
 * there; each shard has some hundreds. Requests go to the first shard with room: where one has
 * just ended, and left its connection.
 */
#ifndef GGFS_COMMON_HTTP_PRIVATE_H
#define GGFS_COMMON_HTTP_PRIVATE_H

#include <curl/curl.h>

#include "common/http.h"

enum {
	HTTP_SHARD_CONNECTIONS = 256,
	HTTP_POOL_MAX = 256, /* easy handles kept for reuse */
	/* Transfers to one host that look up its name at once, for libcurl has a thread look it up
	 * for each. The others wait until it is known (and are through at once when it is cached).
	 */
	HTTP_LOOKUPS_MAX = 8,
	HTTP_SWEEP_MS = 200, /* how often stalls are looked for */
	HTTP_BODY_MAX_DEFAULT = 1 << 20,
	HTTP_CONNECT_MS_DEFAULT = 10000,
};

struct http_shard {
	struct http *http;
	CURLM *multi;
	struct loop_timer *timer;
	unsigned active, limit;
};

/* A host (scheme, name, port) of transfers that have no connection yet. */
struct http_host {
	char *key;
	unsigned looking_up;
	struct http_transfer *waiting, **waiting_end;
	struct http_host *next;
};

struct http {
	struct loop *loop;
	unsigned connections_max, active;
	char *ca_bundle, *proxy;
	CURLSH *share; /* names and TLS sessions, of all shards */
	struct http_shard **shards;
	size_t shard_count, shard_capacity;
	struct http_host *hosts;
	struct http_transfer *transfers;
	struct http_transfer *canceled; /* from within libcurl: removed when it has returned */
	CURL *pool[HTTP_POOL_MAX];
	size_t pool_count;
	struct loop_timer *sweep;
	struct http_transfer *sweep_at; /* the next to be looked at */
	bool inside;                    /* libcurl is calling us, and must not be called */
	bool closing;
};

struct http_transfer {
	struct http *http;
	struct http_shard *shard;              /* NULL: waits to begin */
	struct http_host *host;                /* NULL: has got its connection */
	struct http_transfer *previous, *next; /* in http->transfers */
	struct http_transfer *next_waiting;    /* in host->waiting */
	struct http_transfer *next_canceled;
	bool canceled, failed;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	struct http_request request; /* its url and headers are not valid any more */
	uint64_t source_offset;
	struct http_response response;
	size_t header_bytes;
	int64_t started_ms;
	uint64_t moved_bytes; /* in both directions when last looked at, at moved_ms */
	int64_t moved_ms;
	/* What our own callbacks ended it for. */
	enum http_fault fault;
	int code;
	char curl_error[CURL_ERROR_SIZE];
};

/* --- http.c --- */

/* Ends it: its connection is free for the next by the time done is called. */
void http_transfer_finish(struct http_transfer *t);
/* What had to wait until libcurl returned. */
void http_turn(struct http *http);

/* --- http_shard.c --- */

struct http_shard *http_shard_with_room(struct http *http);
void http_shard_free(struct http_shard *shard);

/* --- http_host.c --- */

struct http_host *http_host_of(struct http *http, const char *url);
/* Lets those begin that may. */
void http_host_admit(struct http *http, struct http_host *host);
/* It has a connection, or looked in vain: the next of its host may begin. */
void http_transfer_leave_host(struct http_transfer *t);
/* A name that is not known is not known to those either who wait for it. */
void http_host_refuse_waiting(struct http_host *host);
void http_hosts_forget_idle(struct http *http);

/* --- http_transfer.c --- */

/* Checks and copies; the transfer is nobody's yet. */
int http_transfer_new(struct http *http, const struct http_request *request,
                      struct http_transfer **out, struct error *err);
void http_transfer_free(struct http_transfer *t);
/* Tells libcurl all about it. */
int http_transfer_prepare(struct http_transfer *t);
/* Of "scheme://host:port", all of a URL that may be shown: a query may carry a signature. */
size_t http_origin_length(const char *url);

/* --- http_answer.c --- */

/* libcurl's callbacks; arg is the transfer. */
size_t http_on_body(char *bytes, size_t size, size_t count, void *arg);
size_t http_on_header(char *line, size_t size, size_t count, void *arg);
size_t http_on_source(char *bytes, size_t size, size_t count, void *arg);
int http_on_seek(void *arg, curl_off_t offset, int origin);
/* Bytes that went in both directions so far. */
uint64_t http_transfer_moved(const struct http_transfer *t);
/* Fills in the response once libcurl is through. */
void http_transfer_conclude(struct http_transfer *t, CURLcode result);
/* Makes a fault of ours the response. */
void http_transfer_fault(struct http_transfer *t, enum http_fault fault, int code,
                         const char *sentence);

#endif
