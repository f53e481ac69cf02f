#include "common/fields.h"

#include <stdlib.h>
#include <string.h>

#include "common/escape.h"

bool line_next(const char **at, const char *end, const char **line, const char **line_end)
{
	const char *newline = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
	if (!newline)
		return false;
	*line = *at;
	*line_end = newline;
	*at = newline + 1;
	return true;
}

/* Where the field that starts at `at` ends. */
static const char *field_end(const char *at, const char *end)
{
	const char *space = at < end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
	return space ? space : end;
}

bool field_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
		return false;
	if (*at + len != end && (*at)[len] != ' ')
		return false;
	*at += len;
	return true;
}

bool field_space(const char **at, const char *end)
{
	if (end - *at < 2 || (*at)[0] != ' ' || (*at)[1] == ' ')
		return false;
	(*at)++;
	return true;
}

char *field_string(const char **at, const char *end)
{
	const char *stop = field_end(*at, end);
	char *text = escape_decode(*at, (size_t)(stop - *at));
	if (text)
		*at = stop;
	return text;
}

char *field_path(const char **at, const char *end)
{
	const char *cursor = *at;
	char *path = field_string(&cursor, end);
	if (path && path_is_normal(path)) {
		*at = cursor;
		return path;
	}
	free(path);
	return NULL;
}

bool field_number(const char **at, const char *end, uint64_t *out)
{
	const char *stop = field_end(*at, end);
	const char *c = *at;
	if (c == stop || (*c == '0' && stop - c > 1))
		return false;
	uint64_t value = 0;
	for (; c < stop; c++) {
		unsigned digit = (unsigned char)*c - '0';
		if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	*at = stop;
	return true;
}
