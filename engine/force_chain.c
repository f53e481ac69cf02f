/*
 * Chains: a thunk whose answer only one other thunk waits for, which waits for nothing else, and
 * so on. An engine to which the way is long is told of the whole row with its first thunk, and may
 * run it in one go. What it has made beyond what it was asked for is kept here until its turn
 * comes: then the thunk settles as if it had just been run.
 */
#include "common/log.h"
#include "engine/force_impl.h"

/* The node that waits for n, if there is one alone, for nothing but outputs of n. */
static struct node *only_reader(const struct node *n)
{
	const struct want *w = TAILQ_FIRST(&n->waiters);
	if (w && w->kind == WANT_RESOLVED && !TAILQ_NEXT(w, link))
		w = TAILQ_FIRST(&w->owner->waiters);
	struct node *reader = w ? w->owner : NULL;
	size_t count = 0;
	for (; w; w = TAILQ_NEXT(w, link), count++)
		if (w->owner != reader || w->kind != WANT_OUTPUT || w->ref.selection)
			return NULL;
	bool fits = reader && reader->kind == NODE_THUNK && reader->state == NODE_WAITING &&
	            !reader->merged && !reader->failure && !reader->distrust &&
	            reader->pending == count && reader->asker == n->asker;
	return fits ? reader : NULL;
}

/* Its thunk with all inputs that are known, and those that are not yet as outputs of before. */
static struct thunk *next_thunk(const struct node *n, const struct digest *before)
{
	struct thunk *t = xmalloc(sizeof(*t));
	struct error err = ERROR_INIT;
	*t = THUNK_INIT;
	thunk_copy(t, n->thunk);
	for (size_t i = 0; i < n->want_count; i++) {
		struct ref ref = n->wants[i].ref;
		if (n->wants[i].target)
			ref.digest = *before;
		thunk_slot_fill(t, n->wants[i].slot, &ref);
	}
	if (thunk_finish(t, &err) == 0)
		return t;
	thunk_release(t); /* why it does not fit together is said when it is run by itself */
	free(t);
	return NULL;
}

static uint64_t counted_micros(uint64_t expected_micros)
{
	return expected_micros ? expected_micros : FORCE_CHAIN_MICROS_UNKNOWN;
}

static bool add_next(struct job *job, const struct node *n, uint64_t expected_micros)
{
	const struct digest *before =
	        job->next_count ? &job->next[job->next_count - 1].digest : &job->digest;
	struct thunk *t = next_thunk(n, before);
	if (!t)
		return false;
	array_grow(job->next, job->next_count, job->next_capacity);
	struct engine_next *next = &job->next[job->next_count++];
	*next = (struct engine_next){ .thunk = t, .expected_micros = expected_micros };
	thunk_digest(t, &next->digest);
	return true;
}

void job_add_chain(struct job *job, const struct node *n)
{
	struct forcer *f = n->forcer;
	uint64_t sum = 0;
	bool yields = job->thunk->yields;
	while (!yields && job->next_count < FORCE_CHAIN_MAX && (n = only_reader(n))) {
		uint64_t expected = index_micros_get(f->index, n->thunk->outputs[0].path);
		sum += counted_micros(expected);
		if (sum > FORCE_CHAIN_MICROS_MAX || !add_next(job, n, expected))
			break;
		yields = n->thunk->yields;
	}
}

void job_drop_chain(struct job *job)
{
	for (size_t i = 0; i < job->next_count; i++) {
		struct thunk *t = (struct thunk *)(uintptr_t)job->next[i].thunk;
		thunk_release(t);
		free(t);
	}
	free(job->next);
	job->next = NULL;
	job->next_count = job->next_capacity = 0;
}

/* --- what came too early -------------------------------------------------------------------- */

static void early_free(struct engine_result *r)
{
	engine_result_release(r);
	free(r);
}

void early_keep(struct forcer *f, struct engine_result *of)
{
	if (f->early.count + of->also_count > FORCE_EARLY_MAX)
		early_forget(f);
	for (size_t i = 0; i < of->also_count; i++) {
		struct engine_result *r = xmalloc(sizeof(*r));
		*r = of->also[i];
		of->also[i] = (struct engine_result){ 0 };
		struct engine_result *old = digest_map_put(&f->early, &r->memo.thunk, r);
		if (old)
			early_free(old);
	}
}

void early_forget(struct forcer *f)
{
	size_t position = 0;
	for (struct engine_result *r; (r = digest_map_next(&f->early, &position));) {
		/* Nobody asked in the end, but it is paid for: who asks later finds it. */
		struct error err = ERROR_INIT;
		if (index_memo_put(f->index, &r->memo, &err) < 0)
			log_warning("no memo of %s: %s", digest_hex(&r->memo.thunk).text,
			            error_text(&err));
		early_free(r);
	}
	digest_map_release(&f->early);
	f->early = DIGEST_MAP_INIT;
}

bool node_takes_early(struct node *n)
{
	struct forcer *f = n->forcer;
	struct engine_result *r = digest_map_remove(&f->early, &n->digest);
	if (!r)
		return false;
	if (n->distrust) { /* it may promise just what was found to be missing */
		early_free(r);
		return false;
	}
	purse_settle(n->asker->purse, 0, r->memo.cost_nanodollars);
	f->counts.cost_nanodollars += r->memo.cost_nanodollars;
	notice_event(n, FORCE_EVENT_STARTED, "");
	node_done(n, r, f->engine->ops->name);
	early_free(r);
	return true;
}
