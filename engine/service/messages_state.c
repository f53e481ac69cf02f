/* The messages that tell a state: results, looks, the log, the service itself. */
#include "engine/service/messages.h"

#include <errno.h>

void message_result_encode(struct buf *b, uint32_t index, const struct client_force_result *m)
{
	wire_u32(b, index);
	wire_i64(b, m->code);
	wire_ref(b, &m->ref);
	wire_string(b, m->reason);
	wire_digest(b, &m->failed);
	wire_u8(b, m->memoised);
}

int message_result_decode(const char *p, size_t len, uint32_t *index, struct client_force_result *m,
                          struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*index = wire_get_u32(&r);
	*m = (struct client_force_result){ .code = wire_get_int(&r) };
	wire_get_ref(&r, &m->ref);
	m->reason = wire_get_string(&r);
	wire_get_digest(&r, &m->failed);
	m->memoised = wire_get_u8(&r) != 0;
	if (m->code > 0)
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0)
		client_force_result_release(m);
	return code;
}

static void failure_encode(struct buf *b, const struct failure *f)
{
	wire_digest(b, &f->thunk);
	wire_i64(b, f->code);
	wire_i64(b, f->exit_status);
	wire_i64(b, f->when_ns);
	wire_i64(b, f->until_ns);
	wire_string(b, f->reason);
	wire_string(b, f->stderr_tail);
	wire_string(b, f->engine);
}

static void failure_read(struct wire_reader *r, struct failure *f)
{
	wire_get_digest(r, &f->thunk);
	f->code = wire_get_int(r);
	f->exit_status = wire_get_int(r);
	f->when_ns = wire_get_i64(r);
	f->until_ns = wire_get_i64(r);
	f->reason = wire_get_string(r);
	f->stderr_tail = wire_get_string(r);
	f->engine = wire_get_string(r);
}

void message_look_encode(struct buf *b, const struct force_look *m)
{
	wire_u8(b, (uint8_t)m->state);
	wire_u64(b, m->size_guess);
	wire_u8(b, m->local);
	if (m->state == STATE_READY)
		wire_ref(b, &m->ref);
	if (m->state == STATE_FAILED)
		failure_encode(b, &m->failure);
}

int message_look_decode(const char *p, size_t len, struct force_look *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct force_look){ .state = (enum force_state)wire_get_u8(&r) };
	m->size_guess = wire_get_u64(&r);
	m->local = wire_get_u8(&r) != 0;
	if (m->state == STATE_READY)
		wire_get_ref(&r, &m->ref);
	else if (m->state == STATE_FAILED)
		failure_read(&r, &m->failure);
	else if (m->state > STATE_FAILED)
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0) {
		ref_release(&m->ref);
		failure_release(&m->failure);
		*m = (struct force_look){ 0 };
	}
	return code;
}

void message_estimate_encode(struct buf *b, const struct force_estimate *m)
{
	wire_u64(b, m->to_run);
	wire_u64(b, m->unknown);
	wire_u64(b, m->known);
	wire_u64(b, m->micros);
	wire_u64(b, m->nanodollars);
	wire_u64(b, m->spent_micros);
	wire_u64(b, m->spent_nanodollars);
	wire_u8(b, m->is_cut);
}

int message_estimate_decode(const char *p, size_t len, struct force_estimate *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	m->to_run = wire_get_u64(&r);
	m->unknown = wire_get_u64(&r);
	m->known = wire_get_u64(&r);
	m->micros = wire_get_u64(&r);
	m->nanodollars = wire_get_u64(&r);
	m->spent_micros = wire_get_u64(&r);
	m->spent_nanodollars = wire_get_u64(&r);
	m->is_cut = wire_get_u8(&r) != 0;
	return wire_done(&r, err);
}

/* The numbers of a bill, in the order in which they travel. */
#define BILL_NUMBERS(t)                                                                            \
	{                                                                                          \
		&(t)->spent, &(t)->in_flight, &(t)->invocations, &(t)->failed, &(t)->duplicated,   \
		        &(t)->throttled, &(t)->retried, &(t)->billed_ms, &(t)->cold_starts,        \
		        &(t)->far_puts, &(t)->far_gets, &(t)->far_sent_bytes,                      \
		        &(t)->far_received_bytes                                                   \
	}

void message_bill_encode(struct buf *b, const struct client_bill *m)
{
	const uint64_t *const numbers[] = BILL_NUMBERS(&m->totals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		wire_u64(b, *numbers[i]);
	wire_string(b, m->prices_date);
	wire_string(b, m->far_url);
	wire_u8(b, m->far_paused);
}

int message_bill_decode(const char *p, size_t len, struct client_bill *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct client_bill){ 0 };
	uint64_t *const numbers[] = BILL_NUMBERS(&m->totals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		*numbers[i] = wire_get_u64(&r);
	m->prices_date = wire_get_string(&r);
	m->far_url = wire_get_string(&r);
	m->far_paused = wire_get_u8(&r) != 0;
	int code = wire_done(&r, err);
	if (code < 0)
		client_bill_release(m);
	return code;
}

void message_info_encode(struct buf *b, const struct client_service_info *m)
{
	wire_u32(b, (uint32_t)m->pid);
	wire_string(b, m->version);
	wire_string(b, m->store);
	wire_string(b, m->engine);
	wire_u32(b, m->jobs);
	message_counts_encode(b, &m->counts);
	wire_strings(b, &m->mounts);
}

int message_info_decode(const char *p, size_t len, struct client_service_info *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct client_service_info){ .pid = (int)wire_get_u32(&r) };
	m->version = wire_get_string(&r);
	m->store = wire_get_string(&r);
	m->engine = wire_get_string(&r);
	m->jobs = wire_get_u32(&r);
	m->counts = message_counts_read(&r);
	wire_get_strings(&r, &m->mounts);
	int code = wire_done(&r, err);
	if (code < 0)
		client_service_info_release(m);
	return code;
}

void message_log_record_encode(struct buf *b, const struct log_record *m)
{
	wire_i64(b, m->when_ns);
	wire_digest(b, &m->thunk);
	wire_string(b, m->label);
	wire_string(b, m->asker);
	wire_string(b, m->engine);
	wire_u64(b, m->micros);
	wire_i64(b, m->code);
	wire_u8(b, m->memoised);
	wire_string(b, m->stderr_tail);
	wire_u64(b, m->cost_nanodollars);
}

void message_log_record_read(struct wire_reader *r, struct log_record *m)
{
	*m = (struct log_record){ .when_ns = wire_get_i64(r) };
	wire_get_digest(r, &m->thunk);
	m->label = wire_get_string(r);
	m->asker = wire_get_string(r);
	m->engine = wire_get_string(r);
	m->micros = wire_get_u64(r);
	m->code = wire_get_int(r);
	m->memoised = wire_get_u8(r) != 0;
	m->stderr_tail = wire_get_string(r);
	m->cost_nanodollars = wire_get_u64(r);
}
