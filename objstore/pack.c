#include "objstore/pack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"

enum { PIECE_BYTES = 128 << 10 };

static const char first_line[] = "ggfs-pack 1\n";
static const char last_line[] = "end\n";

/* --- making ---------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

static size_t without_twins(struct digest *blobs, size_t count)
{
	size_t kept = count ? 1 : 0;
	qsort(blobs, count, sizeof(*blobs), by_bytes);
	for (size_t i = 1; i < count; i++)
		if (!digest_equal(&blobs[i], &blobs[kept - 1]))
			blobs[kept++] = blobs[i];
	return kept;
}

static int add_bytes(struct store_put *put, int fd, uint64_t size_bytes, char *piece,
                     struct error *err)
{
	for (uint64_t left = size_bytes; left > 0;) {
		ssize_t n = read_full(fd, piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);
		if (n <= 0)
			return error_set(err, n < 0 ? (int)n : -EBADMSG, "a blob ends too early");
		int r = store_put_write(put, piece, (size_t)n, err);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	return 0;
}

static int add_blob(struct store *s, struct store_put *put, const struct digest *d, char *piece,
                    uint64_t *total, struct error *err)
{
	char line[128];
	uint64_t size_bytes;
	int r = store_has(s, d, &size_bytes, err);
	if (r < 0)
		return r;
	scoped_fd int fd = store_get(s, d, err);
	if (fd < 0)
		return fd;
	int len = snprintf(line, sizeof(line), "blob %s %llu\n", digest_hex(d).text,
	                   (unsigned long long)size_bytes);
	r = store_put_write(put, line, (size_t)len, err);
	if (r == 0)
		r = add_bytes(put, fd, size_bytes, piece, err);
	*total += (uint64_t)len + size_bytes;
	return r;
}

int pack_make(struct store *s, struct digest *blobs, size_t count, struct digest *out,
              uint64_t *size_bytes, struct digest *absent, struct error *err)
{
	struct store_put *put;
	scoped_free char *piece = xmalloc(PIECE_BYTES);
	uint64_t total = sizeof(first_line) - 1 + sizeof(last_line) - 1;
	int r = store_put_begin(s, &put, err);
	if (r < 0)
		return r;
	count = without_twins(blobs, count);
	r = store_put_write(put, first_line, sizeof(first_line) - 1, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		*absent = blobs[i];
		r = add_blob(s, put, &blobs[i], piece, &total, err);
	}
	if (r == 0)
		r = store_put_write(put, last_line, sizeof(last_line) - 1, err);
	if (r < 0) {
		store_put_abort(put);
		return r;
	}
	*size_bytes = total;
	return store_put_finish(put, NULL, out, err);
}

/* --- unpacking ---------------------------------------------------------------------------------
 */

static int read_line(FILE *f, char *line, size_t size, struct error *err)
{
	if (!fgets(line, (int)size, f) || !strchr(line, '\n'))
		return error_set(err, -EBADMSG, "the pack is cut short or no pack");
	return 0;
}

/* "blob DIGEST SIZE\n": 1; "end\n": 0. */
static int parse_line(const char *line, struct digest *d, uint64_t *size_bytes, struct error *err)
{
	unsigned long long size;
	char hex[DIGEST_HEX_SIZE + 1], again[128];
	if (strcmp(line, last_line) == 0)
		return 0;
	if (sscanf(line, "blob %64[0-9a-f] %20llu", hex, &size) != 2 ||
	    !digest_parse(hex, strlen(hex), d))
		return error_set(err, -EBADMSG, "a pack has a line that is none of its");
	snprintf(again, sizeof(again), "blob %s %llu\n", hex, size);
	if (strcmp(again, line) != 0)
		return error_set(err, -EBADMSG, "a pack has a line that is none of its");
	*size_bytes = size;
	return 1;
}

static int take_bytes(struct store_put *put, FILE *f, uint64_t size_bytes, char *piece,
                      struct error *err)
{
	for (uint64_t left = size_bytes; left > 0;) {
		size_t most = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		size_t n = fread(piece, 1, most, f);
		if (n == 0)
			return error_set(err, -EBADMSG, "the pack is cut short");
		int r = store_put_write(put, piece, n, err);
		if (r < 0)
			return r;
		left -= n;
	}
	return 0;
}

static int take_blob(struct store *s, FILE *f, const struct digest *d, uint64_t size_bytes,
                     char *piece, struct error *err)
{
	struct store_put *put;
	struct digest got;
	int r = store_put_begin(s, &put, err);
	if (r < 0)
		return r;
	r = take_bytes(put, f, size_bytes, piece, err);
	if (r < 0) {
		store_put_abort(put);
		return r;
	}
	return store_put_finish(put, d, &got, err);
}

static int unpack(struct store *s, FILE *f, store_visit_fn *put, void *arg, struct error *err)
{
	char line[128];
	scoped_free char *piece = xmalloc(PIECE_BYTES);
	int r = read_line(f, line, sizeof(line), err);
	if (r == 0 && strcmp(line, first_line) != 0)
		r = error_set(err, -EBADMSG, "it is no pack, or one of a later version");
	for (size_t i = 0; r == 0; i++) {
		struct digest d;
		uint64_t size_bytes = 0;
		r = read_line(f, line, sizeof(line), err);
		if (r == 0)
			r = parse_line(line, &d, &size_bytes, err);
		if (r <= 0)
			break;
		if (i >= PACK_BLOBS_MAX)
			return error_set(err, -EFBIG, "a pack of more than %d blobs",
			                 PACK_BLOBS_MAX);
		r = take_blob(s, f, &d, size_bytes, piece, err);
		if (r == 0 && put)
			r = put(arg, &d, size_bytes);
	}
	return r;
}

int pack_unpack(struct store *s, const struct digest *pack, store_visit_fn *put, void *arg,
                struct error *err)
{
	scoped_fd int fd = store_get(s, pack, err);
	if (fd < 0)
		return fd;
	scoped_file FILE *f = fdopen(fd, "re");
	if (!f)
		return error_errno(err, "cannot read a pack");
	fd = -1;
	int r = unpack(s, f, put, arg, err);
	return r < 0 ? error_prefix(err, r, "the pack %s", digest_hex(pack).text) : 0;
}
