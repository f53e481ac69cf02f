#include "engine/remote/wire_impl.h"

#include <zstd.h>

#include "common/base64.h"

enum { DIGEST_MEMBER = DIGEST_HEX_SIZE + 64 }; /* all of a blob's object but its bytes */

void remote_blobs_release(struct remote_blobs *b)
{
	free(b->items);
	buf_release(&b->bytes);
	*b = (struct remote_blobs){ 0 };
}

void remote_blobs_add(struct remote_blobs *b, const struct digest *d, const void *bytes, size_t len)
{
	array_grow(b->items, b->count, b->capacity);
	b->items[b->count++] = (struct remote_blob){ .digest = *d, .bytes = bytes, .len = len };
}

size_t remote_blob_cost(size_t len)
{
	return DIGEST_MEMBER + (len + 2) / 3 * 4;
}

const struct remote_blob *remote_blobs_find(const struct remote_blobs *b, const struct digest *d)
{
	for (size_t i = 0; i < b->count; i++)
		if (digest_equal(&b->items[i].digest, d))
			return &b->items[i];
	return NULL;
}

/* --- writing -----------------------------------------------------------------------------------
 */

struct packer {
	ZSTD_CCtx *context; /* made when first needed: making one costs as much as using it */
	struct buf packed;
};

/* Whether zstd makes it smaller; p->packed then has it. */
static bool pack(struct packer *p, const struct remote_blob *blob)
{
	if (blob->len < WIRE_COMPRESS_MIN)
		return false;
	if (!p->context)
		p->context = ZSTD_createCCtx();
	buf_reset(&p->packed);
	buf_reserve(&p->packed, blob->len);
	/* No room for what does not shrink: zstd then gives up early. */
	size_t n = p->context ? ZSTD_compressCCtx(p->context, p->packed.data, blob->len - 1,
	                                          blob->bytes, blob->len, 1)
	                      : 0;
	if (!p->context || ZSTD_isError(n))
		return false;
	p->packed.len = n;
	return n + n / 16 < blob->len;
}

static void add_blob(struct buf *b, struct packer *p, const struct remote_blob *blob)
{
	bool packed = pack(p, blob);
	buf_add_str(b, "{\"digest\":");
	json_wire_add_digest(b, &blob->digest);
	buf_add_str(b, packed ? ",\"zstd\":\"" : ",\"bytes\":\"");
	base64_add(b, packed ? p->packed.data : blob->bytes, packed ? p->packed.len : blob->len);
	if (packed)
		buf_add_format(b, "\",\"size\":%zu}", blob->len);
	else
		buf_add_str(b, "\"}");
}

void json_wire_add_blobs(struct buf *b, const struct remote_blobs *blobs)
{
	struct packer packer = { 0 };
	buf_add_str(b, ",\"blobs\":[");
	for (size_t i = 0; i < blobs->count; i++) {
		if (i)
			buf_add_char(b, ',');
		add_blob(b, &packer, &blobs->items[i]);
	}
	buf_add_char(b, ']');
	ZSTD_freeCCtx(packer.context);
	buf_release(&packer.packed);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int too_large(struct error *err)
{
	return error_set(err, -EFBIG, "the blobs of a message are over %d bytes",
	                 REMOTE_DECODED_MAX);
}

static int unpack(const json_t *object, const struct buf *packed, struct buf *into,
                  struct error *err)
{
	uint64_t size = 0;
	int r = json_wire_number(object, "size", REMOTE_DECODED_MAX, &size, err);
	if (r < 0)
		return r;
	if (into->len + size > REMOTE_DECODED_MAX)
		return too_large(err);
	buf_reserve(into, size + 1);
	size_t n = ZSTD_decompress(into->data + into->len, size, packed->data, packed->len);
	if (ZSTD_isError(n) || n != size)
		return error_set(err, -EBADMSG, "a blob does not decompress to its %llu bytes",
		                 (unsigned long long)size);
	into->len += size;
	into->data[into->len] = '\0';
	return 0;
}

/* Appends the blob's bytes to into. */
static int read_bytes(const json_t *object, struct buf *scratch, struct buf *into,
                      struct error *err)
{
	const json_t *plain = json_object_get(object, "bytes");
	const json_t *packed = json_object_get(object, "zstd");
	const json_t *text = plain ? plain : packed;
	if (!json_is_string(text) || (plain && packed))
		return error_set(err, -EBADMSG, "a blob has neither bytes nor zstd, or both");
	size_t len = json_string_length(text);
	if (into->len + len / 4 * 3 > REMOTE_DECODED_MAX)
		return too_large(err);
	buf_reset(scratch);
	if (!base64_decode(json_string_value(text), len, plain ? into : scratch))
		return error_set(err, -EBADMSG, "a blob is no base64");
	return plain ? 0 : unpack(object, scratch, into, err);
}

static int read_blob(const json_t *object, struct buf *scratch, struct remote_blobs *out,
                     struct error *err)
{
	struct digest promised, actual;
	size_t start = out->bytes.len;
	if (!json_is_object(object))
		return error_set(err, -EBADMSG, "a blob is no object");
	int r = json_wire_digest_of(json_object_get(object, "digest"), "a blob's digest", &promised,
	                            err);
	if (r == 0)
		r = read_bytes(object, scratch, &out->bytes, err);
	if (r < 0)
		return r;
	size_t len = out->bytes.len - start;
	digest_of(&actual, out->bytes.data ? out->bytes.data + start : "", len);
	if (!digest_equal(&promised, &actual))
		return error_set(err, -EBADMSG, "what came as blob %s has digest %s",
		                 digest_hex(&promised).text, digest_hex(&actual).text);
	remote_blobs_add(out, &promised, NULL, len);
	return 0;
}

int json_wire_blobs(const json_t *object, struct remote_blobs *out, struct error *err)
{
	json_t *array = NULL;
	scoped_buf struct buf scratch = BUF_INIT;
	int r = json_wire_array(object, "blobs", REMOTE_BLOBS_MAX, &array, err);
	for (size_t i = 0; r == 0 && i < json_array_size(array); i++)
		r = read_blob(json_array_get(array, i), &scratch, out, err);
	if (r < 0) {
		remote_blobs_release(out);
		return r;
	}
	/* Only now: the buffer has moved as it grew. They lie in it one behind the other. */
	size_t offset = 0;
	for (size_t i = 0; i < out->count; i++) {
		out->items[i].bytes = out->bytes.data ? out->bytes.data + offset : "";
		offset += out->items[i].len;
	}
	return 0;
}
