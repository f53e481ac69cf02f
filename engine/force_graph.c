/* The bookkeeping of a force: who waits for what. Pure: neither store nor engine are touched. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/force_impl.h"

struct shared_failure *failure_new(const struct digest *thunk, int code, const char *format, ...)
{
	struct shared_failure *s = xcalloc(1, sizeof(*s));
	va_list args;
	s->refs = 1;
	s->failure.thunk = *thunk;
	s->failure.code = code;
	s->failure.exit_status = -1;
	va_start(args, format);
	if (vasprintf(&s->failure.reason, format, args) < 0)
		abort();
	va_end(args);
	s->failure.stderr_tail = xstrdup("");
	s->failure.engine = xstrdup("");
	return s;
}

struct shared_failure *failure_share(struct shared_failure *s)
{
	s->refs++;
	return s;
}

void failure_unshare(struct shared_failure *s)
{
	if (!s || --s->refs > 0)
		return;
	failure_release(&s->failure);
	free(s);
}

struct asker *asker_new(const struct force_request *request)
{
	const char *text = request->asker ? request->asker : "";
	size_t size = strlen(text) + 1;
	struct asker *a = xmalloc(sizeof(*a) + size);
	a->refs = 1;
	a->engines = request->engines ? xstrdup(request->engines) : NULL;
	a->local_only = request->local_only;
	a->purse = purse_share(request->purse);
	memcpy(a->text, text, size);
	return a;
}

struct asker *asker_share(struct asker *a)
{
	a->refs++;
	return a;
}

void asker_unshare(struct asker *a)
{
	if (!a || --a->refs > 0)
		return;
	free(a->engines);
	purse_unshare(a->purse);
	free(a);
}

struct node_wish node_wish(const struct node *owner)
{
	return (struct node_wish){
		.priority = owner->priority,
		.keep_going = owner->keep_going,
		.followed = owner->followed,
		.depth = owner->depth + 1,
		.asker = owner->asker,
	};
}

static struct digest_map *map_of(struct forcer *f, enum node_kind kind)
{
	return kind == NODE_THUNK ? &f->thunks : &f->sets;
}

/* Everything somebody named that is not at the engine, if only as its resolved thunk; what has
 * settled counts until all are told, so that a forcer without any has nothing to do. */
static bool is_queued(const struct node *n)
{
	const struct node *resolved = n->merged && n->want_count ? n->wants[0].target : NULL;
	return n->in_hand && n->kind == NODE_THUNK && n->asked && n->state != NODE_RUNNING &&
	       !(resolved && resolved->state == NODE_RUNNING);
}

void node_recount(struct node *n)
{
	bool counts = is_queued(n);
	if (counts && !n->counted)
		n->forcer->counts.queued++;
	else if (!counts && n->counted)
		n->forcer->counts.queued--;
	n->counted = counts;
}

void node_enter(struct node *n, enum node_state state)
{
	bool moves = (n->state == NODE_RUNNING) != (state == NODE_RUNNING);
	n->state = state;
	node_recount(n);
	if (!moves)
		return;
	for (struct want *w = TAILQ_FIRST(&n->waiters); w; w = TAILQ_NEXT(w, link))
		if (w->kind == WANT_RESOLVED)
			node_recount(w->owner);
}

size_t forcer_count_queued(struct forcer *f)
{
	size_t position = 0, count = 0;
	for (struct node *n; (n = digest_map_next(&f->thunks, &position));)
		count += is_queued(n);
	return count;
}

struct node *node_obtain(struct forcer *f, enum node_kind kind, const struct digest *digest,
                         const struct node_wish *wish)
{
	struct node *n = digest_map_get(map_of(f, kind), digest);
	if (n) {
		node_raise(n, wish);
		return n;
	}
	n = xcalloc(1, sizeof(*n));
	n->forcer = f;
	n->digest = *digest;
	n->kind = kind;
	n->priority = wish->priority;
	n->keep_going = wish->keep_going;
	n->followed = wish->followed;
	n->depth = wish->depth;
	n->asker = asker_share(wish->asker);
	TAILQ_INIT(&n->waiters);
	digest_map_put(map_of(f, kind), digest, n);
	n->in_hand = true;
	node_to_agenda(n);
	return n;
}

void node_take_out(struct node *n)
{
	digest_map_remove(map_of(n->forcer, n->kind), &n->digest);
	n->in_hand = false;
	node_recount(n);
}

void node_free(struct node *n)
{
	assert(TAILQ_EMPTY(&n->waiters) && !n->job && !n->on_agenda && !n->pause);
	errand_leave(n->errand);
	for (size_t i = 0; i < n->want_count; i++)
		want_release(&n->wants[i]);
	free(n->wants);
	if (n->thunk)
		thunk_release(n->thunk);
	free(n->thunk);
	if (n->set)
		manifest_release(n->set);
	free(n->set);
	free(n->label);
	asker_unshare(n->asker);
	memo_release(&n->memo);
	failure_unshare(n->failure);
	free(n);
}

void node_to_agenda(struct node *n)
{
	if (n->on_agenda)
		return;
	TAILQ_INSERT_TAIL(&n->forcer->agenda, n, agenda);
	n->on_agenda = true;
	forcer_schedule(n->forcer);
}

void node_to_ready(struct node *n)
{
	node_enter(n, NODE_READY);
	TAILQ_INSERT_TAIL(&n->forcer->ready[n->priority], n, ready);
	forcer_schedule(n->forcer);
}

void node_off_queues(struct node *n)
{
	if (n->on_agenda)
		TAILQ_REMOVE(&n->forcer->agenda, n, agenda);
	n->on_agenda = false;
	if (n->state == NODE_READY)
		TAILQ_REMOVE(&n->forcer->ready[n->priority], n, ready);
	loop_cancel(n->pause);
	n->pause = NULL;
	errand_leave(n->errand);
	n->errand = NULL;
}

static bool raise_one(struct node *n, const struct node_wish *wish)
{
	bool higher = wish->priority > n->priority;
	bool freer = n->asker->local_only && !wish->asker->local_only;
	if (!higher && !freer && (n->keep_going || !wish->keep_going))
		return false;
	if (freer) {
		asker_unshare(n->asker);
		n->asker = asker_share(wish->asker);
	}
	n->keep_going = n->keep_going || wish->keep_going;
	if (higher && n->state == NODE_READY) {
		TAILQ_REMOVE(&n->forcer->ready[n->priority], n, ready);
		TAILQ_INSERT_TAIL(&n->forcer->ready[wish->priority], n, ready);
	}
	if (higher)
		n->priority = wish->priority;
	return true;
}

void node_raise(struct node *n, const struct node_wish *wish)
{
	struct node *stack = NULL;
	if (raise_one(n, wish)) {
		n->next_on_stack = NULL;
		stack = n;
	}
	while (stack) {
		struct node *at = stack;
		stack = at->next_on_stack;
		for (size_t i = 0; i < at->want_count; i++) {
			struct node *below = at->wants[i].target;
			if (!below || !raise_one(below, wish))
				continue;
			below->next_on_stack = stack;
			stack = below;
		}
	}
}

void want_attach(struct want *w, struct node *target)
{
	assert(!w->target);
	w->target = target;
	TAILQ_INSERT_TAIL(&target->waiters, w, link);
	if (w->kind == WANT_OUTPUT && !target->asked) {
		target->asked = true;
		node_recount(target);
	}
	if (w->kind == WANT_RESOLVED)
		node_recount(w->owner);
}

void want_detach(struct want *w)
{
	if (w->target)
		TAILQ_REMOVE(&w->target->waiters, w, link);
	w->target = NULL;
	if (w->kind == WANT_RESOLVED)
		node_recount(w->owner);
}

void want_release(struct want *w)
{
	want_detach(w);
	ref_release(&w->ref);
	ref_release(&w->asked);
	if (w->mark)
		ref_release(w->mark);
	free(w->mark);
	w->mark = NULL;
}

static bool can_be_dropped(const struct node *n)
{
	return TAILQ_EMPTY(&n->waiters) && n->state != NODE_RUNNING && n->state != NODE_SETTLED;
}

void node_prune(struct node *n)
{
	if (n->forcer->no_prune || !can_be_dropped(n))
		return;
	struct node *stack = n;
	n->next_on_stack = NULL;
	while (stack) {
		struct node *at = stack;
		stack = at->next_on_stack;
		for (size_t i = 0; i < at->want_count; i++) {
			struct node *below = at->wants[i].target;
			want_detach(&at->wants[i]);
			/* It lost its last waiter just now, so it is on the stack only once. */
			if (below && can_be_dropped(below)) {
				below->next_on_stack = stack;
				stack = below;
			}
		}
		node_off_queues(at);
		node_take_out(at);
		node_free(at);
	}
}

void node_release_wants(struct node *n)
{
	struct want *wants = steal(&n->wants);
	size_t count = n->want_count;
	n->want_count = n->pending = 0;
	for (size_t i = 0; i < count; i++) {
		struct node *below = wants[i].target;
		want_release(&wants[i]);
		if (below)
			node_prune(below);
	}
	free(wants);
}

/* The way from goal's last predecessor back to start, named front to back. */
static char *describe_path(const struct node *start, const struct node *last,
                           const struct node *goal)
{
	const struct node *named[FORCE_CYCLE_NAMED_MAX];
	size_t count = 0, left_out = 0;
	for (const struct node *n = last; n; n = n == start ? NULL : n->reached_from) {
		if (n->kind == NODE_SET)
			continue;
		if (count < FORCE_CYCLE_NAMED_MAX)
			named[count++] = n;
		else
			left_out++;
	}
	scoped_buf struct buf text = BUF_INIT;
	buf_add_str(&text, digest_hex(&goal->digest).text);
	if (left_out)
		buf_add_format(&text, " -> (%zu more)", left_out);
	while (count-- > 0)
		if (named[count] != goal)
			buf_add_format(&text, " -> %s", digest_hex(&named[count]->digest).text);
	buf_add_format(&text, " -> %s", digest_hex(&goal->digest).text);
	return buf_steal(&text, NULL);
}

bool graph_reaches(struct node *start, struct node *goal, char **path)
{
	uint64_t walk = ++start->forcer->walks;
	struct node *stack = start;
	start->next_on_stack = NULL;
	start->reached_from = NULL;
	start->walk = walk;
	while (stack) {
		struct node *at = stack;
		stack = at->next_on_stack;
		at->followed = true;
		for (size_t i = 0; i < at->want_count; i++) {
			struct node *below = at->wants[i].target;
			if (below == goal) {
				*path = describe_path(start, at, goal);
				return true;
			}
			if (!below || below->walk == walk)
				continue;
			below->walk = walk;
			below->reached_from = at;
			below->next_on_stack = stack;
			stack = below;
		}
	}
	return false;
}
