#include "engine/service/messages.h"

#include <errno.h>

static bool get_bool(struct wire_reader *r)
{
	uint8_t v = wire_get_u8(r);
	if (v > 1)
		r->failed = true;
	return v == 1;
}

void message_hello_encode(struct buf *b, const struct message_hello *m)
{
	wire_u32(b, m->protocol);
	wire_u32(b, m->pid);
	wire_string(b, m->version);
	wire_string(b, m->store);
}

/* A greeting may grow in later protocols: what follows the known fields is not looked at. */
int message_hello_decode(const char *p, size_t len, struct message_hello *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct message_hello){ 0 };
	m->protocol = wire_get_u32(&r);
	m->pid = wire_get_u32(&r);
	m->version = wire_get_string(&r);
	m->store = wire_get_string(&r);
	r.at = r.end;
	int code = wire_done(&r, err);
	if (code < 0)
		message_hello_release(m);
	return code;
}

void message_hello_release(struct message_hello *m)
{
	free(m->version);
	free(m->store);
	*m = (struct message_hello){ 0 };
}

void message_infer_encode(struct buf *b, const struct infer_request *m)
{
	wire_strings(b, &m->argv);
	wire_strings(b, &m->env);
	wire_string(b, m->cwd);
	wire_string(b, m->tool);
	wire_u32(b, (uint32_t)m->umask);
	wire_u8(b, m->inside_tool);
	wire_strings(b, &m->eager);
	wire_u8(b, m->discovered);
	wire_bytes(b, m->discovery, m->discovery ? m->discovery_len : 0);
	wire_i64(b, m->discovery_status);
}

int message_infer_decode(const char *p, size_t len, struct infer_request *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct infer_request){ 0 };
	wire_get_strings(&r, &m->argv);
	wire_get_strings(&r, &m->env);
	m->cwd = wire_get_string(&r);
	m->tool = wire_get_string(&r);
	m->umask = wire_get_u32(&r) & 0777;
	m->inside_tool = get_bool(&r);
	wire_get_strings(&r, &m->eager);
	m->discovered = get_bool(&r);
	m->discovery = wire_get_bytes(&r, &m->discovery_len);
	m->discovery_status = wire_get_int(&r);
	if (m->argv.count == 0 || m->cwd[0] != '/' || m->tool[0] != '/')
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0)
		infer_request_release(m);
	return code;
}

void message_infer_answer_encode(struct buf *b, const struct infer_answer *m)
{
	wire_u8(b, (uint8_t)m->kind);
	wire_string(b, m->reason);
	wire_strings(b, &m->argv);
	wire_u32(b, (uint32_t)m->file_count);
	for (size_t i = 0; i < m->file_count; i++) {
		wire_string(b, m->files[i].path);
		wire_u32(b, (uint32_t)m->files[i].mode);
		wire_bytes(b, m->files[i].bytes, m->files[i].len);
	}
	wire_i64(b, m->exit_status);
	wire_u8(b, m->has_thunk);
	wire_digest(b, &m->thunk);
}

int message_infer_answer_decode(const char *p, size_t len, struct infer_answer *m,
                                struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct infer_answer){ .kind = (enum infer_kind)wire_get_u8(&r) };
	m->reason = wire_get_string(&r);
	wire_get_strings(&r, &m->argv);
	uint32_t count = wire_get_u32(&r);
	for (uint32_t i = 0; i < count && !r.failed; i++) {
		array_grow(m->files, m->file_count, m->file_capacity);
		struct infer_file *file = &m->files[m->file_count++];
		file->path = wire_get_string(&r);
		file->mode = wire_get_u32(&r) & 07777;
		file->bytes = wire_get_bytes(&r, &file->len);
	}
	m->exit_status = wire_get_int(&r);
	m->has_thunk = get_bool(&r);
	wire_get_digest(&r, &m->thunk);
	if (m->kind > INFER_RECORDED || (m->kind == INFER_DISCOVER && m->argv.count == 0))
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0)
		infer_answer_release(m);
	return code;
}

void message_force_encode(struct buf *b, const struct message_force *m)
{
	wire_u32(b, (uint32_t)m->count);
	for (size_t i = 0; i < m->count; i++)
		wire_ref(b, &m->refs[i]);
	wire_u32(b, m->jobs);
	wire_string(b, m->engine);
	wire_string(b, m->asker);
	/* Who can wait for a year can wait for ever. */
	wire_i64(b, m->deadline_ms > MESSAGE_DEADLINE_MAX_MS ? 0 : m->deadline_ms);
	wire_u8(b, m->priority);
	wire_u8(b, m->keep_going);
	wire_u8(b, m->events);
	wire_u8(b, m->local_only);
	wire_u8(b, m->leave_far);
	wire_u64(b, m->budget_nanodollars);
}

int message_force_decode(const char *p, size_t len, struct message_force *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct message_force){ 0 };
	uint32_t count = wire_get_u32(&r);
	size_t capacity = 0;
	if (count > MESSAGE_REFS_MAX)
		r.failed = true;
	for (uint32_t i = 0; i < count && !r.failed; i++) {
		array_grow(m->refs, m->count, capacity);
		wire_get_ref(&r, &m->refs[m->count++]);
	}
	m->jobs = wire_get_u32(&r);
	m->engine = wire_get_string(&r);
	m->asker = wire_get_string(&r);
	m->deadline_ms = wire_get_i64(&r);
	m->priority = wire_get_u8(&r);
	m->keep_going = get_bool(&r);
	m->events = get_bool(&r);
	m->local_only = get_bool(&r);
	m->leave_far = get_bool(&r);
	m->budget_nanodollars = wire_get_u64(&r);
	if (m->priority > PRIORITY_READER || m->deadline_ms < 0 ||
	    m->deadline_ms > MESSAGE_DEADLINE_MAX_MS)
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0)
		message_force_release(m);
	return code;
}

void message_force_release(struct message_force *m)
{
	for (size_t i = 0; i < m->count; i++)
		ref_release(&m->refs[i]);
	free(m->refs);
	free(m->engine);
	free(m->asker);
	*m = (struct message_force){ 0 };
}

void message_counts_encode(struct buf *b, const struct force_counts *c)
{
	wire_u64(b, c->queued);
	wire_u64(b, c->running);
	wire_u64(b, c->done);
	wire_u64(b, c->failed);
	wire_u64(b, c->memoised);
	wire_u64(b, c->cost_nanodollars);
}

struct force_counts message_counts_read(struct wire_reader *r)
{
	struct force_counts c;
	c.queued = wire_get_u64(r);
	c.running = wire_get_u64(r);
	c.done = wire_get_u64(r);
	c.failed = wire_get_u64(r);
	c.memoised = wire_get_u64(r);
	c.cost_nanodollars = wire_get_u64(r);
	return c;
}

void message_event_encode(struct buf *b, const struct message_event *m)
{
	message_counts_encode(b, &m->counts);
	wire_u8(b, m->has_event);
	wire_u8(b, (uint8_t)m->event.kind);
	wire_digest(b, &m->event.thunk);
	wire_string(b, m->event.label);
	wire_string(b, m->event.stderr_tail);
}

int message_event_decode(const char *p, size_t len, struct message_event *m, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	*m = (struct message_event){ .counts = message_counts_read(&r) };
	m->has_event = get_bool(&r);
	m->event.kind = wire_get_u8(&r);
	wire_get_digest(&r, &m->event.thunk);
	m->event.label = wire_get_string(&r);
	m->event.stderr_tail = wire_get_string(&r);
	if (m->event.kind > FORCE_EVENT_KNOWN)
		r.failed = true;
	int code = wire_done(&r, err);
	if (code < 0)
		message_event_release(m);
	return code;
}

void message_event_release(struct message_event *m)
{
	free((void *)(uintptr_t)m->event.label);
	free((void *)(uintptr_t)m->event.stderr_tail);
	*m = (struct message_event){ 0 };
}

void message_error_encode(struct buf *b, int code, const char *text)
{
	wire_i64(b, code);
	wire_string(b, text);
}

int message_error_decode(const char *p, size_t len, struct error *err)
{
	struct wire_reader r = wire_reader(p, len);
	int64_t code = wire_get_i64(&r);
	scoped_free char *text = wire_get_string(&r);
	if (code >= 0 || code < -4095)
		r.failed = true;
	int bad = wire_done(&r, err);
	return bad < 0 ? bad : error_set(err, (int)code, "%s", text);
}
