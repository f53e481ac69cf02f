/*
 * AWS Signature Version 4 (AWS General Reference, "Create a signed AWS API request"): pure.
 * Ours rather than libcurl's: it takes the time from us (clock skew), session tokens, keys
 * with any byte, presigned URLs, and serves to check signatures as well; one signer, one set
 * of tests (against botocore).
 *
 * Threads: pure functions; sigv4_keys caches nothing.
 */
#ifndef GGFS_COMMON_AWS_SIGV4_H
#define GGFS_COMMON_AWS_SIGV4_H

#include <time.h>

#include "common/buf.h"
#include "common/error.h"

enum { SIGV4_SKEW_MAX_S = 300 };
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct aws_keys {
	char *access_key, *secret_key;
	char *session_token; /* NULL: none */
	int64_t expires_s;   /* since 1970; 0: never */
};
void aws_keys_release(struct aws_keys *k); /* wipes the secrets */
void aws_keys_copy(struct aws_keys *to, const struct aws_keys *from);

struct sigv4_request {
	const char *method, *host;  /* host with its port unless that is the scheme's own */
	const char *path;           /* as sent, encoded once; "/" at least */
	const char *query;          /* as sent, "a=1&b=" or ""; any order */
	const char *const *headers; /* further "Name: value" that are sent and signed */
	size_t header_count;
	const char *payload_sha256; /* 64 hex digits, or SIGV4_UNSIGNED_PAYLOAD */
	const char *service, *region;
	time_t when;
	bool s3; /* the path is not encoded again, x-amz-content-sha256 is sent */
};

/* Appends to headers what must be sent besides: x-amz-date, authorization, and where they apply
 * x-amz-security-token and x-amz-content-sha256. host is libcurl's to send. */
void sigv4_sign(const struct aws_keys *keys, const struct sigv4_request *r, struct strv *headers);

/* A URL good for seconds from r->when. scheme "https". The caller's to free. */
char *sigv4_presign(const struct aws_keys *keys, const struct sigv4_request *r, const char *scheme,
                    unsigned seconds);

/* For servers: whether a request with these headers (all that came, "name: value") was signed with
 * the key's secret, at most SIGV4_SKEW_MAX_S off now. 0; -EACCES wrong or no signature, -ETIME too
 * old or too new, -EINVAL malformed; the sentence names AWS's own error code. */
int sigv4_verify(const struct aws_keys *keys, const struct sigv4_request *r, time_t now,
                 struct error *err);

/* Hex SHA-256 of the bytes. */
struct sha256_hex {
	char text[65];
};
struct sha256_hex sha256_hex(const void *bytes, size_t len);

/* Percent-encodes all but unreserved characters (and '/', if keep_slash), as AWS wants it. */
void aws_uri_encode(const char *text, bool keep_slash, struct buf *b);

#endif
