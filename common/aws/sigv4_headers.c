#include "common/aws/sigv4_private.h"

#include <ctype.h>
#include <string.h>

void sigv4_headers_release(struct sigv4_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].name);
		free(h->items[i].value);
	}
	free(h->items);
	*h = (struct sigv4_headers){ 0 };
}

/* Without space at its ends, and one space for several inside. */
static char *trimmed(const char *value)
{
	scoped_buf struct buf b = BUF_INIT;
	for (const char *at = value; *at; at++) {
		if (!isspace((unsigned char)*at)) {
			if (at > value && b.len && isspace((unsigned char)at[-1]))
				buf_add_char(&b, ' ');
			buf_add_char(&b, *at);
		}
	}
	return buf_steal(&b, NULL);
}

void sigv4_headers_add(struct sigv4_headers *h, const char *name, size_t name_len,
                       const char *value)
{
	array_grow(h->items, h->count, h->capacity);
	struct sigv4_header *header = &h->items[h->count];
	*header = (struct sigv4_header){ .name = xstrndup(name, name_len),
		                         .value = trimmed(value),
		                         .order = h->count };
	for (char *at = header->name; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	h->count++;
}

void sigv4_headers_add_line(struct sigv4_headers *h, const char *line)
{
	const char *colon = strchr(line, ':');
	if (colon)
		sigv4_headers_add(h, line, (size_t)(colon - line), colon + 1);
}

static int compare(const void *left, const void *right)
{
	const struct sigv4_header *a = left, *b = right;
	int r = strcmp(a->name, b->name);
	if (r)
		return r;
	return a->order < b->order ? -1 : 1;
}

void sigv4_headers_sort(struct sigv4_headers *h)
{
	if (h->count)
		qsort(h->items, h->count, sizeof(*h->items), compare);
}

void sigv4_signed_names(const struct sigv4_headers *h, struct buf *b)
{
	for (size_t i = 0; i < h->count; i++) {
		if (i && strcmp(h->items[i - 1].name, h->items[i].name) == 0)
			continue;
		buf_add_format(b, "%s%s", i ? ";" : "", h->items[i].name);
	}
}
