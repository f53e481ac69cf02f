/* AWS Lambda's Invoke (API reference, 2015-03-31). */
#include <string.h>

#include "engine/remote/transport.h"

enum {
	LAMBDA_NAME_MAX = 140,
	LAMBDA_TIMEOUT_MS = 900000, /* the longest a function may take */
	LAMBDA_MARGIN_MS = 60000,   /* a cold start, and the way */
	ANSWER_SPARE = 64 << 10, /* so that an error about size can be told from a large answer */
};

struct lambda {
	struct aws *aws;
	char *scheme, *host, *path, *query, *region;
};

static void lambda_free(void *impl)
{
	struct lambda *l = impl;
	free(l->scheme);
	free(l->host);
	free(l->path);
	free(l->query);
	free(l->region);
	free(l);
}

static int lambda_send(void *impl, const struct buf *body, int64_t whole_ms, http_done_fn *done,
                       void *arg, void **handle, struct error *err)
{
	struct lambda *l = impl;
	static const char *const headers[] = {
		"Content-Type: application/json",
		"X-Amz-Invocation-Type: RequestResponse",
		"X-Amz-Log-Type: Tail",
	};
	const struct aws_request request = {
		.service = "lambda",
		.region = l->region,
		.scheme = l->scheme,
		.host = l->host,
		.path = l->path,
		.query = l->query,
		.http = {
			.method = "POST",
			.headers = headers,
			.header_count = sizeof(headers) / sizeof(*headers),
			.body = body->data,
			.body_len = body->len,
			.body_max = REMOTE_BYTES_MAX + ANSWER_SPARE,
			.whole_ms = whole_ms,
			.arg = arg,
			.done = done,
		},
	};
	return aws_start(l->aws, &request, (struct aws_call **)handle, err);
}

static void lambda_cancel(void *impl, void *handle)
{
	(void)impl;
	aws_cancel(handle);
}

static const struct transport_ops lambda_ops = {
	.name = "lambda",
	.bytes_max = REMOTE_BYTES_MAX,
	.whole_ms = LAMBDA_TIMEOUT_MS + LAMBDA_MARGIN_MS,
	.bills = true,
	.send = lambda_send,
	.cancel = lambda_cancel,
	.judge = verdict_of_lambda,
	.free = lambda_free,
};

/* "https://host[:port][/prefix]" into its parts. */
static int take_endpoint(struct lambda *l, const char *url, char **prefix, struct error *err)
{
	const char *host = strstr(url, "://");
	size_t scheme = host ? (size_t)(host - url) : 0;
	size_t len = host ? strcspn(host + 3, "/?#") : 0;
	bool https = scheme == 5 && strncmp(url, "https", 5) == 0;
	if (len == 0 || (!https && !(scheme == 4 && strncmp(url, "http", 4) == 0)) ||
	    strcspn(host + 3, "?#@") != strlen(host + 3))
		return error_set(err, -EINVAL, "\"%s\" is no endpoint like https://host[:port]",
		                 url);
	l->scheme = xstrndup(url, scheme);
	l->host = xstrndup(host + 3, len);
	*prefix = xstrdup(host + 3 + len);
	for (size_t n = strlen(*prefix); n > 0 && (*prefix)[n - 1] == '/';)
		(*prefix)[--n] = '\0';
	return 0;
}

/* A function is named so that nothing of its name can become another part of the URL. */
static int take_function(struct lambda *l, const char *function, const char *prefix,
                         struct error *err)
{
	static const char allowed[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	        "-_";
	size_t len = strspn(function, allowed);
	const char *qualifier = function[len] == ':' ? function + len + 1 : NULL;
	bool latest = qualifier && strcmp(qualifier, "$LATEST") == 0;
	if (len == 0 || strlen(function) > LAMBDA_NAME_MAX || (function[len] && !qualifier) ||
	    (qualifier && !latest && (!*qualifier || qualifier[strspn(qualifier, allowed)])))
		return error_set(err, -EINVAL,
		                 "\"%s\" is no name of a function, nor NAME:QUALIFIER", function);
	l->path = xformat("%s/2015-03-31/functions/%.*s/invocations", prefix, (int)len, function);
	if (qualifier)
		l->query = latest ? xstrdup("Qualifier=%24LATEST")
		                  : xformat("Qualifier=%s", qualifier);
	return 0;
}

int engine_lambda_new(const struct remote_context *context, const struct lambda_options *options,
                      unsigned jobs, struct engine **out, struct error *err)
{
	const struct aws_config *config = aws_get_config(context->aws);
	struct lambda *l = xcalloc(1, sizeof(*l));
	scoped_free char *prefix = NULL;
	scoped_free char *endpoint = options->endpoint
	                                     ? xstrdup(options->endpoint)
	                                     : aws_config_endpoint(config, "lambda", NULL);
	l->aws = context->aws;
	l->region = xstrdup(options->region ? options->region : aws_config_region(config, NULL));
	int r = take_endpoint(l, endpoint, &prefix, err);
	if (r == 0)
		r = take_function(l, options->function ? options->function : "ggfs-worker", prefix,
		                  err);
	if (r < 0) {
		lambda_free(l);
		return r;
	}
	const struct transport transport = {
		.ops = &lambda_ops,
		.impl = l,
		.arm = options->arm,
		.start = options->start,
	};
	return remote_new(context, &transport, jobs, out, err);
}
