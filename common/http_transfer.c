#include "common/http_private.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "common/io.h"

enum {
	BUFFER_SMALL = 8 << 10,   /* thousands of these at once */
	BUFFER_UPLOAD = 16 << 10, /* libcurl's least; each request over TLS has one */
	BUFFER_LARGE = 128 << 10,
};

/* --- checking and copying a request --- */

/* "scheme://host:port" of a URL: all that may be shown of one, for a query may carry a signature.
 */
size_t http_origin_length(const char *url)
{
	const char *host = strstr(url, "://");
	return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool url_is_sound(const char *url)
{
	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
		return false;
	for (const char *at = url; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return false;
	return true;
}

static bool header_is_sound(const char *header)
{
	const char *colon = strchr(header, ':');
	if (!colon || colon == header)
		return false;
	for (const char *at = header; at < colon; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return false;
	return !strpbrk(colon, "\r\n");
}

static bool method_is_known(const char *method)
{
	static const char *const known[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(method, known[i]) == 0)
			return true;
	return false;
}

static void add_header(struct http_transfer *t, const char *header)
{
	/* libcurl takes "Name:" for the wish to leave its own out; an empty value is "Name;". */
	const char *colon = strchr(header, ':');
	scoped_free char *empty = NULL;
	if (strspn(colon + 1, " \t") == strlen(colon + 1)) {
		empty = xformat("%.*s;", (int)(colon - header), header);
		header = empty;
	}
	struct curl_slist *longer = curl_slist_append(t->headers, header);
	if (!longer)
		abort();
	t->headers = longer;
}

static void leave_out_header(struct http_transfer *t, const char *name_and_colon)
{
	struct curl_slist *longer = curl_slist_append(t->headers, name_and_colon);
	if (!longer)
		abort();
	t->headers = longer;
}

static void copy_headers(struct http_transfer *t)
{
	bool typed = false;
	for (size_t i = 0; i < t->request.header_count; i++) {
		typed |= strncasecmp(t->request.headers[i], "content-type:", 13) == 0;
		add_header(t, t->request.headers[i]);
	}
	/* A round trip, or a second, before each larger body. */
	leave_out_header(t, "Expect:");
	if (!typed)
		leave_out_header(t, "Content-Type:");
}

int http_transfer_new(struct http *http, const struct http_request *request,
                      struct http_transfer **out, struct error *err)
{
	assert(request->done);
	assert(!request->body || !request->source);
	if (!method_is_known(request->method))
		return error_set(err, -EINVAL, "HTTP method \"%s\" is not known", request->method);
	if (!url_is_sound(request->url))
		return error_set(err, -EINVAL, "\"%.*s\" is no http or https URL",
		                 (int)http_origin_length(request->url), request->url);
	for (size_t i = 0; i < request->header_count; i++)
		if (!header_is_sound(request->headers[i]))
			return error_set(err, -EINVAL, "HTTP header %zu is not \"Name: value\"", i);
	struct http_transfer *t = xcalloc(1, sizeof(*t));
	t->http = http;
	t->request = *request;
	t->url = xstrdup(request->url);
	copy_headers(t);
	if (!t->request.body_max)
		t->request.body_max = HTTP_BODY_MAX_DEFAULT;
	if (!t->request.connect_ms)
		t->request.connect_ms = HTTP_CONNECT_MS_DEFAULT;
	t->started_ms = t->moved_ms = now_ms();
	*out = t;
	return 0;
}

void http_transfer_free(struct http_transfer *t)
{
	/* After a fault a handle may still have buffers, and then takes no other size of them. */
	bool reusable = !t->failed && !t->canceled;
	if (t->easy && reusable && t->http->pool_count < HTTP_POOL_MAX)
		t->http->pool[t->http->pool_count++] = t->easy;
	else
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	free(t->url);
	http_response_release(&t->response);
	free(t);
}

/* --- telling libcurl --- */

/* The name is known, and cached. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	http_transfer_leave_host(arg);
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* There is a connection, perhaps an old one. */
static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	(void)ip, (void)local_ip, (void)port, (void)local_port;
	http_transfer_leave_host(arg);
	return CURL_PREREQFUNC_OK;
}

/* Collects the failures of many calls; none is expected but of memory. */
#define option(t, name, value)                                                                     \
	do {                                                                                       \
		CURLcode r_ = curl_easy_setopt((t)->easy, name, value);                            \
		if (r_ != CURLE_OK)                                                                \
			failed = r_;                                                               \
	} while (0)

static CURLcode set_connection(struct http_transfer *t)
{
	CURLcode failed = CURLE_OK;
	const struct http *http = t->http;
	option(t, CURLOPT_SHARE, http->share);
	option(t, CURLOPT_URL, t->url);
	option(t, CURLOPT_PROTOCOLS_STR, "http,https");
	option(t, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	option(t, CURLOPT_PATH_AS_IS, 1L);
	option(t, CURLOPT_FOLLOWLOCATION, 0L);
	option(t, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	option(t, CURLOPT_SSL_VERIFYPEER, 1L);
	option(t, CURLOPT_SSL_VERIFYHOST, 2L);
	/* libcurl keeps what it read of a bundle only when there is no directory besides. */
	option(t, CURLOPT_CAPATH, NULL);
	if (http->ca_bundle)
		option(t, CURLOPT_CAINFO, http->ca_bundle);
	if (t->request.direct)
		option(t, CURLOPT_PROXY, "");
	else if (http->proxy)
		option(t, CURLOPT_PROXY, http->proxy);
	option(t, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	option(t, CURLOPT_NOSIGNAL, 1L);
	/* Else a name server that does not answer would hold up the loop. */
	option(t, CURLOPT_QUICK_EXIT, 1L);
	option(t, CURLOPT_TCP_NODELAY, 1L);
	option(t, CURLOPT_TCP_KEEPALIVE, 1L);
	option(t, CURLOPT_TCP_KEEPIDLE, 60L);
	option(t, CURLOPT_TCP_KEEPINTVL, 30L);
	option(t, CURLOPT_CONNECTTIMEOUT_MS, (long)t->request.connect_ms);
	option(t, CURLOPT_TIMEOUT_MS, (long)t->request.whole_ms);
	option(t, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	option(t, CURLOPT_OPENSOCKETDATA, t);
	option(t, CURLOPT_PREREQFUNCTION, on_connected);
	option(t, CURLOPT_PREREQDATA, t);
	return failed;
}

static CURLcode set_message(struct http_transfer *t)
{
	CURLcode failed = CURLE_OK;
	option(t, CURLOPT_PRIVATE, t);
	option(t, CURLOPT_ERRORBUFFER, t->curl_error);
	option(t, CURLOPT_USERAGENT, "ggfs/" GGFS_VERSION);
	option(t, CURLOPT_HTTPHEADER, t->headers);
	option(t, CURLOPT_HEADERFUNCTION, http_on_header);
	option(t, CURLOPT_HEADERDATA, t);
	option(t, CURLOPT_WRITEFUNCTION, http_on_body);
	option(t, CURLOPT_WRITEDATA, t);
	option(t, CURLOPT_BUFFERSIZE, t->request.sink ? (long)BUFFER_LARGE : (long)BUFFER_SMALL);
	return failed;
}

static CURLcode set_body(struct http_transfer *t)
{
	CURLcode failed = CURLE_OK;
	const struct http_request *r = &t->request;
	if (r->source) {
		option(t, CURLOPT_READFUNCTION, http_on_source);
		option(t, CURLOPT_READDATA, t);
		option(t, CURLOPT_SEEKFUNCTION, http_on_seek);
		option(t, CURLOPT_SEEKDATA, t);
		option(t, CURLOPT_POST, 1L);
		option(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		option(t, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_LARGE);
	} else {
		option(t, CURLOPT_POST, 1L);
		option(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		option(t, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		option(t, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_UPLOAD);
	}
	return failed;
}

static CURLcode set_method(struct http_transfer *t)
{
	CURLcode failed = CURLE_OK;
	const struct http_request *r = &t->request;
	bool has_body = r->source || r->body || strcmp(r->method, "PUT") == 0 ||
	                strcmp(r->method, "POST") == 0;
	if (has_body)
		failed = set_body(t);
	if (strcmp(r->method, "HEAD") == 0)
		option(t, CURLOPT_NOBODY, 1L);
	else if (strcmp(r->method, "GET") != 0 || has_body)
		option(t, CURLOPT_CUSTOMREQUEST, r->method);
	return failed;
}

int http_transfer_prepare(struct http_transfer *t)
{
	struct http *http = t->http;
	t->easy = http->pool_count ? http->pool[--http->pool_count] : curl_easy_init();
	if (!t->easy)
		abort();
	curl_easy_reset(t->easy);
	CURLcode failed = set_connection(t);
	if (failed == CURLE_OK)
		failed = set_message(t);
	if (failed == CURLE_OK)
		failed = set_method(t);
	return failed == CURLE_OK ? 0 : -EINVAL;
}
