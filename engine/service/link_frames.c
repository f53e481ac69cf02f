#include <errno.h>

#include "engine/service/link_impl.h"

/* A service that answers something else than was asked; the request is answered all the same. */
static void answer_nonsense(struct asked *a)
{
	if (a->kind == ASKED_FORCE)
		link_answer_force(a, -EIO, NULL, "the service answered with something else", NULL,
		                  false);
	else
		link_answer_look(a, -EBADMSG, NULL);
}

static void on_result(struct link *l, uint32_t id, const char *payload, size_t len)
{
	uint32_t index;
	struct client_force_result result;
	struct asked *a = link_take(l, id);
	if (!a)
		return;
	if (a->kind != ASKED_FORCE ||
	    message_result_decode(payload, len, &index, &result, NULL) < 0) {
		answer_nonsense(a);
		return;
	}
	link_answer_force(a, result.code, &result.ref, result.reason, &result.failed,
	                  result.memoised);
	client_force_result_release(&result);
}

static void on_look(struct link *l, uint32_t id, const char *payload, size_t len)
{
	struct force_look look;
	struct asked *a = link_take(l, id);
	if (!a)
		return;
	if (a->kind != ASKED_LOOK || message_look_decode(payload, len, &look, NULL) < 0) {
		answer_nonsense(a);
		return;
	}
	link_answer_look(a, 0, &look);
	force_look_release(&look);
}

static void on_error(struct link *l, uint32_t id, const char *payload, size_t len)
{
	struct error err = ERROR_INIT;
	int code = message_error_decode(payload, len, &err);
	struct asked *a = link_take(l, id);
	if (!a)
		return;
	if (a->kind == ASKED_FORCE)
		link_answer_force(a, code, NULL, err.text, NULL, false);
	else
		link_answer_look(a, code, NULL);
}

static void on_settled(struct link *l, const char *payload, size_t len)
{
	struct wire_reader in = wire_reader(payload, len);
	struct digest thunk;
	wire_get_digest(&in, &thunk);
	int code = wire_get_int(&in);
	if (wire_done(&in, NULL) == 0 && l->options.settled)
		l->options.settled(l->options.arg, &thunk, code);
}

void link_on_frame(struct link *l, const struct wire_header *header, const char *payload,
                   size_t len)
{
	if (header->type == MESSAGE_RESULT)
		on_result(l, header->id, payload, len);
	else if (header->type == MESSAGE_ANSWER)
		on_look(l, header->id, payload, len);
	else if (header->type == MESSAGE_ERROR)
		on_error(l, header->id, payload, len);
	else if (header->type == MESSAGE_SETTLED)
		on_settled(l, payload, len);
	else if (header->type == MESSAGE_GOING)
		l->quiet = true;
}
