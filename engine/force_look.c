/* Looking without doing. */
#include <errno.h>

#include "common/io.h"
#include "engine/force_impl.h"

/* What a search for failures beneath a thunk came to. */
struct look_memory {
	bool failed;
	struct digest root;     /* failed: whose failure it was */
	uint64_t failures_made; /* not failed: good as long as there were no more failures since */
};

void looks_forget(struct forcer *f)
{
	size_t position = 0;
	for (void *value; (value = digest_map_next(&f->looks_known, &position));)
		free(value);
	digest_map_release(&f->looks_known);
}

static void look_remember(struct forcer *f, const struct digest *thunk, const struct digest *root)
{
	if (f->looks_known.count >= FORCE_LOOKS_KNOWN_MAX)
		looks_forget(f);
	struct look_memory *memory = xcalloc(1, sizeof(*memory));
	memory->failed = root;
	if (root)
		memory->root = *root;
	memory->failures_made = f->failures_made;
	free(digest_map_put(&f->looks_known, thunk, memory));
}

/* The failure of this very thunk, if it still counts. */
static bool remembered_failure(struct forcer *f, const struct digest *thunk, struct failure *out)
{
	struct failure failure = { 0 };
	if (index_failure_get(f->index, thunk, &failure) < 0)
		return false;
	if (failure.until_ns != 0 && failure.until_ns <= wall_ns()) {
		failure_release(&failure);
		return false;
	}
	*out = failure;
	return true;
}

/* --- the search for a failure beneath ------------------------------------------------------------
 */

struct search {
	struct forcer *forcer;
	struct digest *stack;
	size_t count, capacity;
	struct digest_map seen;
	size_t visited;
};

static void search_push(struct search *s, const struct digest *thunk)
{
	if (digest_map_get(&s->seen, thunk))
		return;
	digest_map_put(&s->seen, thunk, s); /* any value: it is a set */
	array_grow(s->stack, s->count, s->capacity);
	s->stack[s->count++] = *thunk;
}

static void push_entries(struct search *s, const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].kind == ENTRY_FILE && m->entries[i].ref.kind == REF_THUNK)
			search_push(s, &m->entries[i].ref.digest);
}

static void push_set(struct search *s, const struct digest *set)
{
	const struct manifest *m;
	const struct sized_digest *known = set_known(s->forcer, set);
	bool plain = known && digest_equal(&known->digest, set);
	if (!plain && tree_manifest(s->forcer, set, &m, NULL) == 0)
		push_entries(s, m);
}

static void push_inputs(struct search *s, const struct digest *thunk)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	if (thunk_load(s->forcer->store, thunk, &t, NULL) < 0)
		return;
	push_entries(s, &t.inputs);
	for (size_t i = 0; i < t.set_count; i++)
		push_set(s, &t.sets[i].digest);
	if (t.has_toolchain)
		push_set(s, &t.toolchain.digest);
}

/* What a thunk came to is again a thunk: that one may have failed. */
static void push_answers(struct search *s, const struct memo *memo)
{
	for (size_t i = 0; i < memo->count; i++)
		if (memo->outputs[i].ref.kind == REF_THUNK)
			search_push(s, &memo->outputs[i].ref.digest);
}

/* Visits one thunk; true when a failure was found. */
static bool search_visit(struct search *s, const struct digest *thunk, struct failure *out)
{
	scoped_memo struct memo memo = MEMO_INIT;
	if (index_memo_get(s->forcer->index, thunk, &memo, NULL) == 0) {
		push_answers(s, &memo);
		return false;
	}
	if (remembered_failure(s->forcer, thunk, out))
		return true;
	const struct look_memory *known = digest_map_get(&s->forcer->looks_known, thunk);
	if (known && known->failed && remembered_failure(s->forcer, &known->root, out))
		return true;
	if (!known || known->failed || known->failures_made != s->forcer->failures_made)
		push_inputs(s, thunk);
	return false;
}

/* Whether something that thunk needs is known to have failed. */
static bool failure_beneath(struct forcer *f, const struct digest *thunk, struct failure *out)
{
	struct search s = { .forcer = f };
	bool found = false;
	search_push(&s, thunk);
	while (s.count && !found && s.visited < FORCE_LOOK_VISIT_MAX) {
		struct digest at = s.stack[--s.count];
		s.visited++;
		found = search_visit(&s, &at, out);
	}
	look_remember(f, thunk, found ? &out->thunk : NULL);
	free(s.stack);
	digest_map_release(&s.seen);
	return found;
}

/* --- looking --------------------------------------------------------------------------------- */

static void look_failed(struct force_look *look, const struct digest *thunk, int code,
                        const char *text)
{
	look->state = STATE_FAILED;
	look->failure = (struct failure){
		.thunk = *thunk,
		.code = code,
		.exit_status = -1,
		.when_ns = wall_ns(),
		.reason = xstrdup(text),
		.stderr_tail = xstrdup(""),
		.engine = xstrdup(""),
	};
}

static void look_ready(struct forcer *f, const struct ref *ref, struct force_look *look)
{
	look->state = STATE_READY;
	ref_replace(&look->ref, ref);
	look->size_guess = ref->size_bytes;
	uint64_t size_bytes;
	look->local = store_has(f->store, &ref->digest, &size_bytes, NULL) == 0 &&
	              size_bytes == ref->size_bytes;
}

static void look_unmade(struct forcer *f, const struct digest *thunk, struct force_look *look)
{
	/* A failure first: whoever forces it again will hear of it at once. */
	if (remembered_failure(f, thunk, &look->failure))
		look->state = STATE_FAILED;
	else if (digest_map_get(&f->thunks, thunk))
		look->state = STATE_FORCING;
	else if (failure_beneath(f, thunk, &look->failure))
		look->state = STATE_FAILED;
	else
		look->state = STATE_UNFORCED;
}

/* Follows memos from at, which it changes, as far as they lead. */
static int look_along(struct forcer *f, struct ref *at, struct force_look *look, struct error *err)
{
	for (unsigned hops = 0; at->kind == REF_THUNK; hops++) {
		scoped_memo struct memo memo = MEMO_INIT;
		struct error why = ERROR_INIT;
		struct ref next = REF_INIT;
		int r = index_memo_get(f->index, &at->digest, &memo, err);
		if (r == -ENOENT || r == -EBADMSG) {
			look_unmade(f, &at->digest, look);
			return 0;
		}
		if (r < 0)
			return r;
		if (hops >= FORCE_FOLLOW_MAX) {
			look_failed(look, &at->digest, ELOOP,
			            "its answers are thunks without end, or go round in a circle");
			return 0;
		}
		r = ref_step(f, &memo, at, &next, &why);
		if (r == -ENOENT) {
			look_failed(look, &at->digest, EREMOTEIO, error_text(&why));
			return 0;
		}
		if (r < 0) { /* a tree is gone: it will be made again */
			look->state = STATE_UNFORCED;
			return 0;
		}
		ref_release(at);
		*at = next;
	}
	look_ready(f, at, look);
	return 0;
}

int forcer_look(struct forcer *f, const struct ref *ref, struct force_look *out, struct error *err)
{
	struct force_look look = { .size_guess = UINT64_MAX };
	scoped_ref struct ref at = REF_INIT;
	ref_copy(&at, ref);
	if (ref->kind == REF_THUNK && !ref->selection)
		index_size_get(f->index, ref->output, &look.size_guess);
	int r = look_along(f, &at, &look, err);
	if (r < 0)
		return r;
	*out = look;
	return 0;
}

/* --- what is being done --------------------------------------------------------------------- */

/* The thunk that a thunk answered with, of several outputs the first that is one. */
static bool answered_with(struct forcer *f, const struct digest *thunk, struct digest *next)
{
	scoped_memo struct memo memo = MEMO_INIT;
	if (index_memo_get(f->index, thunk, &memo, NULL) < 0)
		return false;
	for (size_t i = 0; i < memo.count; i++) {
		if (memo.outputs[i].ref.kind != REF_THUNK)
			continue;
		*next = memo.outputs[i].ref.digest;
		return true;
	}
	return false;
}

struct node *node_in_hand(struct forcer *f, const struct digest *thunk)
{
	struct digest at = *thunk;
	for (unsigned hops = 0; hops <= FORCE_FOLLOW_MAX; hops++) {
		struct node *n = digest_map_get(&f->thunks, &at);
		if (n || !answered_with(f, &at, &at))
			return n;
	}
	return NULL;
}

static bool is_under_work(const struct node *n)
{
	return n->kind == NODE_THUNK && n->asked &&
	       (n->merged || n->state == NODE_READY || n->state == NODE_RUNNING ||
	        n->state == NODE_PAUSED);
}

int forcer_waiting_for(struct forcer *f, const struct digest *thunk, struct digest **out,
                       size_t *count)
{
	struct node *stack = node_in_hand(f, thunk);
	struct digest *found = NULL;
	size_t found_count = 0, capacity = 0;
	uint64_t walk = ++f->walks;
	if (!stack)
		return -ENOENT;
	stack->next_on_stack = NULL;
	stack->walk = walk;
	while (stack) {
		struct node *at = stack;
		stack = at->next_on_stack;
		for (size_t i = 0; i < at->want_count; i++) {
			struct node *below = at->wants[i].target;
			if (!below || below->walk == walk)
				continue;
			below->walk = walk;
			below->next_on_stack = stack;
			stack = below;
			if (is_under_work(below)) {
				array_grow(found, found_count, capacity);
				found[found_count++] = below->digest;
			}
		}
	}
	*out = found;
	*count = found_count;
	return 0;
}
