/*
 * The few answers of S3 whose XML matters, read with expat: a page of ListObjectsV2, an upload's
 * name, and the request that completes an upload.
 *
 * Threads: pure functions. Errors: -EPROTO for what is not such an answer, or past a limit.
 */
#ifndef GGFS_OBJSTORE_S3_XML_H
#define GGFS_OBJSTORE_S3_XML_H

#include "common/buf.h"
#include "common/error.h"

enum {
	S3_PAGE_BYTES_MAX = 8 << 20, /* 1,000 keys of 1,024 bytes, each maybe escaped */
	S3_PAGE_KEYS_MAX = 1000,
	S3_TEXT_BYTES_MAX = 8 << 10, /* a key, a token */
	S3_XML_DEPTH_MAX = 16,
};

struct s3_listed {
	char *key; /* decoded */
	uint64_t size_bytes;
};

struct s3_page {
	struct s3_listed *items;
	size_t count, capacity;
	char *next; /* continuation token; NULL: this was the last page */
};

void s3_page_release(struct s3_page *page);
static inline void scoped_s3_page_(struct s3_page *page)
{
	s3_page_release(page);
}

/* Asked for with encoding-type=url; other answers are read as well. */
int s3_page_parse(const char *text, size_t len, struct s3_page *out, struct error *err);

/* Of CreateMultipartUpload; the caller's to free. */
int s3_upload_parse(const char *text, size_t len, char **upload_id, struct error *err);

/* The body of CompleteMultipartUpload: parts 1 to count with these ETags. */
void s3_complete_format(const char *const *etags, size_t count, struct buf *b);

#endif
