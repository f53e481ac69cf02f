#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/io.h"
#include "engine/service/client_impl.h"

enum { TICK_MS = 100, COMM_MAX = 64 };

/* A force as the client sees it while it waits. */
struct waiting {
	struct client *client;
	const struct client_force_options *options;
	struct client_force_result *results;
	bool *answered;
	size_t count;
	uint32_t id;
	int64_t due_ms; /* on the monotonic clock; 0: none */
	int first_failure;
	struct force_counts counts; /* as last heard */
};

void client_force_result_release(struct client_force_result *r)
{
	ref_release(&r->ref);
	free(r->reason);
	*r = (struct client_force_result){ 0 };
}

static char *asker_name(void)
{
	char name[COMM_MAX] = "";
	FILE *f = fopen("/proc/self/comm", "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	return xformat("%s[%d]", name, (int)getpid());
}

static int take_event(struct waiting *w, const char *payload, size_t len, struct error *err)
{
	struct message_event m;
	int r = message_event_decode(payload, len, &m, err);
	if (r < 0)
		return r;
	w->counts = m.counts;
	struct client_progress progress = { .counts = m.counts,
		                            .event = m.has_event ? &m.event : NULL };
	if (w->options->progress)
		w->options->progress(w->options->arg, &progress);
	message_event_release(&m);
	return 0;
}

static int take_result(struct waiting *w, const char *payload, size_t len, struct error *err)
{
	uint32_t index;
	struct client_force_result result;
	int r = message_result_decode(payload, len, &index, &result, err);
	if (r < 0)
		return r;
	if (index >= w->count) {
		client_force_result_release(&result);
		return error_set(err, -EPROTO, "the service answers what was not asked");
	}
	client_force_result_release(&w->results[index]);
	w->results[index] = result;
	w->answered[index] = true;
	if (result.code < 0 && w->first_failure == 0)
		w->first_failure = result.code;
	return 0;
}

/* The last frame may not come before the answers: 1. */
static int all_answered(const struct waiting *w, struct error *err)
{
	for (size_t i = 0; i < w->count; i++)
		if (!w->answered[i])
			return error_set(err, -EPROTO, "the service does not answer target %zu", i);
	return 1;
}

/* One frame; 1 when it was the last. */
static int take_frame(struct waiting *w, const struct wire_header *header, const char *payload,
                      size_t len, struct error *err)
{
	if (header->id != w->id)
		return 0;
	switch (header->type) {
	case MESSAGE_EVENT:
		return take_event(w, payload, len, err);
	case MESSAGE_RESULT:
		return take_result(w, payload, len, err);
	case MESSAGE_OK:
		return all_answered(w, err);
	case MESSAGE_ERROR:
		return message_error_decode(payload, len, err);
	default:
		return error_set(err, -EPROTO, "the service answers with message %u", header->type);
	}
}

/* Without waiting: it may be the service's silence that whoever interrupts has had enough of. */
static void withdraw(struct waiting *w)
{
	struct buf frame = BUF_INIT;
	wire_end(&frame, wire_begin(&frame, MESSAGE_FORCE_CANCEL, w->id));
	conn_send(&w->client->conn, &frame, -1, NULL);
}

/* Nothing has happened, but time has passed. */
static void tick(struct waiting *w)
{
	struct client_progress progress = { .counts = w->counts };
	if (w->options->progress)
		w->options->progress(w->options->arg, &progress);
}

static int wait_readable(struct waiting *w, struct error *err)
{
	for (;;) {
		int r = client_wait(w->client, POLLIN, w->options->interrupted ? TICK_MS : -1, err);
		if (r == -EINTR)
			withdraw(w);
		if (r != 0)
			return r < 0 ? r : 0;
		tick(w);
	}
}

/* Until the last frame: 0; -ECONNRESET when the connection was lost on the way. */
static int wait_for_end(struct waiting *w, struct error *err)
{
	struct conn *conn = &w->client->conn;
	for (;;) {
		struct wire_header header;
		const char *payload;
		size_t len;
		int r = conn_next(conn, &header, &payload, &len, err);
		if (r > 0)
			r = take_frame(w, &header, payload, len, err);
		else if (r == 0 && (r = wait_readable(w, err)) == 0)
			r = conn_receive(conn, err);
		if (r == 1)
			return 0;
		if (r < 0 && r != -EAGAIN)
			return r;
	}
}

/* The deadline counts from the first asking, however often it is asked again. */
static int64_t left_ms(const struct waiting *w)
{
	int64_t left = w->due_ms - now_ms();
	return w->due_ms == 0 ? 0 : left > 0 ? left : 1;
}

static void encode_request(struct waiting *w, const struct ref *refs, struct buf *frame)
{
	scoped_free char *asker = asker_name();
	struct message_force m = {
		.refs = (struct ref *)(uintptr_t)refs,
		.count = w->count,
		.jobs = w->options->jobs,
		.engine = (char *)(uintptr_t)w->options->engine,
		.asker = asker,
		.deadline_ms = left_ms(w),
		.priority = PRIORITY_BATCH,
		.keep_going = w->options->keep_going,
		.events = w->options->progress != NULL,
		.leave_far = w->options->leave_far,
		.budget_nanodollars = w->options->budget_nanodollars,
	};
	size_t mark = client_begin(w->client, frame, MESSAGE_FORCE, &w->id);
	message_force_encode(frame, &m);
	wire_end(frame, mark);
}

int client_force(struct client *c, const struct ref *refs, size_t count,
                 const struct client_force_options *options, struct client_force_result *results,
                 struct error *err)
{
	if (count > MESSAGE_REFS_MAX)
		return error_set(err, -EINVAL, "%zu targets at once are more than %d", count,
		                 MESSAGE_REFS_MAX);
	memset(results, 0, count * sizeof(*results));
	scoped_free bool *answered = xcalloc(count, sizeof(*answered));
	struct waiting w = { .client = c,
		             .options = options,
		             .results = results,
		             .answered = answered,
		             .count = count };
	if (options->deadline_ms > 0 && options->deadline_ms <= MESSAGE_DEADLINE_MAX_MS)
		w.due_ms = now_ms() + options->deadline_ms;
	c->interrupted = options->interrupted;
	int r = -ECONNRESET;
	/* Asked anew after a loss: what was done meanwhile is memoised, so nothing runs twice. */
	for (int i = 0; i < CLIENT_TRIES_MAX && r == -ECONNRESET; i++) {
		scoped_buf struct buf frame = BUF_INIT;
		w.first_failure = 0;
		memset(answered, 0, count * sizeof(*answered));
		encode_request(&w, refs, &frame);
		r = client_send(c, &frame, -1, err);
		if (r == 0)
			r = wait_for_end(&w, err);
		if (r < 0 && r != -EMSGSIZE)
			client_disconnect(c);
	}
	c->interrupted = NULL;
	if (r == -ECONNRESET)
		client_lost(c, err);
	for (size_t i = 0; r < 0 && i < count; i++)
		client_force_result_release(&results[i]);
	return r < 0 ? r : w.first_failure;
}
