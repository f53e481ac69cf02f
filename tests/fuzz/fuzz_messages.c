/* Any bytes as the payload of each message, and as frames: refused, or decoded and encoded again to
 * something that decodes. The first byte picks the message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/service/conn.h"
#include "engine/service/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_requests(int which, const char *p, size_t len)
{
	struct message_hello hello;
	struct infer_request infer;
	struct message_force force;
	struct buf again = BUF_INIT;
	if (which == 0 && message_hello_decode(p, len, &hello, NULL) == 0) {
		message_hello_encode(&again, &hello);
		message_hello_release(&hello);
		if (message_hello_decode(again.data, again.len, &hello, NULL) < 0)
			abort();
		message_hello_release(&hello);
	} else if (which == 1 && message_infer_decode(p, len, &infer, NULL) == 0) {
		message_infer_encode(&again, &infer);
		infer_request_release(&infer);
		if (message_infer_decode(again.data, again.len, &infer, NULL) < 0)
			abort();
		infer_request_release(&infer);
	} else if (which == 2 && message_force_decode(p, len, &force, NULL) == 0) {
		message_force_encode(&again, &force);
		message_force_release(&force);
		if (message_force_decode(again.data, again.len, &force, NULL) < 0)
			abort();
		message_force_release(&force);
	}
	buf_release(&again);
}

/* Answers that were decoded are encoded into again, as the service would have. */
static void try_force_answers(int which, const char *p, size_t len, struct buf *again)
{
	struct message_event event;
	struct client_force_result result;
	struct force_look look;
	uint32_t index;
	if (which == 4 && message_event_decode(p, len, &event, NULL) == 0) {
		message_event_encode(again, &event);
		message_event_release(&event);
	}
	if (which == 5 && message_result_decode(p, len, &index, &result, NULL) == 0) {
		if (result.code > 0)
			abort();
		message_result_encode(again, index, &result);
		client_force_result_release(&result);
	}
	if (which == 6 && message_look_decode(p, len, &look, NULL) == 0) {
		message_look_encode(again, &look);
		ref_release(&look.ref);
		failure_release(&look.failure);
	}
}

static void try_other_answers(int which, const char *p, size_t len, struct buf *again)
{
	struct infer_answer answer;
	struct client_service_info info;
	struct client_bill bill;
	struct force_estimate estimate;
	struct error err = ERROR_INIT;
	if (which == 12 && message_bill_decode(p, len, &bill, NULL) == 0) {
		message_bill_encode(again, &bill);
		client_bill_release(&bill);
	}
	if (which == 13 && message_estimate_decode(p, len, &estimate, NULL) == 0)
		message_estimate_encode(again, &estimate);
	if (which == 3 && message_infer_answer_decode(p, len, &answer, NULL) == 0) {
		message_infer_answer_encode(again, &answer);
		infer_answer_release(&answer);
	}
	if (which == 7 && message_info_decode(p, len, &info, NULL) == 0) {
		message_info_encode(again, &info);
		client_service_info_release(&info);
	}
	if (which == 8 && message_error_decode(p, len, &err) >= 0)
		abort();
}

static void try_answers(int which, const char *p, size_t len)
{
	struct buf again = BUF_INIT, thrice = BUF_INIT;
	try_force_answers(which, p, len, &again);
	try_other_answers(which, p, len, &again);
	if (again.len) {
		try_force_answers(which, again.data, again.len, &thrice);
		try_other_answers(which, again.data, again.len, &thrice);
		if (thrice.len != again.len || memcmp(thrice.data, again.data, again.len) != 0)
			abort();
	}
	buf_release(&again);
	buf_release(&thrice);
}

/* The bytes as they would come over a socket: every frame found lies within them. */
static void try_frames(const char *p, size_t len)
{
	struct conn c;
	struct wire_header header;
	const char *payload;
	size_t size, taken = 0;
	conn_init(&c, -1);
	buf_add(&c.in, p, len);
	while (conn_next(&c, &header, &payload, &size, NULL) == 1) {
		taken += WIRE_HEADER_SIZE + size;
		if (taken > len || size > WIRE_FRAME_MAX || header.flags != 0)
			abort();
	}
	conn_release(&c);
}

static void try_others(int which, const char *p, size_t len)
{
	struct log_record record;
	struct wire_header header;
	struct wire_reader r = wire_reader(p, len);
	if (which == 9) {
		message_log_record_read(&r, &record);
		log_record_release(&record);
	}
	if (which == 10 && len >= WIRE_HEADER_SIZE && wire_header_decode(p, &header) &&
	    header.length > WIRE_FRAME_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	int which = data[0] % 14;
	const char *p = (const char *)data + 1;
	try_requests(which, p, size - 1);
	try_answers(which, p, size - 1);
	try_others(which, p, size - 1);
	if (which == 11)
		try_frames(p, size - 1);
	return 0;
}
