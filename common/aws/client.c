#include "common/aws/client.h"

#include <assert.h>
#include <string.h>

#include "common/aws/client_private.h"

/* --- calls --- */

static void link_call(struct aws *aws, struct aws_call *call)
{
	call->next = aws->calls;
	if (call->next)
		call->next->previous = call;
	aws->calls = call;
}

static void free_call(struct aws_call *call)
{
	if (call->previous)
		call->previous->next = call->next;
	else
		call->aws->calls = call->next;
	if (call->next)
		call->next->previous = call->previous;
	credentials_leave(&call->waiter);
	strv_release(&call->headers);
	free(call->texts);
	free(call->access_key);
	free(call);
}

/* libcurl leaves the scheme's own port out of the Host header, which is signed. */
static char *host_as_sent(const char *scheme, const char *host)
{
	const char *port = strcmp(scheme, "https") == 0 ? ":443" : ":80";
	size_t len = strlen(host), port_len = strlen(port);
	if (len > port_len && strcmp(host + len - port_len, port) == 0)
		len -= port_len;
	return xstrndup(host, len);
}

/* One allocation for all strings of a call: there are thousands. */
static void copy_texts(struct aws_call *call, const struct aws_request *r)
{
	const char *const from[] = { r->service, r->region, r->scheme,         r->host,
		                     r->path,    r->query,  r->payload_sha256, r->http.method };
	const char **const to[] = { &call->request.service,        &call->request.region,
		                    &call->request.scheme,         &call->request.host,
		                    &call->request.path,           &call->request.query,
		                    &call->request.payload_sha256, &call->request.http.method };
	size_t total = 0, count = sizeof(from) / sizeof(from[0]);
	for (size_t i = 0; i < count; i++)
		total += from[i] ? strlen(from[i]) + 1 : 0;
	char *at = call->texts = xmalloc(total);
	for (size_t i = 0; i < count; i++) {
		*to[i] = NULL;
		if (!from[i])
			continue;
		size_t len = strlen(from[i]) + 1;
		memcpy(at, from[i], len);
		*to[i] = at;
		at += len;
	}
}

static struct aws_call *new_call(struct aws *aws, const struct aws_request *r)
{
	assert(!r->http.source || r->payload_sha256);
	struct aws_call *call = xcalloc(1, sizeof(*call));
	call->aws = aws;
	call->request = *r;
	copy_texts(call, r);
	if (!call->request.query)
		call->request.query = "";
	if (!r->payload_sha256) {
		call->hash = sha256_hex(r->http.body ? r->http.body : "", r->http.body_len);
		call->request.payload_sha256 = call->hash.text;
	}
	for (size_t i = 0; i < r->http.header_count; i++)
		strv_add(&call->headers, r->http.headers[i]);
	link_call(aws, call);
	return call;
}

/* The answer, or why there is none, goes to him who asked. */
static void conclude(struct aws_call *call, struct http_response *r)
{
	http_done_fn *done = call->request.http.done;
	void *arg = call->request.http.arg;
	free_call(call);
	done(arg, r);
}

static void conclude_fault(struct aws_call *call, enum http_fault fault, int code,
                           const char *sentence)
{
	struct http_response r = { .code = code, .fault = fault, .reason = xstrdup(sentence) };
	conclude(call, &r);
	http_response_release(&r);
}

static int on_sink(void *arg, const void *bytes, size_t len)
{
	struct aws_call *call = arg;
	return call->request.http.sink(call->request.http.arg, bytes, len);
}

static ssize_t on_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	struct aws_call *call = arg;
	return call->request.http.source(call->request.http.arg, offset, bytes, len);
}

static void on_answer(void *arg, struct http_response *r);

static int send_signed(struct aws_call *call, const struct aws_keys *keys, struct error *err)
{
	const struct aws_request *r = &call->request;
	scoped_free char *host = host_as_sent(r->scheme, r->host);
	scoped_free char *url = xformat("%s://%s%s%s%s", r->scheme, r->host, r->path,
	                                *r->query ? "?" : "", r->query);
	struct sigv4_request to_sign = {
		.method = r->http.method,
		.host = host,
		.path = r->path,
		.query = r->query,
		.headers = (const char *const *)call->headers.items,
		.header_count = call->headers.count,
		.payload_sha256 = r->payload_sha256,
		.service = r->service,
		.region = r->region,
		.when = aws_now(&call->aws->clock),
		.s3 = strcmp(r->service, "s3") == 0,
	};
	scoped_strv struct strv all = STRV_INIT;
	strv_copy(&all, &call->headers);
	sigv4_sign(keys, &to_sign, &all);
	struct http_request http = r->http;
	http.url = url;
	http.headers = (const char *const *)all.items;
	http.header_count = all.count;
	http.sink = http.sink ? on_sink : NULL;
	http.source = http.source ? on_source : NULL;
	http.arg = call;
	http.done = on_answer;
	free(call->access_key);
	call->access_key = xstrdup(keys->access_key);
	return http_start(net_http(call->aws->net), &http, &call->transfer, err);
}

static void on_keys(void *arg, const struct aws_keys *keys, int code, const struct error *err)
{
	struct aws_call *call = arg;
	if (!keys) {
		conclude_fault(call, code == -ECANCELED ? HTTP_FAULT_CANCELED : HTTP_FAULT_OTHER,
		               code, error_text(err));
		return;
	}
	struct error failure = ERROR_INIT;
	int r = send_signed(call, keys, &failure);
	if (r < 0)
		conclude_fault(call, HTTP_FAULT_OTHER, r, failure.text);
}

/* Now, or when there are keys. */
static int proceed(struct aws_call *call, struct error *err)
{
	const struct aws_keys *keys = credentials_ready(call->aws->credentials);
	if (keys)
		return send_signed(call, keys, err);
	call->waiter = (struct credentials_waiter){ .fn = on_keys, .arg = call };
	credentials_wait(call->aws->credentials, &call->waiter);
	return 0;
}

static bool complains_of_token(const struct http_response *r)
{
	if (r->code < 0 || (r->status != 400 && r->status != 401 && r->status != 403) ||
	    !r->body.len)
		return false;
	scoped_free char *code = NULL;
	scoped_free char *message = NULL;
	aws_error_parse(r, &code, &message);
	return strcmp(code, "ExpiredToken") == 0 || strcmp(code, "ExpiredTokenException") == 0 ||
	       strcmp(code, "TokenRefreshRequired") == 0;
}

static void on_answer(void *arg, struct http_response *r)
{
	struct aws_call *call = arg;
	struct aws *aws = call->aws;
	call->transfer = NULL;
	/* The clock may have been put right by another's answer while this one was under way. */
	bool again =
	        !call->sent_again && (aws_clock_learn(&aws->clock, r) ||
	                              (complains_of_token(r) &&
	                               credentials_refused(aws->credentials, call->access_key)));
	if (!again) {
		conclude(call, r);
		return;
	}
	call->sent_again = true;
	struct error err = ERROR_INIT;
	int code = proceed(call, &err);
	if (code < 0)
		conclude_fault(call, HTTP_FAULT_OTHER, code, err.text);
}

int aws_start(struct aws *aws, const struct aws_request *request, struct aws_call **out,
              struct error *err)
{
	if (aws->closing)
		return error_set(err, -ECANCELED, "the AWS client is being closed");
	struct aws_call *call = new_call(aws, request);
	int r = proceed(call, err);
	if (r < 0) {
		free_call(call);
		return r;
	}
	if (out)
		*out = call;
	return 0;
}

void aws_cancel(struct aws_call *call)
{
	if (call->transfer)
		http_cancel(call->transfer);
	free_call(call);
}

/* --- the client --- */

int aws_new(struct net *net, const struct aws_config *config, struct aws **out, struct error *err)
{
	(void)err;
	struct aws *aws = xcalloc(1, sizeof(*aws));
	aws->net = net;
	aws->config = config;
	aws->credentials = credentials_new(net, config, &aws->clock);
	*out = aws;
	return 0;
}

void aws_end(struct aws *aws)
{
	aws->closing = true;
	while (aws->calls) {
		struct aws_call *call = aws->calls;
		if (call->transfer)
			http_cancel(steal(&call->transfer));
		conclude_fault(call, HTTP_FAULT_CANCELED, -ECANCELED, "the AWS client was closed");
	}
	credentials_free(aws->credentials);
	free(aws);
}

const struct aws_config *aws_get_config(const struct aws *aws)
{
	return aws->config;
}

struct net *aws_net(struct aws *aws)
{
	return aws->net;
}
