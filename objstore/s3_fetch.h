/*
 * Fetching one object into a body: whole, or when it is large in ranges at once, all of the same
 * version of it. The first answer of an object of unknown size tells how it goes on.
 *
 * Threads: the net's. Errors: as s3_judge.h has them; -EBADMSG with more than the blob can have.
 */
#ifndef GGFS_OBJSTORE_S3_FETCH_H
#define GGFS_OBJSTORE_S3_FETCH_H

#include "objstore/s3.h"
#include "objstore/s3_body.h"

enum {
	S3_RANGES_AT_ONCE = 8, /* of one object */
	S3_RANGE_BYTES = 16 << 20,
	S3_FETCH_RESTARTS = 3, /* it was replaced while we read it */
};

#define S3_SIZE_HEADER "x-amz-meta-ggfs-size"

/* What an object's headers tell. */
struct s3_info {
	uint64_t stored_bytes;
	bool zstd;
	uint64_t plain_bytes; /* of the blob; UINT64_MAX: a zstd object that does not tell */
};

/* body is the callee's to steal; empty on failure. */
typedef void s3_fetch_fn(void *arg, int code, struct s3_body *body, const struct s3_info *info,
                         const struct error *err);

/* size_bytes: the blob's, UINT64_MAX: not known. dirfd: of the near store, or -1. since_ms: as in
 * s3_request. */
void s3_fetch(struct s3 *s3, const char *key, uint64_t size_bytes, int dirfd, int64_t since_ms,
              s3_fetch_fn *done, void *arg);

/* 0 or -ENOENT and so on: whether it is there, by asking for its first byte (an answer to HEAD
 * could not tell why it refuses). */
typedef void s3_look_fn(void *arg, int code, const struct s3_info *info, const struct error *err);
void s3_look(struct s3 *s3, const char *key, int64_t since_ms, s3_look_fn *done, void *arg);

/* Of an answer to a GET; -EPROTO for one that makes no sense. Pure. */
int s3_info_read(const struct http_response *r, struct s3_info *out, struct error *err);

#endif
