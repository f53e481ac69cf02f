#include <stdarg.h>
#include <string.h>

#include "tools/lambda_local/lambda.h"

static void begin(struct web_answer *a, unsigned status)
{
	char id[REQUEST_ID_LEN + 1];
	request_id_make(id);
	a->status = status;
	strv_add_format(&a->headers, "X-Amzn-RequestId: %s", id);
}

void answer_json(struct web_request *r, unsigned status, json_t *body)
{
	struct web_answer a = { 0 };
	scoped_free char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	begin(&a, status);
	strv_add(&a.headers, "Content-Type: application/json");
	buf_add_str(&a.body, text);
	web_answer(r, &a);
}

void answer_empty(struct web_request *r, unsigned status)
{
	struct web_answer a = { 0 };
	begin(&a, status);
	web_answer(r, &a);
}

void error_answer(struct web_answer *a, unsigned status, const char *type, const char *reason,
                  const char *message)
{
	json_t *o = json_object();
	begin(a, status);
	strv_add(&a->headers, "Content-Type: application/json");
	if (type)
		strv_add_format(&a->headers, "x-amzn-ErrorType: %s", type);
	if (status == 429)
		strv_add(&a->headers, "Retry-After: 1");
	if (reason)
		json_object_set_new(o, "Reason", json_string(reason));
	if (status != 403 && type)
		json_object_set_new(o, "Type", json_string(status < 500 ? "User" : "Service"));
	/* AWS is not of one mind about the capital. */
	const char *name = status == 404 || status >= 500 ? "Message" : "message";
	json_object_set_new(o, name, json_string(message));
	scoped_free char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	buf_add_str(&a->body, text);
}

void answer_error(struct web_request *r, unsigned status, const char *type, const char *reason,
                  const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	struct web_answer a = { 0 };
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_answer(&a, status, type, reason, text);
	web_answer(r, &a);
}
