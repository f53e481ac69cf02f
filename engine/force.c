/* The public half of the force: forcers, callers, and the agenda's turn. */
#include <assert.h>
#include <errno.h>

#include "engine/force_impl.h"

/* --- callers ------------------------------------------------------------------------------- */

static void force_free(struct force *force)
{
	struct forcer *f = force->forcer;
	TAILQ_REMOVE(&f->forces, force, link);
	if (force->answered)
		TAILQ_REMOVE(&f->answers, force, answer);
	loop_cancel(force->deadline);
	errand_leave(force->errand);
	want_release(&force->want);
	ref_release(&force->ref);
	asker_unshare(force->asker);
	failure_unshare(force->failure);
	free(force);
}

void force_answer_later(struct force *force)
{
	assert(!force->answered);
	force->answered = true;
	TAILQ_INSERT_TAIL(&force->forcer->answers, force, answer);
	forcer_schedule(force->forcer);
}

static void answer(struct force *force)
{
	struct shared_failure *failure = force->failure;
	struct force_answer a = { 0 };
	if (failure) {
		a.code = -failure->failure.code;
		a.reason = failure->failure.reason;
		a.failed = failure->failure.thunk;
	} else {
		a.ref = &force->want.ref;
		a.memoised = force->want.memoised;
		index_access(force->forcer->index, &force->want.ref.digest);
	}
	/* From here on the handle is nobody's: the caller is not to use it after done. */
	TAILQ_REMOVE(&force->forcer->answers, force, answer);
	force->answered = false;
	if (force->done)
		force->done(force->arg, &a);
	force_free(force);
}

/* The caller is told and gone; its want stays, for the work to go on. */
static void deadline_passed(void *arg)
{
	struct force *force = arg;
	force->deadline = NULL;
	if (force->answered)
		return;
	force_done_fn *done = force->done;
	force->done = NULL;
	struct force_answer a = {
		.code = -ETIMEDOUT,
		.reason = "the deadline passed before the file was made; the work goes on",
		.failed = force->ref.digest,
	};
	done(force->arg, &a);
}

/* A ref that is bytes already is only looked for. */
static void start_ready(struct force *force)
{
	struct forcer *f = force->forcer;
	const struct ref *ref = &force->ref;
	struct error err = ERROR_INIT;
	int r = ref_here(f, ref, &err);
	if (r == -ENOENT && force_fetches(force))
		return;
	if (r == -ENOENT)
		force->failure = failure_new(
		        &ref->digest, EIO,
		        "the %s %s is not in the store and no thunk is known that "
		        "makes it",
		        ref->kind == REF_TREE ? "tree" : "blob", digest_hex(&ref->digest).text);
	else if (r < 0)
		force->failure = failure_new(&ref->digest, EIO, "%s", error_text(&err));
	else if (force_fetches(force))
		return;
	force_answer_later(force);
}

int force_start(struct forcer *f, const struct force_request *request, struct force **out,
                struct error *err)
{
	if (f->closing)
		return error_set(err, -ECANCELED, "the service is ending");
	struct force *force = xcalloc(1, sizeof(*force));
	force->forcer = f;
	force->priority = request->priority;
	force->keep_going = request->keep_going;
	force->done = request->done;
	force->arg = request->arg;
	force->leave_far = request->leave_far;
	force->asker = asker_new(request);
	ref_copy(&force->ref, &request->ref);
	force->want = (struct want){ .kind = WANT_OUTPUT, .force = force, .memoised = true };
	ref_copy(&force->want.ref, &request->ref);
	TAILQ_INSERT_TAIL(&f->forces, force, link);
	if (request->deadline_ms > 0)
		force->deadline = loop_after(f->loop, request->deadline_ms, deadline_passed, force);
	if (request->ref.kind == REF_THUNK) {
		struct node_wish wish = {
			.priority = request->priority,
			.keep_going = request->keep_going,
			.asker = force->asker,
		};
		want_attach(&force->want, node_obtain(f, NODE_THUNK, &request->ref.digest, &wish));
	} else {
		start_ready(force);
	}
	*out = force;
	return 0;
}

void force_cancel(struct force *force)
{
	struct node *target = force->want.target;
	force_free(force);
	if (target)
		node_prune(target);
}

/* --- the agenda ------------------------------------------------------------------------------ */

static void call_notice(struct forcer *f, struct notice *notice)
{
	TAILQ_REMOVE(&f->notices, notice, link);
	if (notice->is_event && f->event)
		f->event(f->event_arg, &notice->event);
	else if (!notice->is_event && f->settled)
		f->settled(f->settled_arg, &notice->thunk, notice->code);
	char *label = (char *)(uintptr_t)notice->event.label;
	char *tail = (char *)(uintptr_t)notice->event.stderr_tail;
	free(label);
	free(tail);
	free(notice);
}

static void advance(struct node *n)
{
	TAILQ_REMOVE(&n->forcer->agenda, n, agenda);
	n->on_agenda = false;
	if (n->state == NODE_NEW)
		node_step(n);
	else if (n->state == NODE_WAITING)
		node_resolve(n);
	else if (n->state == NODE_SETTLED)
		node_deliver(n);
}

/* One piece of work; false when there is none. Those outside hear first, notices before answers:
 * who gets an answer may rely on having been told. */
static bool take_step(struct forcer *f)
{
	struct notice *notice = TAILQ_FIRST(&f->notices);
	struct force *force = TAILQ_FIRST(&f->answers);
	struct node *n = TAILQ_FIRST(&f->agenda);
	if (notice)
		call_notice(f, notice);
	else if (force)
		answer(force);
	else if (n)
		advance(n);
	return notice || force || n;
}

static void drain(void *arg)
{
	struct forcer *f = arg;
	unsigned steps = 0;
	bool more = true;
	f->drain = NULL;
	while (more && steps++ < FORCE_SLICE_STEPS)
		more = take_step(f);
	forcer_dispatch(f);
	if (more || !TAILQ_EMPTY(&f->notices))
		forcer_schedule(f);
}

void forcer_schedule(struct forcer *f)
{
	if (!f->drain && !f->closing)
		f->drain = loop_after(f->loop, 0, drain, f);
}

/* --- cancelling ------------------------------------------------------------------------------ */

static void cancel_node(struct node *n)
{
	struct shared_failure *failure = failure_new(&n->digest, ECANCELED, "cancelled");
	failure->unowned = n->kind == NODE_SET;
	node_cancel_job(n);
	node_settle_failure(n, failure);
}

int forcer_cancel_thunk(struct forcer *f, const struct digest *thunk)
{
	struct node *n = node_in_hand(f, thunk);
	if (!n)
		return -ENOENT;
	if (n->state == NODE_SETTLED)
		return 0;
	struct node *resolved = n->merged && n->want_count ? n->wants[0].target : NULL;
	if (resolved && (resolved->state != NODE_RUNNING || TAILQ_NEXT(&n->wants[0], link) ||
	                 TAILQ_FIRST(&resolved->waiters) != &n->wants[0]))
		resolved = NULL;
	cancel_node(n);
	if (resolved) /* it ran for n alone */
		cancel_node(resolved);
	return 0;
}

static void cancel_map(struct digest_map *map)
{
	size_t position = 0;
	for (struct node *n; (n = digest_map_next(map, &position));)
		if (n->state != NODE_SETTLED)
			cancel_node(n);
}

void forcer_cancel_all(struct forcer *f)
{
	f->no_prune = true;
	forces_stop_fetching(f);
	cancel_map(&f->thunks);
	cancel_map(&f->sets);
	f->no_prune = false;
}

/* --- forcers --------------------------------------------------------------------------------- */

int forcer_new(struct loop *loop, struct store *store, struct index *index, struct engine *engine,
               struct forcer **out, struct error *err)
{
	(void)err;
	struct forcer *f = xcalloc(1, sizeof(*f));
	f->loop = loop;
	f->store = store;
	f->index = index;
	f->engine = engine;
	TAILQ_INIT(&f->agenda);
	for (int i = PRIORITY_BATCH; i <= PRIORITY_READER; i++)
		TAILQ_INIT(&f->ready[i]);
	TAILQ_INIT(&f->forces);
	TAILQ_INIT(&f->answers);
	TAILQ_INIT(&f->notices);
	TAILQ_INIT(&f->jobs);
	TAILQ_INIT(&f->errands);
	*out = f;
	return 0;
}

void forcer_free(struct forcer *f)
{
	if (!f)
		return;
	f->closing = true;
	/* More than once: what had just been answered may go on to a further thunk. */
	do {
		forcer_cancel_all(f);
		while (take_step(f))
			;
	} while (!TAILQ_EMPTY(&f->forces));
	assert(!f->thunks.count && !f->sets.count);
	for (struct job *job; (job = TAILQ_FIRST(&f->jobs));) {
		TAILQ_REMOVE(&f->jobs, job, link);
		job->forcer = NULL; /* frees itself when the engine is through with it */
	}
	forcer_drop_errands(f);
	loop_cancel(f->drain);
	sets_forget(f);
	looks_forget(f);
	early_forget(f);
	for (size_t i = 0; i < FORCE_TREES_KEPT; i++)
		manifest_release(&f->trees[i].manifest);
	digest_map_release(&f->thunks);
	digest_map_release(&f->sets);
	free(f);
}

void forcer_counts(struct forcer *f, struct force_counts *out)
{
	*out = f->counts;
	out->running = f->running_now;
}

void forcer_on_settled(struct forcer *f, forcer_settled_fn *fn, void *arg)
{
	f->settled = fn;
	f->settled_arg = arg;
}

void forcer_on_event(struct forcer *f, forcer_event_fn *fn, void *arg)
{
	f->event = fn;
	f->event_arg = arg;
}
