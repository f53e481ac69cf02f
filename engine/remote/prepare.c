/* What a job needs before it can be sent: its inputs listed, and in the far store. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/remote_impl.h"

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

void job_listed(void *arg)
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
