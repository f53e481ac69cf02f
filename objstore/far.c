/* The far store: opening, what is remembered, groups and jobs. */
#include "objstore/far_private.h"

#include <search.h>

#include "common/io.h"

struct far_note {
	struct digest digest; /* first: found by it */
	bool there, wrong;
};

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

/* For disks and compression: one may wait for the disk while another computes. */
static unsigned pool_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return processors < 2                      ? 2
	       : processors < FAR_POOL_THREADS_MAX ? (unsigned)processors
	                                           : FAR_POOL_THREADS_MAX;
}

int far_new(struct aws *aws, struct store *near, const struct far_options *options,
            struct far **out, struct error *err)
{
	struct far *far = xcalloc(1, sizeof(*far));
	far->aws = aws;
	far->near = near;
	far->near_dirfd = store_local_dirfd(near);
	far->known = options->known;
	far->remember = options->remember;
	far->arg = options->arg;
	int r = s3_new(aws, options, &far->s3, err);
	if (r == 0)
		r = pool_new("ggfs-far", pool_threads(), &far->pool, err);
	if (r < 0) {
		s3_free(far->s3);
		free(far);
		return r;
	}
	pthread_mutex_init(&far->lock, NULL);
	pthread_cond_init(&far->idle, NULL);
	*out = far;
	return 0;
}

void far_set_limits(struct far *far, const struct s3_limits *limits)
{
	s3_set_limits(far->s3, limits);
}

const char *far_url(const struct far *far)
{
	return s3_get_place(far->s3)->url;
}

void far_usage(struct far *far, struct far_usage *out)
{
	s3_usage(far->s3, out);
}

/* --- what is remembered --------------------------------------------------------------------------
 */

void far_note(struct far *far, const struct digest *d, enum far_word word)
{
	pthread_mutex_lock(&far->lock);
	if (far->note_count >= FAR_NOTES_MAX) {
		/* Forgetting costs a question each. */
		tdestroy(far->notes, free);
		far->notes = NULL;
		far->note_count = 0;
	}
	struct far_note *fresh = xcalloc(1, sizeof(*fresh));
	fresh->digest = *d;
	struct far_note *note = *(struct far_note **)tsearch(fresh, &far->notes, compare_digests);
	bool changed = note == fresh || note->there != (word == FAR_THERE);
	if (note == fresh)
		far->note_count++;
	else
		free(fresh);
	note->there = word == FAR_THERE;
	note->wrong = word == FAR_WRONG;
	pthread_mutex_unlock(&far->lock);
	if (changed && far->remember)
		far->remember(far->arg, d, word == FAR_THERE);
}

static struct far_note look_up(struct far *far, const struct digest *d)
{
	struct far_note none = { .digest = *d };
	pthread_mutex_lock(&far->lock);
	struct far_note **found = tfind(d, &far->notes, compare_digests);
	struct far_note note = found ? **found : none;
	pthread_mutex_unlock(&far->lock);
	return note;
}

bool far_known(struct far *far, const struct digest *d)
{
	struct far_note note = look_up(far, d);
	if (note.there || note.wrong)
		return note.there;
	return far->known && far->known(far->arg, d);
}

bool far_is_wrong(struct far *far, const struct digest *d)
{
	return look_up(far, d).wrong;
}

void far_remember(struct far *far, const struct digest *d, bool there)
{
	/* Absent or of other bytes: the next push puts it, whatever is there. */
	far_note(far, d, there ? FAR_THERE : FAR_WRONG);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void group_end_one(struct far_group *group, const struct far_job *job, int code,
                          const struct error *err)
{
	if (code < 0 && group->code == 0) {
		group->code = code;
		group->absent = job->digest;
		group->err = xmalloc(sizeof(*group->err));
		*group->err = err ? *err : ERROR_INIT;
		group->err->code = code;
	}
	if (--group->remaining > 0)
		return;
	group->done(group->arg, group->code, group->code == -ENOENT ? &group->absent : NULL,
	            group->err);
	free(group->err);
	free(group);
}

static void free_job(struct far_job *job)
{
	s3_body_release(&job->body);
	free(job->key);
	free(job->err);
	free(job);
}

/* Not one of those under way any more, or never was. */
static void tell_waiters(struct far_job *job, int code, const struct error *err)
{
	struct far_waiter *waiter = job->waiters;
	tdelete(job, &job->far->jobs[job->kind], compare_digests);
	while (waiter) {
		struct far_waiter *next = waiter->next;
		group_end_one(waiter->group, job, code, err);
		free(waiter);
		waiter = next;
	}
	free_job(job);
}

static void begin(struct far_job *job)
{
	job->key = s3_key(s3_get_place(job->far->s3), S3_OBJECTS, &job->digest);
	job->body = S3_BODY_INIT(job->far->near_dirfd);
	if (job->kind == FAR_PUSH)
		far_push_begin(job);
	else
		far_pull_begin(job);
}

static void begin_next(struct far *far)
{
	while (far->queue && far->active < s3_connections(far->s3)) {
		struct far_job *job = far->queue;
		far->queue = job->next;
		far->active++;
		begin(job);
	}
}

static void tell_if_idle(struct far *far)
{
	if (!far->stopping || far->active > 0)
		return;
	pthread_mutex_lock(&far->lock);
	far->is_idle = true;
	pthread_cond_signal(&far->idle);
	pthread_mutex_unlock(&far->lock);
}

void far_settle(struct far_job *job, int code, const struct error *err)
{
	struct far *far = job->far;
	far->active--;
	tell_waiters(job, code, err);
	begin_next(far);
	tell_if_idle(far);
}

void far_job_result(struct far_job *job, int code, const struct error *err)
{
	free(job->err);
	job->err = NULL;
	job->code = code;
	if (code < 0) {
		job->err = xmalloc(sizeof(*job->err));
		*job->err = *err;
	}
}

struct pooled {
	struct far_job *job;
	loop_fn *work, *done;
};

static void work_done(void *arg)
{
	struct pooled *p = arg;
	struct far_job *job = p->job;
	loop_fn *done = p->done;
	struct error err = ERROR_INIT;
	free(p);
	if (job->far->stopping)
		far_settle(job, error_set(&err, -ECANCELED, "%s: closed", far_url(job->far)), &err);
	else
		done(job);
}

static void do_work(void *arg)
{
	struct pooled *p = arg;
	p->work(p->job);
	net_post(aws_net(p->job->far->aws), work_done, p);
}

void far_in_pool(struct far_job *job, loop_fn *work, loop_fn *done)
{
	struct pooled *p = xcalloc(1, sizeof(*p));
	*p = (struct pooled){ .job = job, .work = work, .done = done };
	pool_submit(job->far->pool, do_work, p);
}

static struct far_job *job_of(struct far *far, enum far_kind kind, const struct sized_blob *blob)
{
	struct far_job **found = tfind(&blob->digest, &far->jobs[kind], compare_digests);
	if (found)
		return *found;
	struct far_job *job = xcalloc(1, sizeof(*job));
	*job = (struct far_job){ .digest = blob->digest,
		                 .far = far,
		                 .kind = kind,
		                 .size_bytes = blob->size_bytes,
		                 .queued_ms = now_ms(),
		                 .body = S3_BODY_INIT(-1) };
	tsearch(job, &far->jobs[kind], compare_digests);
	if (far->queue)
		far->queue_last->next = job;
	else
		far->queue = job;
	far->queue_last = job;
	return job;
}

struct asked {
	struct far *far;
	enum far_kind kind;
	struct far_group *group;
	size_t count;
	struct sized_blob blobs[];
};

static void ask_on_net(void *arg)
{
	scoped_free struct asked *asked = arg;
	struct far *far = asked->far;
	struct far_group *group = asked->group;
	struct error err = ERROR_INIT;
	struct far_job none = { 0 };
	int code = far->stopping ? error_set(&err, -ECANCELED, "%s: closed", far_url(far)) : 0;
	/* One more than there are blobs, so that the group ends here at the earliest. */
	group->remaining = asked->count + 1;
	for (size_t i = 0; i < asked->count; i++) {
		const struct sized_blob *blob = &asked->blobs[i];
		if (code < 0 || (asked->kind == FAR_PUSH && far_known(far, &blob->digest))) {
			group_end_one(group, &none, code, &err);
			continue;
		}
		struct far_waiter *waiter = xcalloc(1, sizeof(*waiter));
		struct far_job *job = job_of(far, asked->kind, blob);
		*waiter = (struct far_waiter){ .group = group, .next = job->waiters };
		job->waiters = waiter;
	}
	group_end_one(group, &none, code, &err);
	begin_next(far);
}

static void ask(struct far *far, enum far_kind kind, const struct sized_blob *blobs, size_t count,
                far_many_fn *done, void *arg)
{
	struct asked *asked = xcalloc(1, sizeof(*asked) + count * sizeof(*blobs));
	struct far_group *group = xcalloc(1, sizeof(*group));
	*group = (struct far_group){ .done = done, .arg = arg };
	asked->far = far;
	asked->kind = kind;
	asked->group = group;
	asked->count = count;
	if (count > 0)
		memcpy(asked->blobs, blobs, count * sizeof(*blobs));
	net_post(aws_net(far->aws), ask_on_net, asked);
}

void far_push(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	ask(far, FAR_PUSH, blobs, count, done, arg);
}

void far_pull(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg)
{
	ask(far, FAR_PULL, blobs, count, done, arg);
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void stop_on_net(void *arg)
{
	struct far *far = arg;
	struct error err = ERROR_INIT;
	int code = error_set(&err, -ECANCELED, "%s: closed", far_url(far));
	struct far_job *job = far->queue;
	far->stopping = true;
	far->queue = NULL;
	while (job) {
		struct far_job *next = job->next;
		tell_waiters(job, code, &err);
		job = next;
	}
}

static void await_idle(void *arg)
{
	tell_if_idle(arg);
}

void far_free(struct far *far)
{
	if (!far)
		return;
	struct net *net = aws_net(far->aws);
	net_post(net, stop_on_net, far);
	s3_close(far->s3);
	net_post(net, await_idle, far);
	pthread_mutex_lock(&far->lock);
	while (!far->is_idle)
		pthread_cond_wait(&far->idle, &far->lock);
	pthread_mutex_unlock(&far->lock);
	/* What told of being idle has returned when the net has run what was posted after. */
	s3_close(far->s3);
	pool_free(far->pool);
	s3_free(far->s3);
	tdestroy(far->notes, free);
	pthread_mutex_destroy(&far->lock);
	pthread_cond_destroy(&far->idle);
	free(far);
}
