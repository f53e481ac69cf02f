/* Listing: which blobs a job and its chain need, what of them goes inside the request, and what to
 * the far store. On the work thread. */
#include <string.h>

#include "engine/remote/remote_impl.h"

void listing_release(struct listing *l)
{
	sending_release(&l->inside);
	sending_release(&l->outside);
	free(l->reason);
}

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

/* How many thunks it comes to: its own, and with a chain its next ones. */
static size_t job_thunk_count(const struct job *job, bool chain)
{
	return 1 + (chain ? job->job.next_count : 0);
}

static const struct thunk *job_thunk(const struct job *job, size_t i)
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

void list_job(void *arg)
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
