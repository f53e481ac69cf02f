/*
 * The bytes of an object on their way: in memory when they are few, else in a file without a name
 * in the near store's tmp/ (or $TMPDIR), or a descriptor of the near store's own.
 *
 *   pack     what a blob is stored as: as it is, or zstd where that saves a tenth or more
 *   unpack   the blob's bytes again
 *
 * Threads: one owner at a time; pack and unpack read, write and compute, and are not for the net's
 * thread. Errors: -ENOSPC no room for the file; -EBADMSG the bytes are not what they should be.
 */
#ifndef GGFS_OBJSTORE_S3_BODY_H
#define GGFS_OBJSTORE_S3_BODY_H

#include "common/aws/sigv4.h"
#include "objstore/store.h"

enum {
	S3_MEMORY_BYTES = 1 << 20, /* no more of one object in memory */
	S3_ZSTD_LEVEL = 3,
	S3_ZSTD_MIN_BYTES = 512,     /* smaller ones stay as they are */
	S3_SAMPLE_BYTES = 256 << 10, /* of a large one is tried */
	S3_PART_BYTES_MIN = 16 << 20,
	S3_PARTS_MAX = 9000, /* S3 allows 10,000 */
};

struct s3_body {
	int dirfd; /* of the near store, borrowed; -1: none */
	int fd;    /* -1: the bytes are in memory */
	struct buf bytes;
	uint64_t size_bytes;
	/* Of a packed one: */
	bool zstd;
	uint64_t plain_bytes; /* of the blob itself */
	uint64_t part_bytes;
	struct sha256_hex
	        *part_sha256; /* one for each part of part_bytes, the last maybe shorter */
	size_t part_count;
};

#define S3_BODY_INIT(near_dirfd) ((struct s3_body){ .dirfd = (near_dirfd), .fd = -1 })

void s3_body_release(struct s3_body *body);
void s3_body_empty(struct s3_body *body); /* for a new attempt */
int s3_body_write(struct s3_body *body, uint64_t offset, const void *bytes, size_t len);
/* Up to len bytes; 0 at the end; -errno. */
ssize_t s3_body_read(const struct s3_body *body, uint64_t offset, void *bytes, size_t len);

/* Makes body (empty until now) of the blob d that fd holds; -EBADMSG if it does not hold it. Parts
 * are of part_bytes, or all is one part if it is at most whole_bytes. */
int s3_body_pack(struct s3_body *body, int fd, const struct digest *d, uint64_t whole_bytes,
                 struct error *err);

typedef int s3_bytes_fn(void *arg, const void *bytes, size_t len, struct error *err);
/* Hands out the blob's bytes in order. zstd: they are compressed, and plain_bytes of them must come
 * out. Ends with what fn returns below 0. */
int s3_body_unpack(const struct s3_body *body, bool zstd, uint64_t plain_bytes, s3_bytes_fn *fn,
                   void *arg, struct error *err);

/* A file without a name, in dirfd's tmp/, or in $TMPDIR where that cannot be. */
int s3_spool_open(int dirfd, struct error *err);

#endif
