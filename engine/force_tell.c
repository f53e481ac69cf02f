/* Telling those who wait for a node what it came to, and following answers that are thunks. */
#include <errno.h>

#include "common/log.h"
#include "engine/force_impl.h"

static void want_failed(struct want *w, struct shared_failure *failure)
{
	if (w->force) {
		w->force->failure = failure_share(failure);
		force_answer_later(w->force);
		return;
	}
	struct node *n = w->owner;
	if (n->keep_going) {
		if (!n->failure)
			n->failure = failure_share(failure);
		if (--n->pending == 0)
			node_to_agenda(n);
		return;
	}
	node_settle_failure(n, failure_share(failure));
}

static void want_answered(struct want *w)
{
	if (w->force && force_fetches(w->force))
		return;
	if (w->force)
		force_answer_later(w->force);
	else if (--w->owner->pending == 0)
		node_to_agenda(w->owner);
}

static void want_failed_as(struct want *w, struct shared_failure *failure)
{
	want_failed(w, failure);
	failure_unshare(failure);
}

/* Who is to blame for an answer that never ends: the node that waits, or the thunk asked for. */
static const struct digest *blamed(const struct want *w)
{
	return w->owner ? &w->owner->digest : &w->force->ref.digest;
}

static void want_failed_by_itself(struct want *w, struct shared_failure *failure)
{
	failure->unowned = w->owner && w->owner->kind == NODE_SET;
	want_failed_as(w, failure);
}

static struct node_wish wish_of(const struct want *w)
{
	struct force *force = w->force;
	if (w->owner) {
		struct node_wish wish = node_wish(w->owner);
		wish.followed = true;
		return wish;
	}
	return (struct node_wish){
		.priority = force->priority,
		.keep_going = force->keep_going,
		.asker = force->asker,
	};
}

/* Moves w on to what its last answer named, unless that waits for w's owner. */
static void move_on(struct want *w, struct node *target)
{
	struct node *owner = w->owner;
	scoped_free char *path = NULL;
	if (owner && owner == target)
		path = xformat("%s -> %s", digest_hex(&owner->digest).text,
		               digest_hex(&owner->digest).text);
	else if (owner)
		graph_reaches(target, owner, &path);
	/* Also when it is refused: the owner, settling, leaves all it waits for in good order. */
	want_attach(w, target);
	if (!path)
		return;
	struct shared_failure *failure =
	        failure_new(&owner->digest, ELOOP, "a thunk waits for itself: %s", path);
	failure->unowned = owner->kind == NODE_SET;
	node_settle_failure(owner, failure);
}

/* Brent: a ref passed at some power of two hops comes again if and only if this goes in a circle.
 */
static bool goes_in_a_circle(struct want *w, const struct ref *next)
{
	if (w->mark && ref_equal(w->mark, next))
		return true;
	if (w->mark && w->hops < 2 * w->mark_hops)
		return false;
	if (w->mark)
		ref_release(w->mark);
	else
		w->mark = xmalloc(sizeof(*w->mark));
	*w->mark = REF_INIT;
	ref_copy(w->mark, next);
	w->mark_hops = w->hops;
	return false;
}

/* The thunks of a circle of answers, found by going round it once more over the memos. */
static char *describe_circle(struct forcer *f, const struct ref *start)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_ref struct ref at = REF_INIT;
	ref_copy(&at, start);
	buf_add_str(&text, digest_hex(&at.digest).text);
	for (unsigned i = 0; i < FORCE_CYCLE_NAMED_MAX; i++) {
		scoped_memo struct memo memo = MEMO_INIT;
		struct ref next = REF_INIT;
		if (index_memo_get(f->index, &at.digest, &memo, NULL) < 0 ||
		    ref_step(f, &memo, &at, &next, NULL) < 0)
			break;
		ref_release(&at);
		at = next;
		buf_add_format(&text, " -> %s", digest_hex(&at.digest).text);
		if (ref_equal(&at, start))
			return buf_steal(&text, NULL);
	}
	buf_add_str(&text, " -> ...");
	return buf_steal(&text, NULL);
}

/* w's answer is again a thunk. Takes next over. */
static void follow(struct forcer *f, struct want *w, struct ref next)
{
	scoped_free char *circle = NULL;
	w->hops++;
	if (goes_in_a_circle(w, &next)) {
		circle = describe_circle(f, &next);
		want_failed_by_itself(
		        w, failure_new(blamed(w), ELOOP,
		                       "answers that are thunks go round in a circle: %s", circle));
		ref_release(&next);
		return;
	}
	if (w->hops > FORCE_FOLLOW_MAX) {
		want_failed_by_itself(
		        w, failure_new(blamed(w), ELOOP,
		                       "more than %d answers in a row were again thunks; "
		                       "the last names %s",
		                       FORCE_FOLLOW_MAX, digest_hex(&next.digest).text));
		ref_release(&next);
		return;
	}
	ref_release(&w->ref);
	w->ref = next;
	struct node_wish wish = wish_of(w);
	move_on(w, node_obtain(f, NODE_THUNK, &next.digest, &wish));
}

/* The output's memo promised what the store has not (any more): run its thunk anew, once. */
static void distrust_or_fail(struct forcer *f, struct want *w, const struct node *n,
                             const char *reason)
{
	if (w->distrusted) {
		want_failed_as(w, failure_new(&n->digest, EIO, "%s", reason));
		return;
	}
	w->distrusted = true;
	struct node_wish wish = wish_of(w);
	move_on(w, node_distrusted(f, &n->digest, &wish));
}

bool force_asks_anew(struct force *force)
{
	struct want *w = &force->want;
	if (w->distrusted || w->asked.kind != REF_THUNK)
		return false;
	log_warning("the blob %s is gone from the far store: it is made again",
	            digest_hex(&w->ref.digest).text);
	w->distrusted = true;
	ref_replace(&w->ref, &w->asked);
	struct node_wish wish = wish_of(w);
	move_on(w, node_distrusted(force->forcer, &w->from, &wish));
	return true;
}

/* Where one step from w's ref leads; when that is nowhere, w has failed or asks once more. */
static bool step_output(struct node *n, struct want *w, struct ref *next)
{
	struct forcer *f = n->forcer;
	struct error err = ERROR_INIT;
	int r = ref_step(f, &n->memo, &w->ref, next, &err);
	if (r == -ENOENT) {
		want_failed_as(w, failure_new(&n->digest, EREMOTEIO, "%s", error_text(&err)));
		return false;
	}
	/* Outputs themselves were looked for when the memo was; what is in a tree was not. */
	if (r == 0 && w->ref.selection && next->kind != REF_THUNK) {
		r = ref_here(f, next, &err);
		if (r == -ENOENT && f->has_far)
			r = 0; /* with its tree, until that proves wrong */
		if (r < 0)
			ref_release(next);
	}
	if (r == -EBADMSG || r == -ENOENT)
		distrust_or_fail(f, w, n, error_text(&err));
	else if (r < 0)
		want_failed_as(w, failure_new(&n->digest, r == -ENOSPC ? ENOSPC : EIO, "%s",
		                              error_text(&err)));
	return r == 0;
}

/* The answer of a want that an owner has and that is a tree: it may have thunks in it, as a set
 * may. A caller gets it as it is, and forces of it what it opens. */
static void resolve_tree(struct forcer *f, struct want *w)
{
	const struct sized_digest *known = set_known(f, &w->ref.digest);
	if (known) {
		w->ref.digest = known->digest;
		w->ref.size_bytes = known->size_bytes;
		want_answered(w);
		return;
	}
	w->kind = WANT_SET;
	struct node_wish wish = wish_of(w);
	move_on(w, node_obtain(f, NODE_SET, &w->ref.digest, &wish));
}

static void tell_output(struct node *n, struct want *w)
{
	struct ref next = REF_INIT;
	w->memoised = w->memoised && n->memoised;
	if (!step_output(n, w, &next))
		return;
	if (next.kind == REF_THUNK) {
		follow(n->forcer, w, next);
		return;
	}
	if (w->force) {
		ref_release(&w->asked);
		w->asked = w->ref;
		w->from = n->digest;
	} else {
		ref_release(&w->ref);
	}
	w->ref = next;
	if (next.kind == REF_TREE && w->owner)
		resolve_tree(n->forcer, w);
	else
		want_answered(w);
}

static void tell_set(const struct node *n, struct want *w)
{
	w->memoised = w->memoised && n->memoised;
	w->ref.digest = n->sized.digest;
	w->ref.size_bytes = n->sized.size_bytes;
	want_answered(w);
}

/* n is the resolved thunk of w's owner: its result is the owner's. */
static void tell_resolved(const struct node *n, struct want *w)
{
	struct node *owner = w->owner;
	struct error err = ERROR_INIT;
	owner->memoised = n->memoised && !owner->ran_below;
	memo_copy(&owner->memo, &n->memo);
	owner->memo.thunk = owner->digest;
	if (index_memo_put(owner->forcer->index, &owner->memo, &err) < 0)
		log_warning("no memo of %s: %s", digest_hex(&owner->digest).text, error_text(&err));
	/* Of this thunk nothing has run, whatever has for its inputs; else the run has been logged.
	 */
	if (n->memoised)
		node_log_known(owner);
	node_settle_memo(owner);
}

/* The resolved thunk's failure as the owner's: that is the one people know and retry. */
static void tell_resolved_failed(const struct node *n, struct want *w)
{
	struct node *owner = w->owner;
	const struct shared_failure *from = n->failure;
	if (from->has_absent && node_heal(owner, &from->absent))
		return;
	struct shared_failure *own =
	        failure_new(&owner->digest, from->failure.code, "%s", from->failure.reason);
	free(own->failure.stderr_tail);
	free(own->failure.engine);
	own->failure.stderr_tail = xstrdup(from->failure.stderr_tail);
	own->failure.engine = xstrdup(from->failure.engine);
	own->failure.exit_status = from->failure.exit_status;
	node_settle_failure(owner, own);
}

static void tell_failed(struct node *n, struct want *w)
{
	if (w->kind == WANT_RESOLVED) {
		tell_resolved_failed(n, w);
		return;
	}
	if (!n->failure->unowned || (w->owner && w->owner->kind == NODE_SET)) {
		want_failed(w, n->failure);
		return;
	}
	want_failed_as(w, failure_new(blamed(w), n->failure->failure.code, "%s",
	                              n->failure->failure.reason));
}

void node_deliver(struct node *n)
{
	/* Off the map first: who is told may want the same thunk again, with less trust. */
	node_take_out(n);
	for (struct want *w; (w = TAILQ_FIRST(&n->waiters));) {
		want_detach(w);
		if (n->failure)
			tell_failed(n, w);
		else if (w->kind == WANT_RESOLVED)
			tell_resolved(n, w);
		else if (w->kind == WANT_SET)
			tell_set(n, w);
		else
			tell_output(n, w);
	}
	node_free(n);
}
