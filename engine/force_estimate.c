/* What a force would take: a walk over thunks and sets that have no memo yet. */
#include <errno.h>

#include "engine/force_impl.h"

/* A thunk or an input set that is still to be visited. */
struct stop {
	bool is_set;
	struct digest digest;
};

struct estimating {
	struct forcer *forcer;
	bool whole;
	force_price_fn *price;
	void *arg;
	struct stop *stack;
	size_t count, capacity;
	struct digest_map seen;
	struct force_estimate *out;
};

static void push(struct estimating *e, const struct digest *d, bool is_set)
{
	if (digest_map_get(&e->seen, d))
		return;
	digest_map_put(&e->seen, d, e); /* any value: it is a set */
	array_grow(e->stack, e->count, e->capacity);
	e->stack[e->count++] = (struct stop){ is_set, *d };
}

static void push_manifest(struct estimating *e, const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *entry = &m->entries[i];
		if (entry->kind == ENTRY_FILE && entry->ref.kind != REF_BLOB)
			push(e, &entry->ref.digest, entry->ref.kind == REF_TREE);
	}
}

static int visit_set(struct estimating *e, const struct digest *set, struct error *err)
{
	const struct manifest *m;
	const struct sized_digest *known = set_known(e->forcer, set);
	if (known && digest_equal(&known->digest, set))
		return 0; /* nothing in it is lazy */
	int r = tree_manifest(e->forcer, set, &m, err);
	if (r == 0)
		push_manifest(e, m);
	return r;
}

static void count_thunk(struct estimating *e, const struct thunk *t)
{
	uint64_t micros = index_micros_get(e->forcer->index, t->outputs[0].path);
	e->out->to_run++;
	e->out->unknown += !micros;
	if (!micros)
		micros = FORCE_MICROS_UNKNOWN;
	e->out->micros += micros;
	e->out->nanodollars += (uint64_t)((double)e->price(e->arg, t) * (double)micros / 1e6);
}

static void count_known(struct estimating *e, const struct memo *memo)
{
	e->out->known++;
	e->out->spent_micros += memo->micros;
	e->out->spent_nanodollars += memo->cost_nanodollars;
	for (size_t i = 0; i < memo->count; i++)
		if (memo->outputs[i].ref.kind == REF_THUNK)
			push(e, &memo->outputs[i].ref.digest, false);
}

static int visit_thunk(struct estimating *e, const struct digest *digest, struct error *err)
{
	scoped_memo struct memo memo = MEMO_INIT;
	scoped_thunk struct thunk t = THUNK_INIT;
	bool known = memo_usable(e->forcer, digest, &memo);
	if (known)
		count_known(e, &memo);
	if (known && !e->whole)
		return 0;
	int r = thunk_load(e->forcer->store, digest, &t, err);
	/* A result that others made may be known, and its thunk not. */
	if (r < 0)
		return known && r == -ENOENT ? 0 : r;
	if (!known)
		count_thunk(e, &t);
	push_manifest(e, &t.inputs);
	for (size_t i = 0; i < t.set_count; i++)
		push(e, &t.sets[i].digest, true);
	if (t.has_toolchain)
		push(e, &t.toolchain.digest, true);
	return 0;
}

int forcer_estimate(struct forcer *f, const struct ref *refs, size_t count, bool whole,
                    force_price_fn *price, void *arg, struct force_estimate *out, struct error *err)
{
	struct estimating e = {
		.forcer = f, .whole = whole, .price = price, .arg = arg, .out = out
	};
	int r = 0;
	for (size_t i = 0; i < count; i++)
		if (refs[i].kind == REF_THUNK)
			push(&e, &refs[i].digest, false);
	while (r == 0 && e.count) {
		struct stop at = e.stack[--e.count];
		out->is_cut = out->to_run + out->known >= FORCE_ESTIMATE_MAX;
		if (out->is_cut)
			break;
		r = at.is_set ? visit_set(&e, &at.digest, err) : visit_thunk(&e, &at.digest, err);
	}
	free(e.stack);
	digest_map_release(&e.seen);
	return r;
}
