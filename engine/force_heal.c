/*
 * Healing: a resolved thunk's input is not in the store although a memo promised it (somebody
 * removed the blob, or the disk did). Where it came from is not kept; it is found again here, by
 * looking where the lazy inputs of the original thunk lead, and made anew.
 */
#include <errno.h>

#include "common/log.h"
#include "engine/force_impl.h"

struct node *node_distrusted(struct forcer *f, const struct digest *thunk,
                             const struct node_wish *wish)
{
	struct node *n = node_obtain(f, NODE_THUNK, thunk, wish);
	n->asked = true;
	node_recount(n);
	if (n->state == NODE_NEW)
		n->distrust = true;
	return n;
}

static bool manifest_has(const struct manifest *m, const struct digest *blob)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].kind == ENTRY_FILE &&
		    digest_equal(&m->entries[i].ref.digest, blob))
			return true;
	return false;
}

/* If following ref ends at the blob, or at a tree that holds it: the last thunk of the way. */
static bool leads_to(struct forcer *f, const struct ref *ref, const struct digest *blob,
                     struct digest *thunk)
{
	scoped_ref struct ref at = REF_INIT;
	ref_copy(&at, ref);
	for (unsigned hops = 0; at.kind == REF_THUNK && hops < FORCE_FOLLOW_MAX; hops++) {
		scoped_memo struct memo memo = MEMO_INIT;
		struct ref next = REF_INIT;
		*thunk = at.digest;
		if (index_memo_get(f->index, &at.digest, &memo, NULL) < 0 ||
		    ref_step(f, &memo, &at, &next, NULL) < 0)
			return false;
		ref_release(&at);
		at = next;
	}
	if (digest_equal(&at.digest, blob))
		return true;
	const struct manifest *m;
	return at.kind == REF_TREE && tree_manifest(f, &at.digest, &m, NULL) == 0 &&
	       manifest_has(m, blob);
}

static bool heal_entries(struct node *owner, const struct manifest *m, const struct digest *blob)
{
	struct node_wish wish = node_wish(owner);
	struct digest thunk;
	bool found = false;
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		if (e->kind != ENTRY_FILE || e->ref.kind != REF_THUNK ||
		    !leads_to(owner->forcer, &e->ref, blob, &thunk))
			continue;
		node_distrusted(owner->forcer, &thunk, &wish);
		found = true;
	}
	return found;
}

static bool heal_set(struct node *owner, const struct digest *set, const struct digest *blob)
{
	struct forcer *f = owner->forcer;
	scoped_buf struct buf text = BUF_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	if (store_get_bytes(f->store, set, MANIFEST_BYTES_MAX, &text, NULL) < 0 ||
	    manifest_decode(text.data ? text.data : "", text.len, &m, NULL) < 0)
		return false;
	/* The set without its thunks may itself be what is gone: starting over makes it again. */
	const struct sized_digest *known = set_known(f, set);
	bool was_made = known && digest_equal(&known->digest, blob) && !digest_equal(set, blob);
	return heal_entries(owner, &m, blob) || was_made;
}

bool node_heal(struct node *owner, const struct digest *absent)
{
	struct forcer *f = owner->forcer;
	scoped_thunk struct thunk t = THUNK_INIT;
	if (owner->heals >= FORCE_HEALS_MAX || thunk_load(f->store, &owner->digest, &t, NULL) < 0)
		return false;
	/* A blob that is there but broken goes to quarantine, so that a put can replace it. */
	store_verify(f->store, absent, NULL);
	bool found = heal_entries(owner, &t.inputs, absent);
	for (size_t i = 0; i < t.set_count; i++)
		found = heal_set(owner, &t.sets[i].digest, absent) || found;
	if (t.has_toolchain)
		found = heal_set(owner, &t.toolchain.digest, absent) || found;
	if (!found)
		return false;
	log_warning("the blob %s is gone from the store or broken: it is made again",
	            digest_hex(absent).text);
	sets_forget(f);
	node_release_wants(owner);
	if (owner->thunk)
		thunk_release(owner->thunk);
	free(steal(&owner->thunk));
	owner->heals++;
	owner->merged = owner->changed = false;
	node_enter(owner, NODE_NEW);
	node_to_agenda(owner);
	return true;
}
