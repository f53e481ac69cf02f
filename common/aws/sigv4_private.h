/*
 * What signing and verifying share: the canonical request and the signature over it, as "Create a
 * signed AWS API request" (AWS General Reference) defines them.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_AWS_SIGV4_PRIVATE_H
#define GGFS_COMMON_AWS_SIGV4_PRIVATE_H

#include "common/aws/sigv4.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

enum { SIGV4_TIME_LEN = 16 }; /* 20130524T000000Z, its first 8 the date */

struct sigv4_time {
	char text[SIGV4_TIME_LEN + 1];
};
struct sigv4_time sigv4_time(time_t when);

/* Headers that are signed: names in lower case, values trimmed, sorted by name. */
struct sigv4_header {
	char *name, *value;
	size_t order; /* as added: those of one name keep it */
};
struct sigv4_headers {
	struct sigv4_header *items;
	size_t count, capacity;
};
void sigv4_headers_release(struct sigv4_headers *h);
void sigv4_headers_add(struct sigv4_headers *h, const char *name, size_t name_len,
                       const char *value);
/* "Name: value" as a line; a line without a colon is left out. */
void sigv4_headers_add_line(struct sigv4_headers *h, const char *line);
void sigv4_headers_sort(struct sigv4_headers *h);
/* "host;x-amz-date" of sorted ones, each name once. */
void sigv4_signed_names(const struct sigv4_headers *h, struct buf *b);

void sigv4_canonical_path(const char *path, bool s3, struct buf *b);
void sigv4_canonical_query(const char *query, struct buf *b);

/* "20130524/us-east-1/s3/aws4_request" */
char *sigv4_scope(const struct sigv4_request *r, const struct sigv4_time *t);

/* Of a request with these headers (sorted) and this query, signed at t. */
struct sha256_hex sigv4_signature(const char *secret, const struct sigv4_request *r,
                                  const char *query, const struct sigv4_headers *signed_headers,
                                  const char *payload_sha256, const struct sigv4_time *t);

static inline void scoped_sigv4_headers_(struct sigv4_headers *h)
{
	sigv4_headers_release(h);
}
#define scoped_sigv4_headers scoped(scoped_sigv4_headers_)

#endif
