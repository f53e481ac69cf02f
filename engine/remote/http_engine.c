/* A worker that is an HTTP server: Cloud Run, Cloud Functions, Knative, a plain machine. */
#include <string.h>

#include "engine/remote/transport.h"

enum { TOKEN_MAX = 16 << 10, ANSWER_SPARE = 64 << 10 };

struct http_worker {
	struct net *net;
	char *url;
	char *authorization; /* NULL: none */
};

static void worker_free(void *impl)
{
	struct http_worker *w = impl;
	if (w->authorization)
		explicit_bzero(w->authorization, strlen(w->authorization));
	free(w->authorization);
	free(w->url);
	free(w);
}

static int worker_send(void *impl, const struct buf *body, int64_t whole_ms, http_done_fn *done,
                       void *arg, void **handle, struct error *err)
{
	struct http_worker *w = impl;
	const char *headers[] = { "Content-Type: application/json", w->authorization };
	const struct http_request request = {
		.method = "POST",
		.url = w->url,
		.headers = headers,
		.header_count = w->authorization ? 2 : 1,
		.body = body->data,
		.body_len = body->len,
		.body_max = REMOTE_HTTP_BYTES_MAX + ANSWER_SPARE,
		.whole_ms = whole_ms,
		.arg = arg,
		.done = done,
	};
	return http_start(net_http(w->net), &request, (struct http_transfer **)handle, err);
}

static void worker_cancel(void *impl, void *handle)
{
	(void)impl;
	http_cancel(handle);
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

int engine_http_new(const struct remote_context *context, const struct http_engine_options *options,
                    unsigned jobs, struct engine **out, struct error *err)
{
	const char *token = options->token && *options->token ? options->token : NULL;
	if (!options->url || !is_url(options->url))
		return error_set(err, -EINVAL, "\"%s\" is no worker's URL like https://host[:port]",
		                 options->url ? options->url : "");
	if (token && (strlen(token) > TOKEN_MAX || strpbrk(token, " \t\r\n")))
		return error_set(err, -EINVAL,
		                 "the worker's token is none: it holds blanks, or is "
		                 "too long");
	struct http_worker *w = xcalloc(1, sizeof(*w));
	w->net = context->net;
	w->url = xstrdup(options->url);
	if (token)
		w->authorization = xformat("Authorization: Bearer %s", token);
	const struct transport transport = {
		.ops = &http_ops,
		.impl = w,
		.start = options->start,
	};
	return remote_new(context, &transport, jobs, out, err);
}
