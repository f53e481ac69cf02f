#include "common/base64.h"

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
static uint32_t digit(char c, const char last[2])
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == last[0] ? 62 : c == last[1] ? 63 : 64;
}

/* last: the digits 62 and 63. */
static bool decode(const char *text, size_t digits, const char last[2], struct buf *b)
{
	if (digits % 4 == 1)
		return false;
	buf_reserve(b, digits / 4 * 3 + 3);
	uint8_t *out = (uint8_t *)b->data + b->len;
	for (size_t i = 0; i < digits; i += 4) {
		uint32_t four = 0, bad = 0;
		size_t here = digits - i < 4 ? digits - i : 4;
		for (size_t j = 0; j < here; j++) {
			uint32_t d = digit(text[i + j], last);
			bad |= d & 64;
			four |= d << (18 - 6 * j);
		}
		if (bad || (here == 3 && four & 0xff) || (here == 2 && four & 0xffff)) {
			b->data[b->len] = '\0';
			return false;
		}
		*out++ = (uint8_t)(four >> 16);
		if (here > 2)
			*out++ = (uint8_t)(four >> 8);
		if (here > 3)
			*out++ = (uint8_t)four;
	}
	*out = '\0';
	b->len = (size_t)((char *)out - b->data);
	return true;
}

bool base64_decode(const char *text, size_t len, struct buf *b)
{
	if (len % 4 != 0)
		return false;
	size_t padding = len && text[len - 1] == '=' ? 1 + (text[len - 2] == '=') : 0;
	return decode(text, len - padding, "+/", b);
}

bool base64url_decode(const char *text, size_t len, struct buf *b)
{
	return decode(text, len, "-_", b);
}
