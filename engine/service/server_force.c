#include <errno.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/server_impl.h"

enum { COUNTS_LATER_MS = 20 };

/* One target of a force. */
struct target {
	struct peer_force *owner;
	uint32_t index;
	struct force *force; /* NULL once answered */
	bool answered;
};

/* One MESSAGE_FORCE: several targets, one end. */
struct peer_force {
	struct peer *peer;
	struct peer_force *next;
	uint32_t id;
	bool keep_going, events;
	char *engines;
	bool local_only;
	struct purse *purse; /* NULL: no budget */
	bool starting;       /* more targets are still being started: not the end yet */
	struct force_counts before;
	struct target *targets;
	size_t count, left;
};

static void unlink_force(struct peer_force *f)
{
	struct peer_force **at = &f->peer->forces;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
}

static void force_free(struct peer_force *f)
{
	unlink_force(f);
	purse_unshare(f->purse);
	free(f->engines);
	free(f->targets);
	free(f);
}

static void withdraw_targets(struct peer_force *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->targets[i].force)
			force_cancel(steal(&f->targets[i].force));
}

static void send_result(struct peer_force *f, uint32_t index,
                        const struct client_force_result *result)
{
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_RESULT, f->id);
	message_result_encode(&frame, index, result);
	wire_end(&frame, mark);
	peer_send(f->peer, &frame, -1);
}

/* Of everything: failed and doubled invocations, and requests to the far store, as well. */
static uint64_t spent_so_far(struct server *s)
{
	struct ledger_totals totals;
	const char *url, *date;
	bool paused;
	cloud_bill(s->cloud, &totals, &url, &date, &paused);
	return totals.spent;
}

static struct force_counts counts_now(struct server *s)
{
	struct force_counts counts;
	forcer_counts(s->forcer, &counts);
	counts.cost_nanodollars = spent_so_far(s);
	return counts;
}

static void send_counts(struct peer_force *f, const struct force_event *event)
{
	struct message_event m = { .has_event = event != NULL };
	if (event)
		m.event = *event;
	struct server *s = f->peer->server;
	m.counts = counts_now(s);
	m.counts.done -= f->before.done;
	m.counts.failed -= f->before.failed;
	m.counts.memoised -= f->before.memoised;
	m.counts.cost_nanodollars -= f->before.cost_nanodollars;
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_EVENT, f->id);
	message_event_encode(&frame, &m);
	wire_end(&frame, mark);
	peer_send(f->peer, &frame, -1);
}

static void end_if_done(struct peer_force *f)
{
	if (f->left > 0 || f->starting)
		return;
	if (f->events)
		send_counts(f, NULL);
	peer_send_ok(f->peer, f->id, -1);
	force_free(f);
}

static void answer_target(struct target *t, const struct client_force_result *result)
{
	t->force = NULL;
	t->answered = true;
	t->owner->left--;
	send_result(t->owner, t->index, result);
}

/* Without keep_going the first failure is the end of the others that have not been answered. */
static void give_up_others(struct peer_force *f)
{
	struct client_force_result untried = {
		.code = -ECANCELED,
		.reason = (char *)(uintptr_t) "given up because another target failed "
		                              "(--keep-going goes on)",
	};
	withdraw_targets(f);
	for (size_t i = 0; i < f->count; i++)
		if (!f->targets[i].answered)
			answer_target(&f->targets[i], &untried);
}

static void target_done(void *arg, const struct force_answer *answer)
{
	struct target *t = arg;
	struct peer_force *f = t->owner;
	struct client_force_result result = {
		.code = answer->code,
		.reason = (char *)(uintptr_t)answer->reason,
		.failed = answer->failed,
		.memoised = answer->memoised,
	};
	if (answer->code == 0)
		result.ref = *answer->ref;
	answer_target(t, &result);
	if (answer->code < 0 && !f->keep_going)
		give_up_others(f);
	end_if_done(f);
}

static void start_target(struct peer_force *f, uint32_t index, const struct message_force *m)
{
	struct target *t = &f->targets[index];
	struct error err = ERROR_INIT;
	struct force_request request = {
		.ref = m->refs[index],
		.priority = (enum force_priority)m->priority,
		.deadline_ms = m->deadline_ms,
		.keep_going = m->keep_going,
		.asker = m->asker,
		.engines = f->engines,
		.local_only = f->local_only,
		.leave_far = m->leave_far,
		.purse = f->purse,
		.done = target_done,
		.arg = t,
	};
	if (t->answered)
		return;
	int r = force_start(f->peer->server->forcer, &request, &t->force, &err);
	if (r == 0)
		return;
	struct client_force_result result = { .code = r, .reason = err.text };
	answer_target(t, &result);
	if (!f->keep_going)
		give_up_others(f);
}

/* --- budgets ------------------------------------------------------------------------------------
 */

/* A mount's budget is one for all that is read in it; the last word on its height counts. */
static struct purse *purse_of_mount(struct server *s, const char *mountpoint, uint64_t limit)
{
	struct mount_purse *at = s->purses;
	while (at && strcmp(at->mountpoint, mountpoint) != 0)
		at = at->next;
	if (!at) {
		at = xcalloc(1, sizeof(*at));
		at->mountpoint = xstrdup(mountpoint);
		at->purse = purse_new(limit);
		at->next = s->purses;
		s->purses = at;
	}
	at->purse->limit = limit;
	return purse_share(at->purse);
}

void server_purses_free(struct server *s)
{
	for (struct mount_purse *at; (at = s->purses);) {
		s->purses = at->next;
		purse_unshare(at->purse);
		free(at->mountpoint);
		free(at);
	}
}

static struct purse *purse_for(struct peer *p, uint64_t limit)
{
	if (!limit)
		return NULL;
	return p->mountpoint ? purse_of_mount(p->server, p->mountpoint, limit) : purse_new(limit);
}

static void begin_force(struct peer *p, uint32_t id, const struct message_force *m, char *engines,
                        bool costs)
{
	struct peer_force *f = xcalloc(1, sizeof(*f));
	f->local_only = m->local_only || !costs;
	f->engines = m->local_only ? NULL : engines;
	if (m->local_only)
		free(engines);
	f->purse = purse_for(p, m->budget_nanodollars);
	f->peer = p;
	f->id = id;
	f->keep_going = m->keep_going;
	f->events = m->events;
	f->count = f->left = m->count;
	f->targets = xcalloc(m->count, sizeof(*f->targets));
	f->next = p->forces;
	p->forces = f;
	f->before = counts_now(p->server);
	for (uint32_t i = 0; i < m->count; i++)
		f->targets[i] = (struct target){ .owner = f, .index = i };
	f->starting = true;
	for (uint32_t i = 0; i < m->count; i++)
		start_target(f, i, m);
	f->starting = false;
	end_if_done(f);
}

int server_force(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct message_force m;
	int r = message_force_decode(payload, len, &m, err);
	if (r < 0)
		return r;
	struct error refusal = ERROR_INIT;
	char *engines;
	bool costs;
	r = cloud_choose(p->server->cloud, m.engine, m.jobs, &engines, &costs, &refusal);
	if (r < 0)
		peer_send_error(p, id, r, refusal.text);
	else
		begin_force(p, id, &m, engines, costs);
	message_force_release(&m);
	return 0;
}

/* --- estimates ----------------------------------------------------------------------------------
 */

struct pricing {
	struct cloud *cloud;
	char *engines;
};

static uint64_t price(void *arg, const struct thunk *t)
{
	const struct pricing *p = arg;
	return cloud_price(p->cloud, p->engines, t);
}

static int read_estimate(const char *payload, size_t len, char **spec, bool *whole,
                         struct ref **refs, size_t *count, struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	size_t capacity = 0;
	*spec = wire_get_string(&in);
	*whole = wire_get_u8(&in) != 0;
	uint32_t n = wire_get_u32(&in);
	if (n > MESSAGE_REFS_MAX)
		in.failed = true;
	for (uint32_t i = 0; i < n && !in.failed; i++) {
		array_grow(*refs, *count, capacity);
		(*refs)[*count] = REF_INIT;
		wire_get_ref(&in, &(*refs)[(*count)++]);
	}
	return wire_done(&in, err);
}

static int make_estimate(struct server *s, const char *spec, bool whole, const struct ref *refs,
                         size_t count, struct force_estimate *out, struct error *err)
{
	struct pricing p = { .cloud = s->cloud };
	bool costs;
	int r = cloud_choose(s->cloud, spec, 0, &p.engines, &costs, err);
	if (r < 0)
		return r;
	r = forcer_estimate(s->forcer, refs, count, whole, price, &p, out, err);
	free(p.engines);
	return r;
}

int server_estimate(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	scoped_free char *spec = NULL;
	struct ref *refs = NULL;
	size_t count = 0;
	bool whole;
	struct force_estimate estimate = { 0 };
	struct error why = ERROR_INIT;
	int r = read_estimate(payload, len, &spec, &whole, &refs, &count, err);
	int made = r < 0 ? r : make_estimate(p->server, spec, whole, refs, count, &estimate, &why);
	for (size_t i = 0; i < count; i++)
		ref_release(&refs[i]);
	free(refs);
	if (r < 0)
		return r;
	if (made < 0) {
		peer_send_error(p, id, made, error_text(&why));
		return 0;
	}
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	message_estimate_encode(&frame, &estimate);
	wire_end(&frame, mark);
	peer_send(p, &frame, -1);
	return 0;
}

void server_force_cancel(struct peer *p, uint32_t id)
{
	struct peer_force *f = p->forces;
	while (f && f->id != id)
		f = f->next;
	if (!f)
		return;
	withdraw_targets(f);
	force_free(f);
}

void server_forces_drop(struct peer *p)
{
	while (p->forces) {
		withdraw_targets(p->forces);
		force_free(p->forces);
	}
}

/* Whether anybody watches. */
static bool send_to_watchers(struct server *s, const struct force_event *event)
{
	bool watched = false;
	for (struct peer *p = s->peers; p; p = p->next) {
		for (struct peer_force *f = p->forces; f; f = f->next) {
			if (!f->events)
				continue;
			send_counts(f, event);
			watched = true;
		}
	}
	return watched;
}

/* What an event leads to comes after it: more that is queued, or that runs. */
static void send_last_counts(void *arg)
{
	struct server *s = arg;
	s->counts_timer = NULL;
	send_to_watchers(s, NULL);
}

void server_event(void *arg, const struct force_event *event)
{
	struct server *s = arg;
	if (send_to_watchers(s, event) && !s->counts_timer)
		s->counts_timer = loop_after(s->loop, COUNTS_LATER_MS, send_last_counts, s);
}

void server_settled(void *arg, const struct digest *thunk, int code)
{
	struct server *s = arg;
	for (struct peer *p = s->peers; p; p = p->next) {
		if (!p->mountpoint)
			continue;
		struct buf frame = BUF_INIT;
		size_t mark = wire_begin(&frame, MESSAGE_SETTLED, 0);
		wire_digest(&frame, thunk);
		wire_i64(&frame, code);
		wire_end(&frame, mark);
		peer_send(p, &frame, -1);
	}
}
