#include <string.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

/* The Runtime API (Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes"). */

#define PREFIX "/2018-06-01/runtime/"

static void fault(struct web_request *r, unsigned status, const char *type, const char *message)
{
	answer_json(r, status, json_pack("{s:s,s:s}", "errorMessage", message, "errorType", type));
}

static void accepted(struct web_request *r)
{
	answer_json(r, 202, json_pack("{s:s}", "status", "OK"));
}

static void respond(struct instance *i, struct web_request *r, bool error)
{
	enum { ERROR_TEXT = 1024 };
	struct invocation *inv = i->invocation;
	struct service *s = i->service;
	if (r->too_large || r->body.len > ANSWER_MAX) {
		char text[ERROR_TEXT];
		snprintf(text, sizeof(text),
		         "Response payload size exceeded maximum allowed payload size (%d bytes).",
		         ANSWER_MAX);
		invocation_fail(inv, "Function.ResponseSizeTooLarge", "%s", text);
		inv->timer = NULL;
		fault(r, 413, "RequestEntityTooLarge", text);
		return;
	}
	/* A fresh look costs as much as a small invocation: not at every one. */
	enum { LOOK_AGAIN_MS = 50 };
	if (!i->rss_kib_max || now_ms() - s->looked_ms > LOOK_AGAIN_MS)
		memory_look(s);
	if (i->state == INSTANCE_DEAD || invocation_dies(inv)) {
		fault(r, 403, "InvalidStateTransition", "the function is being killed");
		return;
	}
	invocation_answer(inv, r->body.data ? r->body.data : "", r->body.len, error);
	accepted(r);
}

/* Whether the trailers of a streamed answer say that it broke off. */
static bool broke_off(const struct web_request *r)
{
	for (size_t i = 0; i < r->trailers.count; i++)
		if (strncmp(r->trailers.items[i], "lambda-runtime-function-error-", 30) == 0)
			return true;
	return false;
}

static void handle_answer(struct instance *i, struct web_request *r, const char *id)
{
	struct invocation *inv = i->invocation;
	const char *slash = strchr(id, '/');
	size_t len = slash ? (size_t)(slash - id) : 0;
	bool is_error = slash && strcmp(slash, "/error") == 0;
	if (!slash || (!is_error && strcmp(slash, "/response") != 0))
		fault(r, 404, "NotFound", "there is no such path in the Runtime API");
	else if (!inv || !inv->run_us || strlen(inv->id) != len || strncmp(inv->id, id, len) != 0)
		fault(r, 400, "InvalidRequestID", "Invalid request ID");
	else if (inv->answered)
		fault(r, 403, "InvalidStateTransition",
		      "State transition from Ready to InvocationResponse failed for runtime. "
		      "Error: State transition is not allowed");
	else
		respond(i, r, is_error || broke_off(r));
}

static void handle_init_error(struct instance *i, struct web_request *r)
{
	struct invocation *inv = i->invocation;
	if (i->state != INSTANCE_STARTING || !inv) {
		fault(r, 403, "InvalidStateTransition",
		      "State transition from Ready to InitError failed for runtime. Error: State "
		      "transition is not allowed");
		return;
	}
	invocation_answer(inv, r->body.data ? r->body.data : "{}", r->body.len ? r->body.len : 2,
	                  true);
	/* Ends once the instance has. */
	loop_cancel(steal(&inv->timer));
	accepted(r);
	instance_kill(i);
}

void runtime_handle(void *service, struct web_request *r)
{
	static const char next[] = PREFIX "invocation/next", init_error[] = PREFIX "init/error";
	static const char invocation[] = PREFIX "invocation/";
	struct instance *i = instance_at(service, &r->address);
	bool get = strcmp(r->method, "GET") == 0, post = strcmp(r->method, "POST") == 0;
	if (!i)
		fault(r, 403, "Forbidden", "no instance of a function is at this address");
	else if (get && strcmp(r->path, next) == 0)
		instance_next(i, r);
	else if (post && strcmp(r->path, init_error) == 0)
		handle_init_error(i, r);
	else if (post && strncmp(r->path, invocation, sizeof(invocation) - 1) == 0)
		handle_answer(i, r, r->path + sizeof(invocation) - 1);
	else
		fault(r, 404, "NotFound", "there is no such path in the Runtime API");
}
