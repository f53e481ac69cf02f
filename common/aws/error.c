#include <jansson.h>
#include <string.h>

#include "common/aws/client.h"
#include "common/aws/xml.h"

enum { MESSAGE_MAX = 512 };

/* A name of an error without its namespace ("com.amazonaws.x#Name") and what may follow
 * ("Name:http://..."). */
static char *plain_code(const char *text)
{
	const char *hash = strrchr(text, '#');
	if (hash)
		text = hash + 1;
	return xstrndup(text, strcspn(text, ":"));
}

static const char *member(const json_t *object, const char *a, const char *b, const char *c)
{
	const char *const names[] = { a, b, c };
	for (size_t i = 0; i < 3; i++) {
		const char *text = json_string_value(json_object_get(object, names[i]));
		if (text)
			return text;
	}
	return NULL;
}

static void parse_json(const struct buf *body, char **code, char **message)
{
	json_t *object = json_loadb(body->data, body->len, 0, NULL);
	const char *text = member(object, "__type", "code", "Code");
	if (text && !*code)
		*code = plain_code(text);
	text = member(object, "message", "Message", "errorMessage");
	if (text)
		*message = xstrdup(text);
	json_decref(object);
}

static void parse_xml(const struct buf *body, char **code, char **message)
{
	static const char *const names[] = { "Code", "Message" };
	char *values[2];
	xml_texts(body->data, body->len, names, 2, values);
	if (*code)
		free(values[0]);
	else
		*code = values[0];
	*message = values[1];
}

/* What a server says is shown to people: no control characters, and not too much. */
static void tame(char *text)
{
	size_t len = 0;
	for (; text[len] && len < MESSAGE_MAX; len++)
		if ((unsigned char)text[len] < ' ' || text[len] == 0x7f)
			text[len] = ' ';
	/* Not in the middle of a character. */
	if (text[len])
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	text[len] = '\0';
}

void aws_error_parse(const struct http_response *r, char **code, char **message)
{
	*code = *message = NULL;
	const char *type = http_header(r, "x-amzn-errortype");
	if (type)
		*code = plain_code(type);
	if (r->body.len) {
		size_t space = strspn(r->body.data, " \t\r\n");
		if (r->body.data[space] == '<')
			parse_xml(&r->body, code, message);
		else
			parse_json(&r->body, code, message);
	}
	if (!*code)
		*code = r->code < 0 ? xstrdup("none") : xformat("HTTP %d", r->status);
	if (!*message)
		*message = xstrdup(r->code < 0 && r->reason ? r->reason : "(no message)");
	tame(*code);
	tame(*message);
}
