#include "engine/remote/wire_impl.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *b, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	buf_reserve(b, (len + 2) / 3 * 4 + 1);
	char *out = b->data + b->len;
	size_t i = 0;
	for (; i + 2 < len; i += 3) {
		uint32_t three = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
		*out++ = alphabet[three >> 18];
		*out++ = alphabet[three >> 12 & 63];
		*out++ = alphabet[three >> 6 & 63];
		*out++ = alphabet[three & 63];
	}
	if (i < len) {
		bool two = i + 1 < len;
		uint32_t rest = (uint32_t)in[i] << 16 | (two ? (uint32_t)in[i + 1] << 8 : 0);
		*out++ = alphabet[rest >> 18];
		*out++ = alphabet[rest >> 12 & 63];
		*out++ = two ? alphabet[rest >> 6 & 63] : '=';
		*out++ = '=';
	}
	*out = '\0';
	b->len = (size_t)(out - b->data);
}

/* 0 to 63, or 64 for what is no digit. Without a table, so that there is none to be built. */
static uint32_t digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool base64_decode(const char *text, size_t len, struct buf *b)
{
	if (len % 4 != 0)
		return false;
	size_t pad = len && text[len - 1] == '=' ? 1 + (text[len - 2] == '=') : 0;
	buf_reserve(b, len / 4 * 3 + 1);
	uint8_t *out = (uint8_t *)b->data + b->len;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t four = 0, bad = 0;
		size_t padded = i + 4 == len ? pad : 0;
		for (size_t j = 0; j < 4 - padded; j++) {
			uint32_t d = digit(text[i + j]);
			bad |= d & 64;
			four |= d << (18 - 6 * j);
		}
		/* What the padding cut off must be zero: one spelling for each run of bytes. */
		if (bad || (padded == 1 && four & 0xff) || (padded == 2 && four & 0xffff))
			return false;
		*out++ = (uint8_t)(four >> 16);
		if (padded < 2)
			*out++ = (uint8_t)(four >> 8);
		if (padded < 1)
			*out++ = (uint8_t)four;
	}
	*out = '\0';
	b->len = (size_t)((char *)out - b->data);
	return true;
}
