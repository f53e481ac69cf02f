#include "common/aws/sigv4_private.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

/* --- hashing and encoding --- */

static struct sha256_hex hex_of(const unsigned char digest[SHA256_DIGEST_LENGTH])
{
	static const char digits[] = "0123456789abcdef";
	struct sha256_hex hex;
	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
		hex.text[2 * i] = digits[digest[i] >> 4];
		hex.text[2 * i + 1] = digits[digest[i] & 15];
	}
	hex.text[2 * SHA256_DIGEST_LENGTH] = '\0';
	return hex;
}

struct sha256_hex sha256_hex(const void *bytes, size_t len)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256(bytes, len, digest);
	return hex_of(digest);
}

static void hmac(const void *key, size_t key_len, const char *text,
                 unsigned char out[SHA256_DIGEST_LENGTH])
{
	unsigned len = SHA256_DIGEST_LENGTH;
	unsigned char digest[SHA256_DIGEST_LENGTH]; /* key may be out */
	if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text),
	          digest, &len))
		abort();
	memcpy(out, digest, sizeof(digest));
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void aws_uri_encode(const char *text, bool keep_slash, struct buf *b)
{
	static const char digits[] = "0123456789ABCDEF";
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (is_unreserved(c) || (c == '/' && keep_slash)) {
			buf_add_char(b, (char)c);
			continue;
		}
		buf_add_char(b, '%');
		buf_add_char(b, digits[c >> 4]);
		buf_add_char(b, digits[c & 15]);
	}
}

struct sigv4_time sigv4_time(time_t when)
{
	struct sigv4_time t = { "" };
	struct tm parts;
	gmtime_r(&when, &parts);
	strftime(t.text, sizeof(t.text), "%Y%m%dT%H%M%SZ", &parts);
	return t;
}

/* --- the canonical request --- */

/* "." and ".." and empty components go, as all services but S3 have it. */
static void add_normal_path(const char *path, struct buf *b)
{
	scoped_buf struct buf normal = BUF_INIT;
	const char *at = path;
	while (*at) {
		at += strspn(at, "/");
		size_t len = strcspn(at, "/");
		if (len == 2 && at[0] == '.' && at[1] == '.') {
			char *slash = normal.data ? strrchr(normal.data, '/') : NULL;
			if (slash) {
				normal.len = (size_t)(slash - normal.data);
				*slash = '\0';
			}
		} else if (len && !(len == 1 && at[0] == '.')) {
			buf_add_char(&normal, '/');
			buf_add(&normal, at, len);
		}
		at += len;
	}
	if (!normal.len || path[strlen(path) - 1] == '/')
		buf_add_char(&normal, '/');
	aws_uri_encode(normal.data, true, b);
}

void sigv4_canonical_path(const char *path, bool s3, struct buf *b)
{
	if (!*path)
		path = "/";
	if (s3)
		buf_add_str(b, path);
	else
		add_normal_path(path, b);
}

struct parameter {
	const char *name, *value; /* borrowed; value NULL: none */
	size_t name_len, value_len;
};

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);
	if (r)
		return r;
	return a_len < b_len ? -1 : a_len > b_len;
}

static int compare_parameters(const void *left, const void *right)
{
	const struct parameter *a = left, *b = right;
	int r = compare_bytes(a->name, a->name_len, b->name, b->name_len);
	return r ? r : compare_bytes(a->value, a->value_len, b->value, b->value_len);
}

void sigv4_canonical_query(const char *query, struct buf *b)
{
	struct parameter *parameters = NULL;
	size_t count = 0, capacity = 0;
	for (const char *at = query; *at;) {
		size_t len = strcspn(at, "&");
		size_t name_len = strcspn(at, "=&");
		size_t value_at = name_len < len ? name_len + 1 : len;
		array_grow(parameters, count, capacity);
		parameters[count++] = (struct parameter){ .name = at,
			                                  .value = at + value_at,
			                                  .name_len = name_len,
			                                  .value_len = len - value_at };
		at += len;
		at += *at == '&';
	}
	if (count)
		qsort(parameters, count, sizeof(*parameters), compare_parameters);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_char(b, '&');
		buf_add(b, parameters[i].name, parameters[i].name_len);
		buf_add_char(b, '=');
		buf_add(b, parameters[i].value, parameters[i].value_len);
	}
	free(parameters);
}

static void add_canonical_headers(const struct sigv4_headers *h, struct buf *b)
{
	for (size_t i = 0; i < h->count; i++) {
		bool first = i == 0 || strcmp(h->items[i - 1].name, h->items[i].name) != 0;
		bool last =
		        i + 1 == h->count || strcmp(h->items[i].name, h->items[i + 1].name) != 0;
		if (first)
			buf_add_format(b, "%s:", h->items[i].name);
		buf_add_str(b, h->items[i].value);
		buf_add_char(b, last ? '\n' : ',');
	}
}

char *sigv4_scope(const struct sigv4_request *r, const struct sigv4_time *t)
{
	return xformat("%.8s/%s/%s/aws4_request", t->text, r->region, r->service);
}

static struct sha256_hex sign_text(const char *secret, const struct sigv4_request *r,
                                   const struct sigv4_time *t, const char *text)
{
	unsigned char key[SHA256_DIGEST_LENGTH];
	scoped_free char *first = xformat("AWS4%s", secret);
	scoped_free char *date = xstrndup(t->text, 8);
	hmac(first, strlen(first), date, key);
	hmac(key, sizeof(key), r->region, key);
	hmac(key, sizeof(key), r->service, key);
	hmac(key, sizeof(key), "aws4_request", key);
	hmac(key, sizeof(key), text, key);
	OPENSSL_cleanse(first, strlen(first));
	return hex_of(key);
}

struct sha256_hex sigv4_signature(const char *secret, const struct sigv4_request *r,
                                  const char *query, const struct sigv4_headers *signed_headers,
                                  const char *payload_sha256, const struct sigv4_time *t)
{
	scoped_buf struct buf canonical = BUF_INIT;
	buf_add_format(&canonical, "%s\n", r->method);
	sigv4_canonical_path(r->path, r->s3, &canonical);
	buf_add_char(&canonical, '\n');
	sigv4_canonical_query(query, &canonical);
	buf_add_char(&canonical, '\n');
	add_canonical_headers(signed_headers, &canonical);
	buf_add_char(&canonical, '\n');
	sigv4_signed_names(signed_headers, &canonical);
	buf_add_format(&canonical, "\n%s", payload_sha256);
	struct sha256_hex hash = sha256_hex(canonical.data, canonical.len);
	scoped_free char *scope = sigv4_scope(r, t);
	scoped_free char *text = xformat(SIGV4_ALGORITHM "\n%s\n%s\n%s", t->text, scope, hash.text);
	return sign_text(secret, r, t, text);
}

/* --- signing --- */

void sigv4_sign(const struct aws_keys *keys, const struct sigv4_request *r, struct strv *headers)
{
	struct sigv4_time t = sigv4_time(r->when);
	size_t first_own = headers->count;
	strv_add_format(headers, "x-amz-date: %s", t.text);
	if (r->s3)
		strv_add_format(headers, "x-amz-content-sha256: %s", r->payload_sha256);
	if (keys->session_token)
		strv_add_format(headers, "x-amz-security-token: %s", keys->session_token);
	scoped_sigv4_headers struct sigv4_headers all = { 0 };
	sigv4_headers_add(&all, "host", 4, r->host);
	for (size_t i = 0; i < r->header_count; i++)
		sigv4_headers_add_line(&all, r->headers[i]);
	for (size_t i = first_own; i < headers->count; i++)
		sigv4_headers_add_line(&all, headers->items[i]);
	sigv4_headers_sort(&all);
	struct sha256_hex signature = sigv4_signature(keys->secret_key, r, r->query ? r->query : "",
	                                              &all, r->payload_sha256, &t);
	scoped_buf struct buf names = BUF_INIT;
	sigv4_signed_names(&all, &names);
	scoped_free char *scope = sigv4_scope(r, &t);
	strv_add_format(headers,
	                "authorization: " SIGV4_ALGORITHM
	                " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
	                keys->access_key, scope, names.data, signature.text);
}

static void add_parameter(struct buf *query, const char *name, const char *value)
{
	buf_add_format(query, "%s%s=", query->len ? "&" : "", name);
	aws_uri_encode(value, false, query);
}

char *sigv4_presign(const struct aws_keys *keys, const struct sigv4_request *r, const char *scheme,
                    unsigned seconds)
{
	struct sigv4_time t = sigv4_time(r->when);
	scoped_sigv4_headers struct sigv4_headers all = { 0 };
	sigv4_headers_add(&all, "host", 4, r->host);
	for (size_t i = 0; i < r->header_count; i++)
		sigv4_headers_add_line(&all, r->headers[i]);
	sigv4_headers_sort(&all);
	scoped_buf struct buf names = BUF_INIT;
	sigv4_signed_names(&all, &names);
	scoped_free char *scope = sigv4_scope(r, &t);
	scoped_free char *credential = xformat("%s/%s", keys->access_key, scope);
	scoped_free char *expires = xformat("%u", seconds);
	scoped_buf struct buf query = BUF_INIT;
	buf_add_str(&query, r->query ? r->query : "");
	add_parameter(&query, "X-Amz-Algorithm", SIGV4_ALGORITHM);
	add_parameter(&query, "X-Amz-Credential", credential);
	add_parameter(&query, "X-Amz-Date", t.text);
	add_parameter(&query, "X-Amz-Expires", expires);
	add_parameter(&query, "X-Amz-SignedHeaders", names.data);
	if (keys->session_token)
		add_parameter(&query, "X-Amz-Security-Token", keys->session_token);
	const char *payload = r->payload_sha256 ? r->payload_sha256 : SIGV4_UNSIGNED_PAYLOAD;
	struct sha256_hex signature =
	        sigv4_signature(keys->secret_key, r, query.data, &all, payload, &t);
	return xformat("%s://%s%s?%s&X-Amz-Signature=%s", scheme, r->host, r->path, query.data,
	               signature.text);
}
