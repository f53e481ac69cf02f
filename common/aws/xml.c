#include "common/aws/xml.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

struct reader {
	const char *const *names;
	size_t count;
	char **values;
	size_t taking; /* count: none */
	struct buf text;
};

/* What comes before a ':' is a namespace's prefix. */
static const char *local_name(const XML_Char *name)
{
	const char *colon = strrchr(name, ':');
	return colon ? colon + 1 : name;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	(void)attributes;
	struct reader *r = arg;
	r->taking = r->count;
	for (size_t i = 0; i < r->count; i++)
		if (!r->values[i] && strcmp(local_name(name), r->names[i]) == 0)
			r->taking = i;
	buf_reset(&r->text);
}

static void on_text(void *arg, const XML_Char *text, int len)
{
	struct reader *r = arg;
	if (r->taking < r->count && r->text.len + (size_t)len <= XML_TEXT_MAX)
		buf_add(&r->text, text, (size_t)len);
}

static void on_end(void *arg, const XML_Char *name)
{
	(void)name;
	struct reader *r = arg;
	if (r->taking < r->count)
		r->values[r->taking] = buf_steal(&r->text, NULL);
	r->taking = r->count;
}

bool xml_texts(const char *text, size_t len, const char *const *names, size_t count, char **values)
{
	struct reader r = { .names = names, .count = count, .values = values, .taking = count };
	memset(values, 0, count * sizeof(*values));
	XML_Parser parser = XML_ParserCreate(NULL);
	if (!parser)
		abort();
	XML_SetUserData(parser, &r);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	bool sound = len <= INT_MAX && XML_Parse(parser, text, (int)len, 1) == XML_STATUS_OK;
	XML_ParserFree(parser);
	buf_release(&r.text);
	return sound;
}
