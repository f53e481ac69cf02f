/* What a job needs before it can be sent: its inputs listed, and in the far store. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/remote_impl.h"

/* --- listing: on the work thread ---------------------------------------------------------------
 */

static int by_digest(const void *a, const void *b)
{
	const struct sized_blob *x = a, *y = b;
	return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_SIZE);
}

static int by_size(const void *a, const void *b)
{
	const struct sized_blob *x = a, *y = b;
	return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static void drop_twins(struct inputs *in)
{
	size_t kept = 0;
	if (in->count == 0)
		return;
	qsort(in->blobs, in->count, sizeof(*in->blobs), by_digest);
	for (size_t i = 1; i < in->count; i++)
		if (by_digest(&in->blobs[i], &in->blobs[kept]) != 0)
			in->blobs[++kept] = in->blobs[i];
	in->count = kept + 1;
}

size_t job_thunk_count(const struct job *job, bool chain)
{
	return 1 + (chain ? job->job.next_count : 0);
}

const struct thunk *job_thunk(const struct job *job, size_t i)
{
	return i == 0 ? job->job.thunk : job->job.next[i - 1].thunk;
}

/* Not what a thunk before it in the chain gives. */
static bool is_listed(const struct job *job, const struct thunk *t, size_t i)
{
	const struct manifest_entry *entry = &t->inputs.entries[i];
	return entry->kind == ENTRY_FILE &&
	       (t == job->job.thunk || entry->ref.kind != REF_THUNK);
}

static int list_thunk_inside(struct job *job, const struct thunk *t, struct error *err)
{
	struct listing *l = &job->listing;
	struct store *near = job->e->context.near;
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->inputs.count; i++)
		if (is_listed(job, t, i))
			r = inputs_add_ref(&l->inside, near, &t->inputs.entries[i].ref, &l->absent,
			                   err);
	for (size_t i = 0; r == 0 && i < t->set_count; i++)
		r = inputs_add_manifest(&l->inside, near, &t->sets[i].digest, t->sets[i].size_bytes,
		                        &l->absent, err);
	if (r == 0 && t->has_toolchain)
		r = inputs_add_manifest(&l->inside, near, &t->toolchain.digest,
		                        t->toolchain.size_bytes, &l->absent, err);
	return r;
}

/* Without a far store everything travels in the request. */
static int list_all_inside(struct job *job, struct error *err)
{
	struct listing *l = &job->listing;
	size_t most = job->e->transport.ops->bytes_max;
	int r = 0;
	for (size_t i = 0; r == 0 && i < job_thunk_count(job, l->chain); i++)
		r = list_thunk_inside(job, job_thunk(job, i), err);
	if (r < 0)
		return r;
	drop_twins(&l->inside);
	for (size_t i = 0; i < l->inside.count && l->cost <= most; i++)
		l->cost += l->inside.blobs[i].size_bytes > most
		                   ? most + 1
		                   : remote_blob_cost((size_t)l->inside.blobs[i].size_bytes);
	if (l->cost > most || l->inside.count > REMOTE_BLOBS_MAX)
		return error_set(
		        err, -EFBIG,
		        "its inputs (%zu blobs) do not fit in one request of %zu bytes, and "
		        "there is no far store for them (far.url)",
		        l->inside.count, most);
	return 0;
}

static void add_job_set(struct job *job, const struct digest *d, uint64_t size_bytes,
                        bool is_toolchain)
{
	for (size_t i = 0; i < job->set_count; i++) {
		if (!digest_equal(&job->sets[i].id.digest, d))
			continue;
		job->sets[i].is_toolchain = job->sets[i].is_toolchain || is_toolchain;
		return;
	}
	array_grow(job->sets, job->set_count, job->set_capacity);
	job->sets[job->set_count++] = (struct job_set){
		.id = { .digest = *d, .size_bytes = size_bytes },
		.is_toolchain = is_toolchain,
	};
}

/* Small single inputs go inside as long as they fit, the smallest first. */
static int share_out(struct job *job, struct inputs *singles, struct error *err)
{
	struct listing *l = &job->listing;
	struct store *near = job->e->context.near;
	drop_twins(singles);
	if (singles->count)
		qsort(singles->blobs, singles->count, sizeof(*singles->blobs), by_size);
	for (size_t i = 0; i < singles->count; i++) {
		const struct sized_blob *b = &singles->blobs[i];
		size_t cost = b->size_bytes < REMOTE_INLINE_MAX
		                      ? remote_blob_cost((size_t)b->size_bytes)
		                      : REMOTE_INLINE_MAX;
		bool inside = !job->all_outside && l->cost + cost <= REMOTE_INLINE_MAX &&
		              store_has(near, &b->digest, NULL, NULL) == 0;
		int r = inputs_add_blob(inside ? &l->inside : &l->outside, near, &b->digest,
		                        b->size_bytes, err);
		if (r < 0)
			return r;
		if (inside)
			l->cost += cost;
	}
	return 0;
}

static int list_thunk_with_far(struct job *job, const struct thunk *t, struct inputs *singles,
                               struct error *err)
{
	struct listing *l = &job->listing;
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->inputs.count; i++) {
		const struct ref *ref = &t->inputs.entries[i].ref;
		if (!is_listed(job, t, i))
			continue;
		if (ref->kind == REF_TREE)
			add_job_set(job, &ref->digest, ref->size_bytes, false);
		else
			r = inputs_add_ref(singles, job->e->context.near, ref, &l->absent, err);
	}
	for (size_t i = 0; i < t->set_count; i++)
		add_job_set(job, &t->sets[i].digest, t->sets[i].size_bytes, false);
	if (t->has_toolchain)
		add_job_set(job, &t->toolchain.digest, t->toolchain.size_bytes, true);
	return r;
}

static int list_with_far(struct job *job, struct error *err)
{
	scoped_inputs struct inputs singles = { 0 };
	int r = 0;
	job->set_count = 0;
	for (size_t i = 0; r == 0 && i < job_thunk_count(job, job->listing.chain); i++)
		r = list_thunk_with_far(job, job_thunk(job, i), &singles, err);
	return r < 0 ? r : share_out(job, &singles, err);
}

/* The next thunks' texts: inside, all of them. */
static int list_chain(struct job *job, struct error *err)
{
	struct listing *l = &job->listing;
	for (size_t i = 0; i < job->job.next_count; i++) {
		scoped_buf struct buf text = BUF_INIT;
		thunk_encode(job->job.next[i].thunk, &text);
		l->cost += remote_blob_cost(text.len);
	}
	return l->cost > REMOTE_INLINE_MAX
	               ? error_set(err, -EFBIG, "what comes next does not fit in the request")
	               : 0;
}

/* The thunk's own text, which near need not have: inside, unless it alone is too large. */
static int list_thunk(struct job *job, struct error *err)
{
	struct listing *l = &job->listing;
	struct store *near = job->e->context.near;
	scoped_buf struct buf text = BUF_INIT;
	struct digest d;
	thunk_encode(job->job.thunk, &text);
	l->thunk_bytes = text.len;
	l->cost = REMOTE_REQUEST_SPARE + remote_blob_cost(text.len);
	if (!job->e->context.far || l->cost <= REMOTE_INLINE_MAX)
		return 0;
	l->thunk_outside = true;
	l->cost = REMOTE_REQUEST_SPARE;
	int r = store_put_bytes(near, text.data, text.len, &d, err);
	if (r < 0)
		return r;
	return inputs_add_blob(&l->outside, near, &d, text.len, err);
}

static void job_listed(void *arg);

static int list_all(struct job *job, bool chain, struct error *err)
{
	struct listing *l = &job->listing;
	listing_release(l);
	*l = (struct listing){ .chain = chain };
	int r = list_thunk(job, err);
	if (r == 0 && chain)
		r = list_chain(job, err);
	if (r < 0)
		return r;
	return job->e->context.far ? list_with_far(job, err) : list_all_inside(job, err);
}

static void list_job(void *arg)
{
	struct job *job = arg;
	struct listing *l = &job->listing;
	static const struct digest none;
	struct error err = ERROR_INIT;
	int r = -ENOENT;
	if (job->job.next_count && !job->unchained)
		r = list_all(job, true, &err);
	if (r < 0) /* or what comes next is in the way: it is sent by itself, later */
		r = list_all(job, false, &err);
	l->code = r;
	l->has_absent = !digest_equal(&l->absent, &none);
	l->reason = l->code < 0 ? xstrdup(error_text(&err)) : NULL;
	net_post(job->e->context.net, job_listed, job);
}

static void set_listed(void *arg);

static void pack_it(struct set *s, struct error *err)
{
	const struct remote_context *c = &s->e->context;
	int r = pack_set(c->near, c->far, &s->id.digest, s->doubted, &s->blobs, &s->pack,
	                 &s->absent, err);
	s->packed = r == 0;
	s->code = r < 0 ? r : 0;
}

static void list_set(void *arg)
{
	struct set *s = arg;
	struct error err = ERROR_INIT;
	sending_release(&s->blobs);
	free(s->reason);
	s->code = inputs_add_manifest(&s->blobs, s->e->context.near, &s->id.digest,
	                              s->id.size_bytes, &s->absent, &err);
	if (s->code == 0 && s->is_toolchain)
		pack_it(s, &err);
	s->reason = xstrdup(s->code < 0 ? error_text(&err) : "the engine is closed");
	net_post(s->e->context.net, set_listed, s);
}

/* --- sets --------------------------------------------------------------------------------------
 */

static void set_free(struct set *s)
{
	sending_release(&s->blobs);
	free(s->reason);
	free(s);
}

void sets_free(struct remote *e)
{
	size_t at = 0;
	for (struct set *s; (s = digest_map_next(&e->sets, &at));)
		set_free(s);
	digest_map_release(&e->sets);
	e->sets = DIGEST_MAP_INIT;
}

/* Forgets those nobody waits for; they are found to be there again when they are asked for. */
static void sets_thin_out(struct remote *e)
{
	struct digest_map kept = DIGEST_MAP_INIT;
	size_t at = 0;
	for (struct set *s; (s = digest_map_next(&e->sets, &at));) {
		if (!s->busy)
			set_free(s);
		else
			digest_map_put(&kept, &s->id.digest, s);
	}
	digest_map_release(&e->sets);
	e->sets = kept;
}

static struct set *set_obtain(struct remote *e, const struct sized_digest *id)
{
	struct set *s = digest_map_get(&e->sets, &id->digest);
	if (s)
		return s;
	if (e->sets.count >= REMOTE_SETS_MAX)
		sets_thin_out(e);
	s = xcalloc(1, sizeof(*s));
	s->e = e;
	s->id = *id;
	TAILQ_INIT(&s->waits);
	digest_map_put(&e->sets, &id->digest, s);
	return s;
}

static void wait_over(struct set_wait *w)
{
	TAILQ_REMOVE(&w->set->waits, w, link);
	w->set = NULL;
	w->job->waits_left--;
}

/* All it needs is there, one way or the other. */
static void job_pushed(struct job *job)
{
	if (job->waits_left > 0 || job->pushing || job->settled)
		return;
	free(job->packs);
	job->packs = xcalloc(job->set_count + 1, sizeof(*job->packs));
	job->pack_count = 0;
	for (size_t i = 0; i < job->set_count; i++) {
		const struct set *s =
		        job->sets[i].is_toolchain
		                ? digest_map_get(&job->e->sets, &job->sets[i].id.digest)
		                : NULL;
		if (s && s->packed)
			job->packs[job->pack_count++] = s->pack;
	}
	job_to_ready(job);
}

/* It came to code: who waits goes on, or fails alike. */
static void set_over(struct set *s, int code, const struct digest *absent, const char *reason)
{
	struct remote *e = s->e;
	struct set_wait *w;
	s->busy = false;
	s->there = code == 0;
	s->there_since_ms = now_ms();
	sending_release(&s->blobs);
	while ((w = TAILQ_FIRST(&s->waits))) {
		struct job *job = w->job;
		wait_over(w);
		if (code < 0)
			job_settle_code(job, code, absent, reason);
		else
			job_pushed(job);
	}
	remote_dispatch(e);
}

static struct pushing *pushing_new(struct remote *e)
{
	struct pushing *p = xcalloc(1, sizeof(*p));
	p->e = e;
	LIST_INSERT_HEAD(&e->pushes, p, link);
	return p;
}

static void set_pushed(void *arg, int code, const struct digest *absent, const struct error *err)
{
	struct pushing *p = arg;
	struct set *s = p->e ? p->set : NULL;
	if (s) {
		LIST_REMOVE(p, link);
		if (code == 0 && s->packed)
			pack_set_pushed(s->e->context.near, &s->pack);
		set_over(s, code, absent, err ? error_text(err) : strerror(-code));
	}
	free(p);
}

static void set_listed(void *arg)
{
	struct set *s = arg;
	struct far *far = s->e->context.far;
	if (s->code < 0 || s->e->closing) {
		set_over(s, s->code < 0 ? s->code : -ECANCELED,
		         s->code == -EBADMSG ? &s->absent : NULL, s->reason);
		return;
	}
	for (size_t i = 0; s->doubted && i < s->blobs.count; i++)
		far_remember(far, &s->blobs.blobs[i].digest, false);
	s->doubted = false;
	struct pushing *p = pushing_new(s->e);
	p->set = s;
	far_push(far, s->blobs.blobs, s->blobs.count, set_pushed, p);
}

static void wait_for_set(struct job *job, struct set_wait *w, struct set *s)
{
	*w = (struct set_wait){ .job = job };
	if (s->there)
		return;
	w->set = s;
	TAILQ_INSERT_TAIL(&s->waits, w, link);
	job->waits_left++;
	if (s->busy)
		return;
	s->busy = true;
	pool_submit(s->e->work, list_set, s);
}

/* --- jobs --------------------------------------------------------------------------------------
 */

void job_leave_waits(struct job *job)
{
	for (size_t i = 0; job->waits && i < job->set_count; i++)
		if (job->waits[i].set)
			wait_over(&job->waits[i]);
	free(job->waits);
	job->waits = NULL;
	if (job->pushing)
		job->pushing->job = NULL;
	job->pushing = NULL;
}

static void singles_pushed(void *arg, int code, const struct digest *absent,
                           const struct error *err)
{
	struct pushing *p = arg;
	struct job *job = p->e ? p->job : NULL;
	struct remote *e = p->e;
	if (e)
		LIST_REMOVE(p, link);
	free(p);
	if (!job)
		return;
	job->pushing = NULL;
	if (code < 0)
		job_settle_code(job, code, absent, err ? error_text(err) : strerror(-code));
	else
		job_pushed(job);
	remote_dispatch(e);
}

static void push(struct job *job)
{
	struct remote *e = job->e;
	struct listing *l = &job->listing;
	job->state = JOB_PUSHING;
	free(job->waits);
	job->waits = xcalloc(job->set_count + 1, sizeof(*job->waits));
	for (size_t i = 0; i < job->set_count; i++) {
		struct set *s = set_obtain(e, &job->sets[i].id);
		/* While it is busy the work thread reads it. */
		if (job->sets[i].is_toolchain && !s->busy)
			s->is_toolchain = true;
		wait_for_set(job, &job->waits[i], s);
	}
	if (l->outside.count) {
		job->pushing = pushing_new(e);
		job->pushing->job = job;
		far_push(e->context.far, l->outside.blobs, l->outside.count, singles_pushed,
		         job->pushing);
	}
	job_pushed(job);
}

static void job_listed(void *arg)
{
	struct job *job = arg;
	struct remote *e = job->e;
	struct listing *l = &job->listing;
	if (job->settled) {
		job_unborrow(job);
		return;
	}
	job->borrowed--;
	if (l->code < 0)
		job_settle_code(job, l->code, l->has_absent ? &l->absent : NULL, l->reason);
	else
		push(job);
	remote_dispatch(e);
}

void listing_release(struct listing *l)
{
	sending_release(&l->inside);
	sending_release(&l->outside);
	free(l->reason);
}

void job_prepare(struct job *job)
{
	job->state = JOB_NEW;
	job->borrowed++;
	pool_submit(job->e->work, list_job, job);
}

void job_doubt_inputs(struct job *job, int64_t sent_ms)
{
	struct remote *e = job->e;
	for (size_t i = 0; i < job->listing.outside.count; i++)
		far_remember(e->context.far, &job->listing.outside.blobs[i].digest, false);
	for (size_t i = 0; i < job->set_count; i++) {
		struct set *s = digest_map_get(&e->sets, &job->sets[i].id.digest);
		if (!s || !s->there || s->there_since_ms > sent_ms)
			continue;
		s->there = false;
		s->doubted = true;
	}
}
