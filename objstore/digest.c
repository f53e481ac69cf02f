#include "objstore/digest.h"

#include <blake2.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/io.h"

enum { STEP = 256 << 10 };

struct hasher {
	blake2b_state state;
};

void digest_of(struct digest *out, const void *bytes, size_t len)
{
	blake2b_state state;
	blake2b_init(&state, DIGEST_SIZE);
	blake2b_update(&state, bytes, len);
	blake2b_final(&state, out->bytes, DIGEST_SIZE);
}

struct hasher *hasher_new(void)
{
	/* The state asks for more alignment than malloc promises. */
	struct hasher *h = aligned_alloc(_Alignof(struct hasher), sizeof(*h));
	if (!h)
		abort();
	blake2b_init(&h->state, DIGEST_SIZE);
	return h;
}

void hasher_add(struct hasher *h, const void *bytes, size_t len)
{
	blake2b_update(&h->state, bytes, len);
}

void hasher_finish(struct hasher *h, struct digest *out)
{
	blake2b_final(&h->state, out->bytes, DIGEST_SIZE);
	blake2b_init(&h->state, DIGEST_SIZE);
}

void hasher_free(struct hasher *h)
{
	free(h);
}

DEFINE_SCOPED(scoped_hasher_, struct hasher, hasher_free)

int digest_of_fd(int fd, struct digest *out, uint64_t *size_bytes, struct error *err)
{
	scoped(scoped_hasher_) struct hasher *h = hasher_new();
	scoped_free char *bytes = xmalloc(STEP);
	off_t offset = 0;
	for (;;) {
		ssize_t n = pread_full(fd, bytes, STEP, offset);
		if (n < 0) {
			errno = (int)-n;
			return error_errno(err, "cannot read the file to hash it");
		}
		hasher_add(h, bytes, (size_t)n);
		offset += n;
		if (n < STEP)
			break;
	}
	hasher_finish(h, out);
	if (size_bytes)
		*size_bytes = (uint64_t)offset;
	return 0;
}

struct digest_hex digest_hex(const struct digest *d)
{
	static const char digits[] = "0123456789abcdef";
	struct digest_hex hex;
	for (int i = 0; i < DIGEST_SIZE; i++) {
		hex.text[2 * i] = digits[d->bytes[i] >> 4];
		hex.text[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	hex.text[DIGEST_HEX_SIZE] = '\0';
	return hex;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool digest_parse(const char *text, size_t len, struct digest *out)
{
	struct digest d;
	if (len != DIGEST_HEX_SIZE)
		return false;
	for (int i = 0; i < DIGEST_SIZE; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		d.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*out = d;
	return true;
}
