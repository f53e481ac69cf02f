#include "common/aws/sigv4_private.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

/* What an Authorization header says; borrowed from it. */
struct authorization {
	const char *credential, *names, *signature;
	size_t credential_len, names_len, signature_len;
};

/* The value of a header among "name: value" lines, or NULL. */
static const char *header_value(const struct sigv4_request *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->header_count; i++) {
		const char *header = r->headers[i];
		if (strncasecmp(header, name, len) == 0 && header[len] == ':')
			return header + len + 1 + strspn(header + len + 1, " \t");
	}
	return NULL;
}

static const char *header(const struct sigv4_request *r, const char *name)
{
	return header_value(r, name, strlen(name));
}

/* "Key=value" of a list that commas and spaces separate. */
static const char *part(const char *list, const char *key, size_t *len)
{
	for (const char *at = list; *at;) {
		at += strspn(at, ", ");
		size_t item = strcspn(at, ", "), key_len = strlen(key);
		if (item > key_len && strncmp(at, key, key_len) == 0 && at[key_len] == '=') {
			*len = item - key_len - 1;
			return at + key_len + 1;
		}
		at += item;
	}
	return NULL;
}

static int parse(const char *text, struct authorization *a, struct error *err)
{
	size_t algorithm = strlen(SIGV4_ALGORITHM);
	if (strncmp(text, SIGV4_ALGORITHM, algorithm) != 0 || text[algorithm] != ' ')
		return error_set(err, -EINVAL,
		                 "IncompleteSignatureException: the Authorization header is not "
		                 "of " SIGV4_ALGORITHM);
	a->credential = part(text + algorithm, "Credential", &a->credential_len);
	a->names = part(text + algorithm, "SignedHeaders", &a->names_len);
	a->signature = part(text + algorithm, "Signature", &a->signature_len);
	if (!a->credential || !a->names || !a->signature)
		return error_set(err, -EINVAL,
		                 "IncompleteSignatureException: the Authorization header lacks "
		                 "Credential, SignedHeaders or Signature");
	return 0;
}

static bool parse_time(const char *text, time_t *out)
{
	struct tm parts = { 0 };
	if (!text || strlen(text) != SIGV4_TIME_LEN)
		return false;
	const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &parts);
	if (!end || *end)
		return false;
	*out = timegm(&parts);
	return true;
}

static int check_time(const char *text, time_t when, time_t now, struct error *err)
{
	struct sigv4_time here = sigv4_time(now);
	if (when < now - SIGV4_SKEW_MAX_S)
		return error_set(err, -ETIME,
		                 "InvalidSignatureException: Signature expired: %s is now earlier "
		                 "than %s less %d s",
		                 text, here.text, SIGV4_SKEW_MAX_S);
	if (when > now + SIGV4_SKEW_MAX_S)
		return error_set(err, -ETIME,
		                 "InvalidSignatureException: Signature not yet current: %s is "
		                 "still later than %s and %d s",
		                 text, here.text, SIGV4_SKEW_MAX_S);
	return 0;
}

static int check_credential(const struct aws_keys *keys, const struct sigv4_request *r,
                            const struct authorization *a, const struct sigv4_time *t,
                            struct error *err)
{
	size_t key_len = strlen(keys->access_key);
	if (a->credential_len <= key_len || a->credential[key_len] != '/' ||
	    strncmp(a->credential, keys->access_key, key_len) != 0)
		return error_set(err, -EACCES,
		                 "UnrecognizedClientException: the security token included in the "
		                 "request is invalid");
	scoped_free char *scope = sigv4_scope(r, t);
	size_t scope_len = a->credential_len - key_len - 1;
	if (strlen(scope) != scope_len ||
	    memcmp(a->credential + key_len + 1, scope, scope_len) != 0)
		return error_set(err, -EACCES,
		                 "InvalidSignatureException: credential should be scoped to %s",
		                 scope);
	return 0;
}

/* A request with a token is as good as without one only where the key has none. */
static int check_token(const struct aws_keys *keys, const struct sigv4_request *r,
                       struct error *err)
{
	const char *token = header(r, "x-amz-security-token");
	const char *wanted = keys->session_token;
	if (!wanted && !token)
		return 0;
	if (!wanted || !token || strlen(wanted) != strlen(token) ||
	    CRYPTO_memcmp(wanted, token, strlen(wanted)) != 0)
		return error_set(err, -EACCES,
		                 "UnrecognizedClientException: the security token included in the "
		                 "request is invalid");
	return 0;
}

static bool names_contain(const struct authorization *a, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = a->names; at < a->names + a->names_len;) {
		size_t item = strcspn(at, ";, ");
		if (item == len && strncasecmp(at, name, len) == 0)
			return true;
		at += item + 1;
	}
	return false;
}

/* Whatever can change what a request means has to be among what is signed. */
static int check_names(const struct sigv4_request *r, const struct authorization *a,
                       struct error *err)
{
	if (!names_contain(a, "host"))
		return error_set(err, -EINVAL,
		                 "IncompleteSignatureException: 'Host' must be a signed header");
	for (size_t i = 0; i < r->header_count; i++) {
		size_t len = strcspn(r->headers[i], ":");
		scoped_free char *name = xstrndup(r->headers[i], len);
		if (strncasecmp(name, "x-amz-", 6) == 0 && !names_contain(a, name))
			return error_set(err, -EACCES,
			                 "InvalidSignatureException: header '%s' was sent but not "
			                 "signed",
			                 name);
	}
	return 0;
}

static int collect_signed(const struct sigv4_request *r, const struct authorization *a,
                          struct sigv4_headers *out, struct error *err)
{
	for (const char *at = a->names; at < a->names + a->names_len;) {
		size_t len = strcspn(at, ";, ");
		bool found = false;
		for (size_t i = 0; i < r->header_count; i++) {
			const char *line = r->headers[i];
			if (strncasecmp(line, at, len) != 0 || line[len] != ':')
				continue;
			sigv4_headers_add(out, at, len, line + len + 1);
			found = true;
		}
		if (!found && len == 4 && strncasecmp(at, "host", 4) == 0 && r->host)
			sigv4_headers_add(out, at, len, r->host);
		else if (!found)
			return error_set(err, -EINVAL,
			                 "IncompleteSignatureException: a signed header was not "
			                 "sent");
		at += len + 1;
	}
	sigv4_headers_sort(out);
	return 0;
}

static int check_payload(const struct sigv4_request *r, const char **payload, struct error *err)
{
	*payload = r->payload_sha256;
	if (!r->s3)
		return 0;
	const char *said = header(r, "x-amz-content-sha256");
	if (!said)
		return error_set(err, -EINVAL, "MissingSecurityHeader: x-amz-content-sha256");
	if (strcmp(said, SIGV4_UNSIGNED_PAYLOAD) != 0 && strcmp(said, r->payload_sha256) != 0)
		return error_set(err, -EACCES,
		                 "XAmzContentSHA256Mismatch: the body has another SHA-256");
	*payload = said;
	return 0;
}

int sigv4_verify(const struct aws_keys *keys, const struct sigv4_request *r, time_t now,
                 struct error *err)
{
	struct authorization a = { 0 };
	struct sigv4_time t;
	time_t when;
	scoped_sigv4_headers struct sigv4_headers signed_headers = { 0 };
	const char *text = header(r, "authorization"), *date = header(r, "x-amz-date"), *payload;
	if (!text)
		return error_set(err, -EACCES,
		                 "MissingAuthenticationTokenException: the request is not signed");
	if (!parse_time(date, &when))
		return error_set(err, -EINVAL,
		                 "IncompleteSignatureException: there is no valid X-Amz-Date");
	t = sigv4_time(when);
	int r_;
	if ((r_ = parse(text, &a, err)) < 0 || (r_ = check_credential(keys, r, &a, &t, err)) < 0 ||
	    (r_ = check_token(keys, r, err)) < 0 || (r_ = check_names(r, &a, err)) < 0 ||
	    (r_ = collect_signed(r, &a, &signed_headers, err)) < 0 ||
	    (r_ = check_payload(r, &payload, err)) < 0)
		return r_;
	struct sha256_hex wanted = sigv4_signature(keys->secret_key, r, r->query ? r->query : "",
	                                           &signed_headers, payload, &t);
	if (a.signature_len != 64 || CRYPTO_memcmp(wanted.text, a.signature, 64) != 0)
		return error_set(err, -EACCES,
		                 "InvalidSignatureException: the request signature we calculated "
		                 "does not match the signature you provided");
	/* Last: somebody without the key is told nothing about our clock. */
	return check_time(t.text, when, now, err);
}
