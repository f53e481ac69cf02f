/* A worker that is an HTTP server: Cloud Run, Cloud Functions, Knative, a plain machine. */
#include <string.h>

#include "engine/remote/bearer.h"
#include "engine/remote/transport.h"

enum { ANSWER_SPARE = 64 << 10 };

struct http_worker {
	struct net *net;
	char *url;
	struct bearer *bearer;
};

/* One request: waits for a token, or is on its way. */
struct call {
	struct http_worker *worker;
	const struct buf *body;
	int64_t whole_ms;
	http_done_fn *done;
	void *arg;
	struct http_transfer *transfer; /* NULL: waits */
	struct bearer_waiter waiter;
	unsigned version; /* of the token that it was sent with */
	bool sent_again;
};

static void call_end(struct call *c, struct http_response *r)
{
	c->done(c->arg, r);
	free(c);
}

/* code: -EACCES or another; the sentence is copied. */
static void call_fail(struct call *c, int code, const char *reason)
{
	struct http_response r = { .code = code,
		                   .fault = HTTP_FAULT_OTHER,
		                   .reason = xstrdup(reason) };
	call_end(c, &r);
	http_response_release(&r);
}

static int call_send(struct call *c, struct error *err);
static void call_wait(struct call *c);

static void call_answered(void *arg, struct http_response *r)
{
	struct call *c = arg;
	c->transfer = NULL;
	/* The token may have been renewed while this was on its way. */
	if (r->code < 0 || r->status != 401 || c->sent_again ||
	    !bearer_refused(c->worker->bearer, c->version)) {
		call_end(c, r);
		return;
	}
	c->sent_again = true;
	if (!bearer_ready(c->worker->bearer))
		call_wait(c);
	else if (call_send(c, NULL) < 0)
		call_end(c, r);
}

static int call_send(struct call *c, struct error *err)
{
	struct http_worker *w = c->worker;
	const char *authorization = bearer_header(w->bearer, &c->version);
	/* The worker gives up when we do, rather than work for nobody. */
	scoped_free char *timeout = xformat("Ggfs-Timeout-Ms: %lld", (long long)c->whole_ms);
	const char *headers[] = { "Content-Type: application/json", timeout, authorization };
	const struct http_request request = {
		.method = "POST",
		.url = w->url,
		.headers = headers,
		.header_count = authorization ? 3 : 2,
		.body = c->body->data,
		.body_len = c->body->len,
		.body_max = REMOTE_HTTP_BYTES_MAX + ANSWER_SPARE,
		.whole_ms = c->whole_ms,
		.arg = c,
		.done = call_answered,
	};
	return http_start(net_http(w->net), &request, &c->transfer, err);
}

static void call_goes_on(void *arg, int code, const char *reason)
{
	struct call *c = arg;
	struct error err = ERROR_INIT;
	if (code < 0)
		call_fail(c, code, reason);
	else if ((code = call_send(c, &err)) < 0)
		call_fail(c, code, error_text(&err));
}

static void call_wait(struct call *c)
{
	c->waiter = (struct bearer_waiter){ .fn = call_goes_on, .arg = c };
	bearer_wait(c->worker->bearer, &c->waiter);
}

static void worker_free(void *impl)
{
	struct http_worker *w = impl;
	bearer_free(w->bearer);
	free(w->url);
	free(w);
}

static int worker_send(void *impl, const struct buf *body, int64_t whole_ms, http_done_fn *done,
                       void *arg, void **handle, struct error *err)
{
	struct http_worker *w = impl;
	struct call *c = xcalloc(1, sizeof(*c));
	*c = (struct call){
		.worker = w, .body = body, .whole_ms = whole_ms, .done = done, .arg = arg
	};
	int r = 0;
	if (bearer_ready(w->bearer))
		r = call_send(c, err);
	else
		call_wait(c);
	if (r < 0)
		free(c);
	else
		*handle = c;
	return r;
}

static void worker_cancel(void *impl, void *handle)
{
	struct call *c = handle;
	(void)impl;
	if (c->transfer)
		http_cancel(c->transfer);
	else
		bearer_leave(&c->waiter);
	free(c);
}

static const struct transport_ops http_ops = {
	.name = "http",
	.bytes_max = REMOTE_HTTP_BYTES_MAX,
	.send = worker_send,
	.cancel = worker_cancel,
	.judge = verdict_of_http,
	.free = worker_free,
};

static bool is_url(const char *url)
{
	size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
	                : strncmp(url, "http://", 7) == 0 ? 7
	                                                  : 0;
	return scheme && url[scheme] && url[scheme] != '/' && !strpbrk(url, " \t\r\n@");
}

static const char *unless_empty(const char *text)
{
	return text && *text ? text : NULL;
}

int engine_http_new(const struct remote_context *context, const struct http_engine_options *options,
                    unsigned jobs, struct engine **out, struct error *err)
{
	const struct bearer_options token = { .token = unless_empty(options->token),
		                              .file = unless_empty(options->token_file),
		                              .audience = unless_empty(options->audience) };
	struct bearer *bearer;
	if (!options->url || !is_url(options->url))
		return error_set(err, -EINVAL, "\"%s\" is no worker's URL like https://host[:port]",
		                 options->url ? options->url : "");
	int r = bearer_new(context->net, &token, &bearer, err);
	if (r < 0)
		return r;
	struct http_worker *w = xcalloc(1, sizeof(*w));
	*w = (struct http_worker){ .net = context->net,
		                   .url = xstrdup(options->url),
		                   .bearer = bearer };
	const struct transport transport = {
		.ops = &http_ops,
		.impl = w,
		.start = options->start,
	};
	return remote_new(context, &transport, jobs, out, err);
}
