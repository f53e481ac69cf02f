/* From a thunk with lazy inputs to the resolved thunk, and the same for input sets. */
#include <errno.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/force_impl.h"

int ref_here(struct forcer *f, const struct ref *ref, struct error *err)
{
	uint64_t size_bytes;
	int r = store_has(f->store, &ref->digest, &size_bytes, err);
	if (r == -ENOENT && ref->kind == REF_BLOB && forcer_far_has(f, &ref->digest))
		return 0;
	if (r < 0 || size_bytes == ref->size_bytes)
		return r;
	r = store_verify(f->store, &ref->digest, err);
	return r < 0 ? r
	             : error_set(err, -EBADMSG, "the blob %s has %llu bytes, not %llu",
	                         digest_hex(&ref->digest).text, (unsigned long long)size_bytes,
	                         (unsigned long long)ref->size_bytes);
}

bool memo_usable(struct forcer *f, const struct digest *thunk, struct memo *out)
{
	struct error err = ERROR_INIT;
	scoped_memo struct memo memo = MEMO_INIT;
	int r = index_memo_get(f->index, thunk, &memo, &err);
	if (r < 0) {
		if (r != -ENOENT)
			log_warning("the memo of %s is not used: %s", digest_hex(thunk).text,
			            error_text(&err));
		return false;
	}
	for (size_t i = 0; i < memo.count; i++) {
		const struct ref *ref = &memo.outputs[i].ref;
		if (ref->kind != REF_THUNK && ref_here(f, ref, NULL) < 0)
			return false;
	}
	*out = memo;
	memo = MEMO_INIT;
	return true;
}

/* --- sets that are known ---------------------------------------------------------------------- */

const struct sized_digest *set_known(struct forcer *f, const struct digest *set)
{
	return digest_map_get(&f->sets_known, set);
}

void sets_forget(struct forcer *f)
{
	size_t position = 0;
	for (void *value; (value = digest_map_next(&f->sets_known, &position));)
		free(value);
	digest_map_release(&f->sets_known);
}

static void set_remember(struct forcer *f, const struct digest *set,
                         const struct sized_digest *resolved)
{
	if (f->sets_known.count >= FORCE_SETS_KNOWN_MAX)
		sets_forget(f);
	struct sized_digest *value = xmalloc(sizeof(*value));
	*value = *resolved;
	free(digest_map_put(&f->sets_known, set, value));
}

/* --- what a node needs -------------------------------------------------------------------------
 */

/* A thunk's inputs are numbered: the single ones, then the sets, then the toolchain; a set's
 * entries likewise. One pass counts what is lazy, a second makes the wants. */

static struct sized_digest *thunk_set(struct thunk *t, size_t slot)
{
	size_t at = slot - t->inputs.count;
	return at < t->set_count ? &t->sets[at] : &t->toolchain;
}

static size_t slot_count(const struct node *n)
{
	if (n->kind == NODE_SET)
		return n->set->count;
	return n->thunk->inputs.count + n->thunk->set_count + (n->thunk->has_toolchain ? 1 : 0);
}

/* What stands in the slot: a thunk's output, or a tree (a set is one). False: neither. */
static bool slot_ref(struct node *n, size_t slot, struct ref *borrowed)
{
	const struct manifest *entries = n->kind == NODE_SET ? n->set : &n->thunk->inputs;
	if (slot < entries->count) {
		const struct manifest_entry *e = &entries->entries[slot];
		*borrowed = e->ref;
		return e->kind == ENTRY_FILE && e->ref.kind != REF_BLOB;
	}
	const struct sized_digest *set = thunk_set(n->thunk, slot);
	*borrowed = (struct ref){
		.kind = REF_TREE,
		.digest = set->digest,
		.size_bytes = set->size_bytes,
	};
	return true;
}

static bool entry_fill(struct manifest_entry *entry, const struct ref *answer)
{
	if (ref_equal(&entry->ref, answer))
		return false;
	ref_replace(&entry->ref, answer);
	return true;
}

bool thunk_slot_fill(struct thunk *t, size_t slot, const struct ref *ref)
{
	if (slot < t->inputs.count)
		return entry_fill(&t->inputs.entries[slot], ref);
	struct sized_digest *set = thunk_set(t, slot);
	if (digest_equal(&set->digest, &ref->digest))
		return false;
	*set = (struct sized_digest){ ref->digest, ref->size_bytes };
	return true;
}

static bool slot_fill(struct node *n, size_t slot, const struct ref *answer)
{
	return n->kind == NODE_SET ? entry_fill(&n->set->entries[slot], answer)
	                           : thunk_slot_fill(n->thunk, slot, answer);
}

/* Whether the slot must be waited for. Trees whose resolved form is known are replaced here. */
static bool slot_is_open(struct node *n, size_t slot, struct ref *borrowed)
{
	if (!slot_ref(n, slot, borrowed))
		return false;
	if (borrowed->kind == REF_THUNK)
		return true;
	const struct sized_digest *known = set_known(n->forcer, &borrowed->digest);
	if (!known)
		return true;
	struct ref answer = {
		.kind = REF_TREE,
		.digest = known->digest,
		.size_bytes = known->size_bytes,
	};
	n->changed = slot_fill(n, slot, &answer) || n->changed;
	return false;
}

static void make_want(struct node *n, struct want *w, size_t slot, const struct ref *ref)
{
	struct node_wish wish = node_wish(n);
	*w = (struct want){ .owner = n, .slot = slot, .memoised = true };
	w->kind = ref->kind == REF_THUNK ? WANT_OUTPUT : WANT_SET;
	ref_copy(&w->ref, ref);
	want_attach(w, node_obtain(n->forcer, ref->kind == REF_THUNK ? NODE_THUNK : NODE_SET,
	                           &ref->digest, &wish));
}

/* Makes a want for each input that is lazy. */
static void collect_wants(struct node *n)
{
	size_t slots = slot_count(n), open = 0;
	struct ref ref;
	for (size_t slot = 0; slot < slots; slot++)
		open += slot_is_open(n, slot, &ref);
	if (!open)
		return;
	n->wants = xcalloc(open, sizeof(*n->wants));
	for (size_t slot = 0; slot < slots && n->want_count < open; slot++)
		if (slot_is_open(n, slot, &ref))
			make_want(n, &n->wants[n->want_count++], slot, &ref);
	n->pending = n->want_count;
}

static void fail_cycle(struct node *n, char *path)
{
	node_settle_failure(n,
	                    failure_new(&n->digest, ELOOP, "a thunk waits for itself: %s", path));
	free(path);
}

/* Waits for what n needs. False when there is nothing to wait for, or n has failed. */
static bool wait_for_inputs(struct node *n)
{
	char *path;
	if (n->depth > FORCE_DEPTH_MAX) {
		node_settle_failure(n, failure_new(&n->digest, ELOOP,
		                                   "thunks wait for one another more than %d deep",
		                                   FORCE_DEPTH_MAX));
		return false;
	}
	collect_wants(n);
	node_enter(n, NODE_WAITING);
	if (n->followed && n->want_count && graph_reaches(n, n, &path)) {
		fail_cycle(n, path);
		return false;
	}
	return n->pending > 0;
}

/* --- thunks -------------------------------------------------------------------------------- */

static bool failure_is_remembered(struct node *n)
{
	struct failure failure = { 0 };
	if (!n->asked || index_failure_get(n->forcer->index, &n->digest, &failure) < 0)
		return false;
	if (failure.code == EDQUOT || (failure.until_ns != 0 && failure.until_ns <= wall_ns())) {
		failure_release(&failure);
		return false;
	}
	struct shared_failure *shared = xcalloc(1, sizeof(*shared));
	*shared = (struct shared_failure){ .refs = 1, .failure = failure };
	n->failure = shared;
	return true;
}

static bool load_thunk(struct node *n)
{
	struct error err = ERROR_INIT;
	struct thunk t = THUNK_INIT;
	int r = thunk_load(n->forcer->store, &n->digest, &t, &err);
	if (r == -ENOENT && node_fetches(n, &n->digest))
		return false;
	if (r < 0) {
		node_settle_failure(n, failure_new(&n->digest, EIO, "%s", error_text(&err)));
		return false;
	}
	n->thunk = xmalloc(sizeof(*n->thunk));
	*n->thunk = t;
	return true;
}

/* n's thunk has none but known inputs and differs from n: what runs is the resolved thunk. */
static void merge_with_resolved(struct node *n)
{
	struct error err = ERROR_INIT;
	struct digest resolved;
	if (thunk_finish(n->thunk, &err) < 0) {
		node_settle_failure(n, failure_new(&n->digest, EIO,
		                                   "its inputs do not fit together: %s",
		                                   error_text(&err)));
		return;
	}
	thunk_digest(n->thunk, &resolved);
	struct node_wish wish = node_wish(n);
	struct node *target = node_obtain(n->forcer, NODE_THUNK, &resolved, &wish);
	if (target->state == NODE_NEW && !target->thunk) {
		target->thunk = steal(&n->thunk);
		target->resolved = true;
		target->label = xstrdup(n->label);
		target->distrust = target->distrust || n->distrust;
	} else {
		thunk_release(n->thunk);
		free(steal(&n->thunk));
	}
	n->wants = xcalloc(1, sizeof(*n->wants));
	n->want_count = n->pending = 1;
	n->wants[0] = (struct want){ .kind = WANT_RESOLVED, .owner = n, .memoised = true };
	want_attach(&n->wants[0], target);
	n->merged = true;
	node_enter(n, NODE_WAITING);
}

static void thunk_inputs_known(struct node *n)
{
	if (n->changed)
		merge_with_resolved(n);
	else
		node_to_ready(n);
}

static void thunk_step(struct node *n)
{
	if (node_takes_early(n))
		return;
	if (!n->distrust && memo_usable(n->forcer, &n->digest, &n->memo)) {
		n->memoised = true;
		node_settle_memo(n);
		return;
	}
	if (node_fetches_for_memo(n))
		return;
	if (failure_is_remembered(n)) {
		n->memoised = true;
		node_settle_failure(n, steal(&n->failure));
		return;
	}
	if (node_asks_memo(n))
		return;
	if (n->resolved) {
		node_to_ready(n);
		return;
	}
	if (!load_thunk(n))
		return;
	if (!n->label)
		n->label = xstrdup(n->thunk->outputs[0].path);
	if (!wait_for_inputs(n) && n->state == NODE_WAITING)
		thunk_inputs_known(n);
}

/* --- sets ---------------------------------------------------------------------------------- */

static void fail_set(struct node *n, int r, const char *text)
{
	struct shared_failure *failure =
	        failure_new(&n->digest, r == -ENOSPC ? ENOSPC : EIO, "the input set %s: %s",
	                    digest_hex(&n->digest).text, text);
	failure->unowned = true;
	node_settle_failure(n, failure);
}

static void set_inputs_known(struct node *n)
{
	struct error err = ERROR_INIT;
	if (n->changed) {
		scoped_buf struct buf text = BUF_INIT;
		manifest_encode(n->set, &text);
		n->sized.size_bytes = text.len;
		int r = store_put_bytes(n->forcer->store, text.data, text.len, &n->sized.digest,
		                        &err);
		if (r < 0) {
			fail_set(n, r, error_text(&err));
			return;
		}
	}
	set_remember(n->forcer, &n->digest, &n->sized);
	/* What it resolves to has no thunks: nobody needs to read it to learn that. */
	if (n->changed)
		set_remember(n->forcer, &n->sized.digest, &n->sized);
	node_settle_set(n);
}

static void set_step(struct node *n)
{
	struct error err = ERROR_INIT;
	const struct sized_digest *known = set_known(n->forcer, &n->digest);
	if (known) {
		n->sized = *known;
		node_settle_set(n);
		return;
	}
	scoped_buf struct buf text = BUF_INIT;
	int r = store_get_bytes(n->forcer->store, &n->digest, MANIFEST_BYTES_MAX, &text, &err);
	if (r == -ENOENT && node_fetches(n, &n->digest))
		return;
	if (r < 0) {
		fail_set(n, r, r == -ENOENT ? "it is not in the store" : error_text(&err));
		return;
	}
	struct manifest m = MANIFEST_INIT;
	if (manifest_decode(text.data ? text.data : "", text.len, &m, &err) < 0) {
		fail_set(n, -EBADMSG, error_text(&err));
		return;
	}
	n->set = xmalloc(sizeof(*n->set));
	*n->set = m;
	n->sized = (struct sized_digest){ n->digest, text.len };
	if (!wait_for_inputs(n) && n->state != NODE_SETTLED)
		set_inputs_known(n);
}

/* --- both ---------------------------------------------------------------------------------- */

void node_step(struct node *n)
{
	if (n->kind == NODE_THUNK)
		thunk_step(n);
	else
		set_step(n);
}

void node_resolve(struct node *n)
{
	if (n->failure) { /* keep_going: the others are done now */
		node_settle_failure(n, steal(&n->failure));
		return;
	}
	for (size_t i = 0; i < n->want_count; i++) {
		struct want *w = &n->wants[i];
		n->changed = slot_fill(n, w->slot, &w->ref) || n->changed;
		n->ran_below = n->ran_below || !w->memoised;
	}
	node_release_wants(n);
	if (n->kind == NODE_SET) {
		n->memoised = !n->ran_below;
		set_inputs_known(n);
	} else {
		thunk_inputs_known(n);
	}
}
