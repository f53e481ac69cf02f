/*
 * What a force asks of the far store: has somebody made this already (a memo there), and bring it
 * here (a blob of a thunk, of a tree, or of what a reader waits for). One errand at a time for a
 * node or a caller; it outlives both, as a job does.
 */
#include <errno.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/force_impl.h"

void forcer_set_far(struct forcer *f, const struct force_far *far)
{
	f->far = *far;
	f->has_far = true;
}

bool forcer_far_has(struct forcer *f, const struct digest *blob)
{
	return f->has_far && f->far.known(f->far.arg, blob);
}

bool blob_is_here(struct forcer *f, const struct digest *blob, uint64_t size_bytes)
{
	uint64_t found;
	return store_has(f->store, blob, &found, NULL) == 0 &&
	       (size_bytes == UINT64_MAX || found == size_bytes);
}

/* --- errands -------------------------------------------------------------------------------------
 */

static struct force_errand *errand_new(struct forcer *f, enum errand_kind kind,
                                       const struct digest *digest)
{
	struct force_errand *e = xcalloc(1, sizeof(*e));
	e->forcer = f;
	e->loop = f->loop;
	e->kind = kind;
	e->digest = *digest;
	TAILQ_INSERT_TAIL(&f->errands, e, link);
	return e;
}

void errand_leave(struct force_errand *e)
{
	if (e)
		e->node = NULL, e->force = NULL;
}

static void errand_ended(void *arg)
{
	struct force_errand *e = arg;
	struct node *n = e->node;
	struct force *force = e->force;
	if (e->forcer)
		TAILQ_REMOVE(&e->forcer->errands, e, link);
	if (e->forcer && n) {
		n->errand = NULL;
		node_errand_done(n, e);
	} else if (e->forcer && force) {
		force->errand = NULL;
		force_errand_ended(force, e);
	}
	memo_release(&e->memo);
	free(e->reason);
	free(e);
}

void force_errand_done(struct force_errand *e, int code, struct memo *memo, const char *reason)
{
	e->code = code;
	if (memo) {
		e->memo = *memo;
		*memo = MEMO_INIT;
	}
	e->reason = xstrdup(reason ? reason : "");
	loop_post(e->loop, errand_ended, e);
}

static void pull(struct force_errand *e, uint64_t size_bytes)
{
	struct forcer *f = e->forcer;
	f->far.pull(f->far.arg, &e->digest, size_bytes, e);
}

static void node_sends(struct node *n, struct force_errand *e)
{
	e->node = n;
	n->errand = e;
	node_enter(n, NODE_AFAR);
}

/* --- for nodes -----------------------------------------------------------------------------------
 */

bool node_asks_memo(struct node *n)
{
	struct forcer *f = n->forcer;
	if (!f->has_far || n->distrust || n->far_asked)
		return false;
	n->far_asked = true;
	struct force_errand *e = errand_new(f, ERRAND_MEMO, &n->digest);
	node_sends(n, e);
	f->far.memo_get(f->far.arg, &n->digest, e);
	return true;
}

bool node_fetches(struct node *n, const struct digest *blob)
{
	struct forcer *f = n->forcer;
	if (!f->has_far || n->fetches >= FORCE_FETCHES_MAX)
		return false;
	n->fetches++;
	struct force_errand *e = errand_new(f, ERRAND_PULL, blob);
	node_sends(n, e);
	pull(e, UINT64_MAX);
	return true;
}

/* The bytes that a memo needs here: manifests of trees, for they are looked into, and thunks. */
static bool memo_lacks(struct forcer *f, const struct memo *memo, struct digest *out)
{
	for (size_t i = 0; i < memo->count; i++) {
		const struct ref *ref = &memo->outputs[i].ref;
		if (ref->kind == REF_BLOB || blob_is_here(f, &ref->digest, UINT64_MAX))
			continue;
		*out = ref->digest;
		return true;
	}
	return false;
}

bool node_fetches_for_memo(struct node *n)
{
	struct forcer *f = n->forcer;
	scoped_memo struct memo memo = MEMO_INIT;
	struct digest lacking;
	return f->has_far && !n->distrust &&
	       index_memo_get(f->index, &n->digest, &memo, NULL) == 0 &&
	       memo_lacks(f, &memo, &lacking) && node_fetches(n, &lacking);
}

/* Somebody has made it: what the memo names is there, until it proves not to be. */
static void take_memo(struct node *n, struct force_errand *e)
{
	struct forcer *f = n->forcer;
	struct error err = ERROR_INIT;
	for (size_t i = 0; i < e->memo.count; i++)
		f->far.remember(f->far.arg, &e->memo.outputs[i].ref.digest, true);
	if (index_memo_put(f->index, &e->memo, &err) < 0)
		log_warning("no memo of %s: %s", digest_hex(&n->digest).text, error_text(&err));
}

void node_errand_done(struct node *n, struct force_errand *e)
{
	struct forcer *f = n->forcer;
	if (e->kind == ERRAND_MEMO && e->code == 0 && digest_equal(&e->memo.thunk, &n->digest))
		take_memo(n, e);
	else if (e->code == -ENOENT && e->kind == ERRAND_PULL)
		f->far.remember(f->far.arg, &e->digest, false);
	else if (e->code < 0 && e->code != -ENOENT)
		log_warning("the far store: %s", e->reason);
	node_enter(n, NODE_NEW);
	node_to_agenda(n);
}

/* --- for callers
 * ---------------------------------------------------------------------------------- */

bool force_fetches(struct force *force)
{
	struct forcer *f = force->forcer;
	const struct ref *ref = &force->want.ref;
	if (!f->has_far || force->leave_far || ref->kind == REF_THUNK ||
	    blob_is_here(f, &ref->digest, ref->size_bytes))
		return false;
	force->errand = errand_new(f, ERRAND_PULL, &ref->digest);
	force->errand->force = force;
	pull(force->errand, ref->size_bytes);
	return true;
}

static int code_of_pull(int code)
{
	switch (code) {
	case -EACCES:
	case -ENOSPC:
	case -ECANCELED:
		return -code;
	case -ENOENT:
	case -EBADMSG:
		return EIO;
	default:
		return ENETDOWN;
	}
}

/* Readers look for the reason where all failures are. */
static void record(struct force *force, struct failure *failure)
{
	struct error err = ERROR_INIT;
	failure->when_ns = wall_ns();
	failure->until_ns = failure->when_ns + FORCE_REMEMBER_NS;
	if (force->ref.kind != REF_THUNK || failure->code == ECANCELED)
		return;
	failure->thunk = force->ref.digest;
	force->forcer->failures_made++;
	if (index_failure_put(force->forcer->index, failure, &err) < 0)
		log_warning("a failure is not remembered: %s", error_text(&err));
}

void force_errand_ended(struct force *force, struct force_errand *e)
{
	struct forcer *f = force->forcer;
	if (e->code == 0) {
		force_answer_later(force);
		return;
	}
	if (e->code == -ENOENT || e->code == -EBADMSG) {
		f->far.remember(f->far.arg, &e->digest, false);
		if (force_asks_anew(force))
			return;
	}
	const char *from =
	        force->ref.kind == REF_THUNK ? "" : ", and no thunk is known that makes it";
	force->failure = failure_new(&force->ref.digest, code_of_pull(e->code),
	                             "the blob %s cannot be fetched from the far store%s: %s",
	                             digest_hex(&e->digest).text, from, e->reason);
	record(force, &force->failure->failure);
	force_answer_later(force);
}

void forces_stop_fetching(struct forcer *f)
{
	struct force_errand *e;
	TAILQ_FOREACH(e, &f->errands, link)
	{
		struct force *force = e->force;
		if (!force)
			continue;
		errand_leave(e);
		force->errand = NULL;
		force->failure = failure_new(&force->ref.digest, ECANCELED, "cancelled");
		force_answer_later(force);
	}
}

void forcer_drop_errands(struct forcer *f)
{
	for (struct force_errand *e; (e = TAILQ_FIRST(&f->errands));) {
		TAILQ_REMOVE(&f->errands, e, link);
		e->forcer = NULL; /* freed when its answer comes */
	}
}
