/*
 * Where a bucket is, and what objects are called in it (docs/format-far.md).
 *
 *     s3://BUCKET[/PREFIX]       PREFIX is taken byte by byte: %41 in it is those three characters
 *
 * Threads: pure functions; a place does not change once made.
 */
#ifndef GGFS_OBJSTORE_S3_PLACE_H
#define GGFS_OBJSTORE_S3_PLACE_H

#include "common/aws/config.h"
#include "objstore/far.h"

enum {
	S3_PREFIX_MAX = 900, /* a key is at most 1,024 bytes */
	S3_BUCKET_MAX = 255,
};

#define S3_OBJECTS "objects"
#define S3_MEMOS "memo"
#define S3_QUARANTINE "quarantine"

struct s3_place {
	char *url; /* s3://BUCKET[/PREFIX], without a slash at the end */
	char *bucket;
	char *prefix; /* "" or ending in a slash */
	char *region;
	char *scheme,
	        *host; /* host with its port if it has one, and the bucket unless path style */
	char *base;    /* "" or "/BUCKET": what comes before a key's slash */
};

/* From the options, and the AWS configuration where they say nothing. -EINVAL with what is wrong.
 */
int s3_place_init(struct s3_place *place, const struct aws_config *config,
                  const struct far_options *options, struct error *err);
void s3_place_release(struct s3_place *place);

/* "PREFIX/KIND/ab/cdef..."; the caller's to free. */
char *s3_key(const struct s3_place *place, const char *kind, const struct digest *d);
/* The digest in a key that s3_key could have made; false: it is none of ours. */
bool s3_key_parse(const struct s3_place *place, const char *kind, const char *key,
                  struct digest *out);
/* The path of a key as it is sent, percent-encoded; key NULL: of the bucket. The caller's. */
char *s3_path(const struct s3_place *place, const char *key);

#endif
