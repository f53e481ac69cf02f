#include "common/http_private.h"

#include <ctype.h>
#include <string.h>

/* --- what libcurl calls --- */

/* Ends the transfer from within a callback. */
static void abandon(struct http_transfer *t, enum http_fault fault, int code)
{
	t->fault = fault;
	t->code = code;
}

size_t http_on_body(char *bytes, size_t size, size_t count, void *arg)
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

size_t http_on_header(char *line, size_t size, size_t count, void *arg)
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

size_t http_on_source(char *bytes, size_t size, size_t count, void *arg)
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

int http_on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_transfer *t = arg;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request.body_len)
		return CURL_SEEKFUNC_FAIL;
	t->source_offset = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
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
	t->response.reason = xformat("%.*s: %s", (int)http_origin_length(t->url), t->url, sentence);
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
