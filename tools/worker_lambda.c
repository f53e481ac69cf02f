/* AWS Lambda's custom runtime: asks the Runtime API (2018-06-01) for one invocation after another.
 */
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/worker.h"

enum {
	FAILURES_MAX = 10, /* of the Runtime API in a row: then Lambda starts another */
	ANSWER_MS_MAX = 60000,
};

struct lambda {
	struct net *net;
	/* http://HOST:PORT/2018-06-01/runtime; never by a proxy, which the function may have
	 * for the rest. */
	char *base;
};

static int post(const struct lambda *l, const char *what, const char *error_type, const void *body,
                size_t len)
{
	struct http_response response = { 0 };
	scoped_free char *url = xformat("%s/%s", l->base, what);
	scoped_free char *type =
	        xformat("Lambda-Runtime-Function-Error-Type: %s", error_type ? error_type : "");
	const char *headers[] = { "Content-Type: application/json", type };
	const struct http_request request = { .method = "POST",
		                              .url = url,
		                              .headers = headers,
		                              .header_count = error_type ? 2 : 1,
		                              .body = body,
		                              .body_len = len,
		                              .direct = true,
		                              .whole_ms = ANSWER_MS_MAX };
	int r = net_call(l->net, &request, &response);
	if (r < 0)
		log_error("%s: %s", url, response.reason ? response.reason : strerror(-r));
	else if (response.status >= 300)
		log_error("%s: status %d", url, response.status);
	r = r < 0 ? r : response.status >= 300 ? -EPROTO : 0;
	http_response_release(&response);
	return r;
}

/* What Lambda shows of a function that failed. reason is ours: it needs no escaping but quotes'. */
static void post_error(const struct lambda *l, const char *what, const char *reason)
{
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "{\"errorType\":\"Worker.Failed\",\"errorMessage\":\"");
	for (const char *c = reason; *c; c++)
		buf_add_char(&b, *c == '"' || *c == '\\' || *c < ' ' ? '\'' : *c);
	buf_add_str(&b, "\",\"stackTrace\":[]}");
	post(l, what, "Worker.Failed", b.data, b.len);
}

/* From Lambda's deadline, since 1970, to now_ms()'s clock. 0: none was told. */
static int64_t deadline_of(const struct http_response *r)
{
	const char *text = http_header(r, "lambda-runtime-deadline-ms");
	int64_t deadline = text ? strtoll(text, NULL, 10) : 0;
	return deadline > 0 ? now_ms() + deadline - wall_ns() / 1000000 : 0;
}

static int answer(const struct lambda *l, struct worker *w, const struct http_response *invocation,
                  const char *id)
{
	scoped_buf struct buf out = BUF_INIT;
	const struct buf *body = &invocation->body;
	scoped_free char *response = xformat("invocation/%s/response", id);
	scoped_free char *error = xformat("invocation/%s/error", id);
	const struct worker_limits limits = { .deadline_ms = deadline_of(invocation),
		                              .answer_max = REMOTE_BYTES_MAX };
	worker_handle(w, body->data ? body->data : "", body->len, &limits, &out);
	int r = post(l, response, NULL, out.data, out.len);
	if (r == -EPROTO)
		post_error(l, error, "the answer was not taken");
	return r;
}

/* An id goes into a URL. */
static bool is_id(const char *id)
{
	return id && *id &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") ==
	               strlen(id);
}

static int handle_next(const struct lambda *l, struct worker *w)
{
	struct http_response response = { 0 };
	scoped_free char *url = xformat("%s/invocation/next", l->base);
	/* No limit: it answers when there is something to do, and Lambda freezes who waits. */
	const struct http_request request = {
		.method = "GET", .url = url, .body_max = REMOTE_HTTP_BYTES_MAX, .direct = true
	};
	int r = net_call(l->net, &request, &response);
	const char *id = r == 0 ? http_header(&response, "lambda-runtime-aws-request-id") : NULL;
	if (r < 0)
		log_error("%s: %s", url, response.reason ? response.reason : strerror(-r));
	else if (response.status != 200 || !is_id(id))
		r = -EPROTO;
	else
		r = answer(l, w, &response, id);
	http_response_release(&response);
	return r;
}

int worker_lambda(const struct worker_settings *s)
{
	struct worker_self self = { 0 };
	struct error err = ERROR_INIT;
	int r = worker_self_init(s, &self, &err);
	if (r < 0)
		log_error("%s", error_text(&err));
	if (!self.net && net_new(&(struct http_options){ 0 }, &self.net, &err) < 0)
		return 1;
	struct lambda l = { .net = self.net,
		            .base = xformat("http://%s/2018-06-01/runtime",
		                            getenv("AWS_LAMBDA_RUNTIME_API")) };
	if (r < 0)
		post_error(&l, "init/error", error_text(&err));
	for (int failures = 0; r == 0 && failures < FAILURES_MAX;)
		failures = handle_next(&l, self.worker) < 0 ? failures + 1 : 0;
	free(l.base);
	worker_self_release(&self);
	return 1; /* only what goes wrong ends it */
}
