#include "common/escape.h"

#include <limits.h>
#include <string.h>

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '%';
}

void escape_add(struct buf *b, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	if (!*text)
		buf_add_char(b, '%');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		const unsigned char *plain = c;
		while (is_plain(*c))
			c++;
		buf_add(b, plain, (size_t)(c - plain));
		if (!*c)
			break;
		char escaped[3] = { '%', hex[*c >> 4], hex[*c & 15] };
		buf_add(b, escaped, sizeof(escaped));
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *escape_decode(const char *field, size_t len)
{
	if (len == 1 && field[0] == '%')
		return xstrdup("");
	if (len == 0)
		return NULL;
	scoped_free char *text = xmalloc(len + 1);
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		if (field[i] != '%') {
			if (!is_plain((unsigned char)field[i]))
				return NULL;
			text[used++] = field[i];
			continue;
		}
		if (len - i < 3)
			return NULL;
		int high = hex_value(field[i + 1]), low = hex_value(field[i + 2]);
		int value = high < 0 || low < 0 ? 0 : high * 16 + low;
		if (value == 0 || is_plain((unsigned char)value))
			return NULL;
		text[used++] = (char)value;
		i += 2;
	}
	text[used] = '\0';
	return steal(&text);
}

bool path_is_normal(const char *path)
{
	size_t total = strlen(path);
	if (total == 0 || total >= PATH_MAX)
		return false;
	for (const char *c = path;;) {
		size_t len = strcspn(c, "/");
		if (len == 0 || len > NAME_MAX || (len == 1 && c[0] == '.') ||
		    (len == 2 && c[0] == '.' && c[1] == '.'))
			return false;
		c += len;
		if (!*c)
			return true;
		c++;
	}
}
