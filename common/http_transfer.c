#include "common/http_private.h"

#include <assert.h>
#include <ctype.h>
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
static size_t origin_length(const char *url)
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
		                 (int)origin_length(request->url), request->url);
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

/* --- what libcurl calls --- */

/* Ends the transfer from within a callback. */
static void abandon(struct http_transfer *t, enum http_fault fault, int code)
{
	t->fault = fault;
	t->code = code;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	size_t len = size * count;
	if (t->canceled)
		return CURL_WRITEFUNC_ERROR;
	if (t->request.sink && t->response.status < 300) {
		int r = t->request.sink(t->request.arg, bytes, len);
		if (r)
			abandon(t, HTTP_FAULT_SINK, r < 0 ? r : -EIO);
	} else if (t->response.body.len + len > t->request.body_max) {
		abandon(t, HTTP_FAULT_TOO_LARGE, -EFBIG);
	} else {
		buf_add(&t->response.body, bytes, len);
	}
	return t->fault || t->canceled ? CURL_WRITEFUNC_ERROR : len;
}

static void begin_answer(struct http_transfer *t, const char *line, size_t len)
{
	/* Not the first, after "100 Continue": what came before is of no interest. */
	strv_release(&t->response.headers);
	const char *space = memchr(line, ' ', len);
	t->response.status = 0;
	for (const char *at = space ? space + 1 : line + len; at < line + len; at++) {
		if (!isdigit((unsigned char)*at) || t->response.status > 999)
			break;
		t->response.status = 10 * t->response.status + (*at - '0');
	}
}

static void keep_header(struct http_transfer *t, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return;
	const char *value = colon + 1, *end = line + len;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	char *header = xformat("%.*s: %.*s", (int)(colon - line), line, (int)(end - value), value);
	for (char *at = header; *at && *at != ':'; at++)
		*at = (char)tolower((unsigned char)*at);
	strv_add_take(&t->response.headers, header);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	size_t len = size * count;
	if (t->canceled)
		return 0;
	t->header_bytes += len;
	if (t->header_bytes > HTTP_HEADER_BYTES_MAX ||
	    t->response.headers.count >= HTTP_HEADERS_MAX) {
		abandon(t, HTTP_FAULT_TOO_LARGE, -EFBIG);
		return 0;
	}
	if (len > 5 && strncmp(line, "HTTP/", 5) == 0)
		begin_answer(t, line, len);
	else
		keep_header(t, line, len);
	return len;
}

static size_t on_source(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	if (t->canceled)
		return CURL_READFUNC_ABORT;
	uint64_t left = t->request.body_len - t->source_offset;
	size_t len = size * count;
	if (len > left)
		len = (size_t)left;
	if (!len)
		return 0;
	ssize_t got = t->request.source(t->request.arg, t->source_offset, bytes, len);
	if (got <= 0) {
		abandon(t, HTTP_FAULT_SINK, got < 0 ? (int)got : -EIO);
		return CURL_READFUNC_ABORT;
	}
	t->source_offset += (uint64_t)got;
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_transfer *t = arg;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request.body_len)
		return CURL_SEEKFUNC_FAIL;
	t->source_offset = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

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

/* --- telling libcurl --- */

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
	option(t, CURLOPT_HEADERFUNCTION, on_header);
	option(t, CURLOPT_HEADERDATA, t);
	option(t, CURLOPT_WRITEFUNCTION, on_body);
	option(t, CURLOPT_WRITEDATA, t);
	option(t, CURLOPT_BUFFERSIZE, t->request.sink ? (long)BUFFER_LARGE : (long)BUFFER_SMALL);
	return failed;
}

static CURLcode set_body(struct http_transfer *t)
{
	CURLcode failed = CURLE_OK;
	const struct http_request *r = &t->request;
	if (r->source) {
		option(t, CURLOPT_READFUNCTION, on_source);
		option(t, CURLOPT_READDATA, t);
		option(t, CURLOPT_SEEKFUNCTION, on_seek);
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

/* --- how it ended --- */

uint64_t http_transfer_moved(const struct http_transfer *t)
{
	curl_off_t up = 0, down = 0;
	if (t->easy) {
		curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
		curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	}
	return (uint64_t)up + (uint64_t)down + t->header_bytes;
}

void http_transfer_fault(struct http_transfer *t, enum http_fault fault, int code,
                         const char *sentence)
{
	t->failed = true;
	free(t->response.reason);
	t->response.reason = xformat("%.*s: %s", (int)origin_length(t->url), t->url, sentence);
	t->response.fault = fault;
	t->response.code = code;
}

/* A connection that broke in the middle of a handshake, which libcurl reports as TLS's own fault,
 * is worth another try. */
static bool handshake_was_cut(const struct http_transfer *t)
{
	return strstr(t->curl_error, "SSL_ERROR_SYSCALL") ||
	       strstr(t->curl_error, "unexpected eof") || strstr(t->curl_error, "reset by peer") ||
	       strstr(t->curl_error, "Broken pipe");
}

static enum http_fault fault_of(const struct http_transfer *t, CURLcode result, int *code)
{
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		*code = -EHOSTUNREACH;
		return HTTP_FAULT_RESOLVE;
	case CURLE_COULDNT_CONNECT:
		*code = -ECONNREFUSED;
		return HTTP_FAULT_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		*code = -ETIMEDOUT;
		return HTTP_FAULT_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
		*code = handshake_was_cut(t) ? -ECONNRESET : -EPERM;
		return handshake_was_cut(t) ? HTTP_FAULT_CUT : HTTP_FAULT_TLS;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		*code = -EPERM;
		return HTTP_FAULT_TLS;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_FAIL_REWIND:
		*code = -ECONNRESET;
		return HTTP_FAULT_CUT;
	default:
		*code = -EIO;
		return HTTP_FAULT_OTHER;
	}
}

static const char *own_sentence(const struct http_transfer *t)
{
	if (t->fault == HTTP_FAULT_TOO_LARGE)
		return "the answer is larger than what was expected";
	return t->code == -EIO ? "the transfer was given up here" : strerror(-t->code);
}

void http_transfer_conclude(struct http_transfer *t, CURLcode result)
{
	struct http_response *r = &t->response;
	curl_off_t up = 0, down = 0;
	long connects = 0;
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
	r->sent_bytes = (uint64_t)up;
	r->received_bytes = (uint64_t)down;
	r->connected_anew = connects > 0;
	if (t->fault) {
		http_transfer_fault(t, t->fault, t->code, own_sentence(t));
	} else if (result != CURLE_OK) {
		int code;
		enum http_fault fault = fault_of(t, result, &code);
		http_transfer_fault(t, fault, code,
		                    t->curl_error[0] ? t->curl_error : curl_easy_strerror(result));
	}
}

const char *http_header(const struct http_response *r, const char *lower_name)
{
	size_t len = strlen(lower_name);
	for (size_t i = 0; i < r->headers.count; i++) {
		const char *header = r->headers.items[i];
		if (strncmp(header, lower_name, len) == 0 && header[len] == ':')
			return header + len + 2;
	}
	return NULL;
}

void http_response_release(struct http_response *r)
{
	free(steal(&r->reason));
	buf_release(&r->body);
	strv_release(&r->headers);
}
