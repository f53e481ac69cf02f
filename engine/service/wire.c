#include "engine/service/wire.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

static void put_le(uint8_t *out, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, size_t bytes)
{
	uint64_t v = 0;
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)in[i] << (8 * i);
	return v;
}

static void add_le(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t raw[8];
	put_le(raw, v, bytes);
	buf_add(b, raw, bytes);
}

size_t wire_begin(struct buf *b, uint16_t type, uint32_t id)
{
	size_t mark = b->len;
	add_le(b, 0, 4);
	add_le(b, type, 2);
	add_le(b, 0, 2);
	add_le(b, id, 4);
	return mark;
}

void wire_end(struct buf *b, size_t mark)
{
	uint8_t raw[4];
	put_le(raw, b->len - mark - WIRE_LENGTH_SIZE, 4);
	memcpy(b->data + mark, raw, 4);
}

uint32_t wire_id(const struct buf *b)
{
	assert(b->len >= WIRE_HEADER_SIZE);
	return (uint32_t)get_le((const uint8_t *)b->data + 8, 4);
}

bool wire_header_decode(const void *bytes, struct wire_header *out)
{
	const uint8_t *at = bytes;
	struct wire_header h = {
		.length = (uint32_t)get_le(at, 4),
		.type = (uint16_t)get_le(at + 4, 2),
		.flags = (uint16_t)get_le(at + 6, 2),
		.id = (uint32_t)get_le(at + 8, 4),
	};
	if (h.length < WIRE_HEADER_SIZE - WIRE_LENGTH_SIZE || h.length > WIRE_FRAME_MAX ||
	    h.flags != 0)
		return false;
	*out = h;
	return true;
}

void wire_u8(struct buf *b, uint8_t v)
{
	buf_add_char(b, (char)v);
}

void wire_u32(struct buf *b, uint32_t v)
{
	add_le(b, v, 4);
}

void wire_u64(struct buf *b, uint64_t v)
{
	add_le(b, v, 8);
}

void wire_i64(struct buf *b, int64_t v)
{
	add_le(b, (uint64_t)v, 8);
}

void wire_bytes(struct buf *b, const void *bytes, size_t len)
{
	assert(len <= UINT32_MAX);
	wire_u32(b, (uint32_t)len);
	buf_add(b, bytes, len);
}

void wire_string(struct buf *b, const char *text)
{
	wire_bytes(b, text, text ? strlen(text) : 0);
}

void wire_digest(struct buf *b, const struct digest *d)
{
	buf_add(b, d->bytes, DIGEST_SIZE);
}

void wire_strings(struct buf *b, const struct strv *v)
{
	wire_u32(b, (uint32_t)v->count);
	for (size_t i = 0; i < v->count; i++)
		wire_string(b, v->items[i]);
}

void wire_ref(struct buf *b, const struct ref *ref)
{
	wire_u8(b, (uint8_t)ref->kind);
	wire_digest(b, &ref->digest);
	wire_u64(b, ref->size_bytes);
	wire_string(b, ref->output);
	wire_string(b, ref->selection);
}

struct wire_reader wire_reader(const void *payload, size_t len)
{
	const char *at = payload;
	return (struct wire_reader){ .at = at, .end = at + len };
}

/* The next len bytes, or NULL, and then nothing more is read. */
static const char *take(struct wire_reader *r, size_t len)
{
	if (r->failed || (size_t)(r->end - r->at) < len) {
		r->failed = true;
		return NULL;
	}
	const char *at = r->at;
	r->at += len;
	return at;
}

static uint64_t take_le(struct wire_reader *r, size_t bytes)
{
	const char *at = take(r, bytes);
	return at ? get_le((const uint8_t *)at, bytes) : 0;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)take_le(r, 1);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)take_le(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
	return take_le(r, 8);
}

int64_t wire_get_i64(struct wire_reader *r)
{
	return (int64_t)take_le(r, 8);
}

int wire_get_int(struct wire_reader *r)
{
	int64_t v = wire_get_i64(r);
	if (v >= INT_MIN && v <= INT_MAX)
		return (int)v;
	r->failed = true;
	return 0;
}

char *wire_get_bytes(struct wire_reader *r, size_t *len)
{
	size_t count = wire_get_u32(r);
	const char *at = take(r, count);
	*len = at ? count : 0;
	return xstrndup(at ? at : "", *len);
}

char *wire_get_string(struct wire_reader *r)
{
	size_t len;
	char *text = wire_get_bytes(r, &len);
	if (memchr(text, '\0', len))
		r->failed = true;
	return text;
}

void wire_get_digest(struct wire_reader *r, struct digest *out)
{
	const char *at = take(r, DIGEST_SIZE);
	if (at)
		memcpy(out->bytes, at, DIGEST_SIZE);
	else
		memset(out->bytes, 0, DIGEST_SIZE);
}

void wire_get_strings(struct wire_reader *r, struct strv *out)
{
	uint32_t count = wire_get_u32(r);
	for (uint32_t i = 0; i < count && !r->failed; i++)
		strv_add_take(out, wire_get_string(r));
}

/* An empty string stands for a member that is not there. */
static char *get_optional(struct wire_reader *r)
{
	char *text = wire_get_string(r);
	if (*text)
		return text;
	free(text);
	return NULL;
}

void wire_get_ref(struct wire_reader *r, struct ref *out)
{
	struct ref ref = { .kind = (enum ref_kind)wire_get_u8(r) };
	wire_get_digest(r, &ref.digest);
	ref.size_bytes = wire_get_u64(r);
	ref.output = get_optional(r);
	ref.selection = get_optional(r);
	if (ref.kind > REF_THUNK || (ref.kind == REF_THUNK) != (ref.output != NULL) ||
	    (ref.selection && !ref.output))
		r->failed = true;
	*out = ref;
}

int wire_done(const struct wire_reader *r, struct error *err)
{
	if (r->failed)
		return error_set(err, -EBADMSG, "a message ends in the middle of a field");
	if (r->at != r->end)
		return error_set(err, -EBADMSG, "a message has %zu bytes too many",
		                 (size_t)(r->end - r->at));
	return 0;
}
