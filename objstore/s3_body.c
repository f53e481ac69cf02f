#include "objstore/s3_body.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <zstd.h>

#include "common/io.h"

enum { STEP = 256 << 10 };

DEFINE_SCOPED(scoped_cctx_, ZSTD_CCtx, ZSTD_freeCCtx)
DEFINE_SCOPED(scoped_dctx_, ZSTD_DCtx, ZSTD_freeDCtx)
DEFINE_SCOPED(scoped_md_, EVP_MD_CTX, EVP_MD_CTX_free)
DEFINE_SCOPED(scoped_hasher_, struct hasher, hasher_free)

int s3_spool_open(int dirfd, struct error *err)
{
	int fd = dirfd < 0 ? -1 : openat(dirfd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	const char *base = getenv("TMPDIR");
	base = base && *base ? base : "/tmp";
	scoped_free char *path = xformat("%s/ggfs-spool-XXXXXX", base);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		int r = error_errno(err, "cannot make a temporary file in %s", base);
		return r == -ENOENT ? error_set(err, -EIO, "%s, of TMPDIR, does not exist", base)
		                    : r;
	}
	unlink(path);
	return fd;
}

void s3_body_release(struct s3_body *body)
{
	if (body->fd >= 0)
		close(body->fd);
	buf_release(&body->bytes);
	free(body->part_sha256);
	*body = S3_BODY_INIT(body->dirfd);
}

void s3_body_empty(struct s3_body *body)
{
	if (body->fd >= 0)
		close(body->fd);
	body->fd = -1;
	body->size_bytes = 0;
	buf_reset(&body->bytes);
}

static int write_at(int fd, const char *bytes, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EDQUOT ? -ENOSPC : -errno;
		bytes += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int move_to_file(struct s3_body *body)
{
	int fd = s3_spool_open(body->dirfd, NULL);
	if (fd < 0)
		return fd;
	int r = write_at(fd, body->bytes.data, body->bytes.len, 0);
	if (r < 0) {
		close(fd);
		return r;
	}
	body->fd = fd;
	buf_release(&body->bytes);
	return 0;
}

int s3_body_write(struct s3_body *body, uint64_t offset, const void *bytes, size_t len)
{
	/* In memory only what comes in order. */
	bool fits = offset == body->bytes.len && offset + len <= S3_MEMORY_BYTES;
	int r = body->fd >= 0 || fits ? 0 : move_to_file(body);
	if (r < 0)
		return r;
	if (body->fd < 0)
		buf_add(&body->bytes, bytes, len);
	else
		r = write_at(body->fd, bytes, len, offset);
	if (r == 0 && offset + len > body->size_bytes)
		body->size_bytes = offset + len;
	return r;
}

ssize_t s3_body_read(const struct s3_body *body, uint64_t offset, void *bytes, size_t len)
{
	if (offset >= body->size_bytes)
		return 0;
	if (len > body->size_bytes - offset)
		len = body->size_bytes - offset;
	if (body->fd >= 0)
		return pread_full(body->fd, bytes, len, (off_t)offset);
	memcpy(bytes, body->bytes.data + offset, len);
	return (ssize_t)len;
}

static int cannot_read(int r, struct error *err)
{
	errno = -r;
	return error_errno(err, "cannot read a blob that is to be sent");
}

static int cannot_spool(int r, struct error *err)
{
	errno = -r;
	return error_errno(err, "cannot write a temporary file of the far store");
}

static int is_not(const struct digest *d, struct error *err)
{
	return error_set(err, -EBADMSG, "blob %s of the local store is damaged; not sent",
	                 digest_hex(d).text);
}

/* Whether zstd saves a tenth. */
static bool pays(uint64_t packed, uint64_t plain)
{
	return packed <= plain - plain / 10;
}

/* At most S3_MEMORY_BYTES: all of it is tried. */
static int pack_small(struct s3_body *body, int fd, size_t len, const struct digest *d,
                      struct error *err)
{
	struct digest actual;
	buf_reserve(&body->bytes, len + 1);
	ssize_t n = pread_full(fd, body->bytes.data, len, 0);
	if (n < 0)
		return cannot_read((int)n, err);
	digest_of(&actual, body->bytes.data, (size_t)n);
	if (!digest_equal(&actual, d))
		return is_not(d, err);
	body->bytes.len = body->size_bytes = len = (size_t)n;
	if (len < S3_ZSTD_MIN_BYTES)
		return 0;
	struct buf packed = BUF_INIT;
	buf_reserve(&packed, ZSTD_compressBound(len));
	size_t size = ZSTD_compress(packed.data, ZSTD_compressBound(len), body->bytes.data, len,
	                            S3_ZSTD_LEVEL);
	if (ZSTD_isError(size) || !pays(size, len)) {
		buf_release(&packed);
		return 0;
	}
	packed.len = size;
	buf_release(&body->bytes);
	body->bytes = packed;
	body->size_bytes = size;
	body->zstd = true;
	return 0;
}

/* A piece from the middle of a large one: headers in front often deceive. */
static bool sample_pays(int fd, uint64_t size)
{
	scoped_free char *plain = xmalloc(S3_SAMPLE_BYTES);
	size_t bound = ZSTD_compressBound(S3_SAMPLE_BYTES);
	scoped_free char *packed = xmalloc(bound);
	ssize_t n = pread_full(fd, plain, S3_SAMPLE_BYTES, (off_t)(size - S3_SAMPLE_BYTES) / 2);
	if (n <= 0)
		return false;
	size_t packed_len = ZSTD_compress(packed, bound, plain, (size_t)n, S3_ZSTD_LEVEL);
	return !ZSTD_isError(packed_len) && pays(packed_len, (uint64_t)n);
}

struct packing {
	ZSTD_CCtx *cctx;
	char *out;
	size_t out_size;
	struct s3_body *body;
};

static int pack_step(struct packing *p, const void *bytes, size_t len, bool last, struct error *err)
{
	ZSTD_inBuffer in = { bytes, len, 0 };
	size_t left;
	do {
		ZSTD_outBuffer out = { p->out, p->out_size, 0 };
		left = ZSTD_compressStream2(p->cctx, &out, &in,
		                            last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return error_set(err, -EIO, "zstd: %s", ZSTD_getErrorName(left));
		int r = s3_body_write(p->body, p->body->size_bytes, p->out, out.pos);
		if (r < 0)
			return cannot_spool(r, err);
	} while (last ? left > 0 : in.pos < in.size);
	return 0;
}

/* Reads all of fd, hashes it, and packs it if p is given. */
static int read_through(int fd, struct hasher *h, struct packing *p, struct error *err)
{
	scoped_free char *bytes = xmalloc(STEP);
	uint64_t at = 0;
	for (;;) {
		ssize_t n = pread_full(fd, bytes, STEP, (off_t)at);
		if (n < 0)
			return cannot_read((int)n, err);
		hasher_add(h, bytes, (size_t)n);
		int r = p ? pack_step(p, bytes, (size_t)n, n < STEP, err) : 0;
		if (r < 0 || n < STEP)
			return r;
		at += (uint64_t)n;
	}
}

static int pack_large(struct s3_body *body, int fd, uint64_t size, const struct digest *d,
                      struct error *err)
{
	scoped(scoped_cctx_) ZSTD_CCtx *cctx = ZSTD_createCCtx();
	scoped(scoped_hasher_) struct hasher *h = hasher_new();
	size_t out_size = ZSTD_CStreamOutSize();
	scoped_free char *out = xmalloc(out_size);
	struct packing packing = { .cctx = cctx, .out = out, .out_size = out_size, .body = body };
	bool pack = sample_pays(fd, size);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, S3_ZSTD_LEVEL);
	struct digest actual;
	int r = read_through(fd, h, pack ? &packing : NULL, err);
	if (r < 0)
		return r;
	hasher_finish(h, &actual);
	if (!digest_equal(&actual, d))
		return is_not(d, err);
	body->zstd = pack && pays(body->size_bytes, size);
	if (body->zstd)
		return 0;
	s3_body_empty(body);
	body->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	body->size_bytes = size;
	return body->fd < 0 ? error_errno(err, "cannot keep a blob open") : 0;
}

static int hash_part(const struct s3_body *body, size_t part, char *bytes, struct error *err)
{
	scoped(scoped_md_) EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint64_t at = part * body->part_bytes, left = body->size_bytes - at;
	unsigned char sum[32];
	if (left > body->part_bytes)
		left = body->part_bytes;
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while (left > 0) {
		ssize_t n = s3_body_read(body, at, bytes, left < STEP ? left : STEP);
		if (n <= 0)
			return cannot_read(n < 0 ? (int)n : -EIO, err);
		EVP_DigestUpdate(md, bytes, (size_t)n);
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	EVP_DigestFinal_ex(md, sum, NULL);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(body->part_sha256[part].text + 2 * i, 3, "%02x", sum[i]);
	return 0;
}

static int hash_parts(struct s3_body *body, uint64_t whole_bytes, struct error *err)
{
	scoped_free char *bytes = xmalloc(STEP);
	uint64_t size = body->size_bytes, part = S3_PART_BYTES_MIN;
	while (size / part >= S3_PARTS_MAX)
		part *= 2;
	body->part_bytes = size <= whole_bytes ? (size ? size : 1) : part;
	body->part_count = size ? (size + body->part_bytes - 1) / body->part_bytes : 1;
	body->part_sha256 = xcalloc(body->part_count, sizeof(*body->part_sha256));
	for (size_t i = 0; i < body->part_count; i++) {
		int r = hash_part(body, i, bytes, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int s3_body_pack(struct s3_body *body, int fd, const struct digest *d, uint64_t whole_bytes,
                 struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at a blob that is to be sent");
	uint64_t size = (uint64_t)st.st_size;
	int r = size <= S3_MEMORY_BYTES ? pack_small(body, fd, (size_t)size, d, err)
	                                : pack_large(body, fd, size, d, err);
	if (r < 0)
		return r;
	body->plain_bytes = size;
	return hash_parts(body, whole_bytes, err);
}

struct unpacking {
	const struct s3_body *body;
	s3_bytes_fn *fn;
	void *arg;
	uint64_t plain_bytes, out_bytes;
	char *in, *out;
	size_t out_size;
	size_t frame_left; /* 0: at the end of a frame */
};

static int unpack_step(struct unpacking *u, ZSTD_DCtx *dctx, size_t len, struct error *err)
{
	ZSTD_inBuffer in = { u->in, len, 0 };
	for (bool full = true; in.pos < in.size || full;) {
		ZSTD_outBuffer out = { u->out, u->out_size, 0 };
		u->frame_left = ZSTD_decompressStream(dctx, &out, &in);
		if (ZSTD_isError(u->frame_left))
			return error_set(err, -EBADMSG, "what came is not zstd: %s",
			                 ZSTD_getErrorName(u->frame_left));
		u->out_bytes += out.pos;
		if (u->out_bytes > u->plain_bytes)
			return error_set(err, -EBADMSG, "what came unpacks to more than it says");
		int r = out.pos > 0 ? u->fn(u->arg, u->out, out.pos, err) : 0;
		if (r < 0)
			return r;
		/* All of a frame may be in, and some of it not yet out. */
		full = out.pos == out.size && u->frame_left != 0;
	}
	return 0;
}

static int unpack_zstd(struct unpacking *u, struct error *err)
{
	scoped(scoped_dctx_) ZSTD_DCtx *dctx = ZSTD_createDCtx();
	for (uint64_t at = 0; at < u->body->size_bytes;) {
		ssize_t n = s3_body_read(u->body, at, u->in, STEP);
		if (n <= 0)
			return cannot_spool(n < 0 ? (int)n : -EIO, err);
		int r = unpack_step(u, dctx, (size_t)n, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	if (u->frame_left != 0 || u->out_bytes != u->plain_bytes)
		return error_set(err, -EBADMSG, "what came is cut short");
	return 0;
}

static int hand_out(struct unpacking *u, struct error *err)
{
	for (uint64_t at = 0; at < u->body->size_bytes;) {
		ssize_t n = s3_body_read(u->body, at, u->in, STEP);
		if (n <= 0)
			return cannot_spool(n < 0 ? (int)n : -EIO, err);
		int r = u->fn(u->arg, u->in, (size_t)n, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

int s3_body_unpack(const struct s3_body *body, bool zstd, uint64_t plain_bytes, s3_bytes_fn *fn,
                   void *arg, struct error *err)
{
	scoped_free char *in = xmalloc(STEP);
	scoped_free char *out = xmalloc(STEP);
	struct unpacking u = { .body = body,
		               .fn = fn,
		               .arg = arg,
		               .plain_bytes = plain_bytes,
		               .in = in,
		               .out = out,
		               .out_size = STEP };
	return zstd ? unpack_zstd(&u, err) : hand_out(&u, err);
}
