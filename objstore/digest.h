/*
 * Digest: BLAKE2b-256 of the bytes, as `b2sum -l 256` prints it: 64 lower-case hex digits.
 * Nothing is hidden in it; sizes and kinds travel beside it.
 *
 * Threads: pure functions; a hasher belongs to one thread at a time.
 */
#ifndef GGFS_OBJSTORE_DIGEST_H
#define GGFS_OBJSTORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/error.h"

enum { DIGEST_SIZE = 32, DIGEST_HEX_SIZE = 64 };

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

struct digest_hex {
	char text[DIGEST_HEX_SIZE + 1];
};

struct hasher; /* an incremental hash */

void digest_of(struct digest *out, const void *bytes, size_t len);
/* Hashes fd from offset 0 to its end; its file offset is not used. *size_bytes (may be NULL). */
int digest_of_fd(int fd, struct digest *out, uint64_t *size_bytes, struct error *err);

struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *bytes, size_t len);
void hasher_finish(struct hasher *h, struct digest *out); /* and starts over */
void hasher_free(struct hasher *h);

/* By value, so that it can stand in a printf: digest_hex(&d).text */
struct digest_hex digest_hex(const struct digest *d);
/* Exactly 64 lower-case hex digits of the len bytes; else false, *out untouched. */
bool digest_parse(const char *text, size_t len, struct digest *out);

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

#endif
