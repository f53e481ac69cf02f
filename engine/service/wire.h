/*
 * Wire: messages on the service's socket (docs/protocol.md). A stream of frames, little-endian:
 *
 *     u32 length of what follows   u16 type   u16 flags (0)   u32 id   payload
 *
 * Payloads are fields one after another: u8, u32, u64, i64, a digest (32 bytes), a string
 * (u32 length, bytes, no NUL inside), bytes (u32 length, bytes), lists (u32 count, items). A
 * frame is at most WIRE_FRAME_MAX; a reader that runs past the end, or leaves bytes over, makes
 * the whole message -EBADMSG. Descriptors ride with the first byte of their frame (SCM_RIGHTS).
 *
 * Pure: encodes into and decodes from memory; the fuzz target is this and
 * engine/service/messages.h.
 */
#ifndef GGFS_ENGINE_SERVICE_WIRE_H
#define GGFS_ENGINE_SERVICE_WIRE_H

#include "common/buf.h"
#include "common/error.h"
#include "objstore/ref.h"

enum { WIRE_FRAME_MAX = 64 << 20, WIRE_HEADER_SIZE = 12, WIRE_LENGTH_SIZE = 4 };

struct wire_header {
	uint32_t length; /* of type, flags, id and payload */
	uint16_t type;
	uint16_t flags;
	uint32_t id; /* the asker's; answers carry the same */
};

/* Reads the WIRE_HEADER_SIZE bytes of a header; false when its length or flags cannot be right. */
bool wire_header_decode(const void *bytes, struct wire_header *out);

/* Begins a frame in b, returning a mark for wire_end, which fills in its length. */
size_t wire_begin(struct buf *b, uint16_t type, uint32_t id);
void wire_end(struct buf *b, size_t mark);
/* The id of the frame that b begins with. */
uint32_t wire_id(const struct buf *b);

void wire_u8(struct buf *b, uint8_t v);
void wire_u32(struct buf *b, uint32_t v);
void wire_u64(struct buf *b, uint64_t v);
void wire_i64(struct buf *b, int64_t v);
void wire_string(struct buf *b, const char *text); /* NULL is sent as "" */
void wire_bytes(struct buf *b, const void *bytes, size_t len);
void wire_digest(struct buf *b, const struct digest *d);
void wire_strings(struct buf *b, const struct strv *v);
void wire_ref(struct buf *b, const struct ref *ref);

/* Reads fields; after the first fault every read gives zeros and empties, and wire_done() says
 * so. Strings and bytes got are allocated. */
struct wire_reader {
	const char *at, *end;
	bool failed;
};

struct wire_reader wire_reader(const void *payload, size_t len);
uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
int64_t wire_get_i64(struct wire_reader *r);
int wire_get_int(struct wire_reader *r); /* an i64 that must fit */
char *wire_get_string(struct wire_reader *r);
char *wire_get_bytes(struct wire_reader *r, size_t *len);
void wire_get_digest(struct wire_reader *r, struct digest *out);
void wire_get_strings(struct wire_reader *r, struct strv *out);
void wire_get_ref(struct wire_reader *r, struct ref *out);
/* 0 when all was read and nothing was wrong; else -EBADMSG. */
int wire_done(const struct wire_reader *r, struct error *err);

#endif
