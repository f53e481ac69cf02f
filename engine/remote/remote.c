/* The table of functions of lambda and http, and their beginning and end. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/bring.h"
#include "engine/remote/remote_impl.h"

static struct remote *remote_of(struct engine *engine)
{
	return (struct remote *)engine;
}

static unsigned remote_capacity(struct engine *engine)
{
	return atomic_load(&remote_of(engine)->capacity);
}

/* --- from the caller's thread to the net's -----------------------------------------------------
 */

struct order {
	struct remote *e;
	uintptr_t id;
};

static void *order_new(struct remote *e, uintptr_t id)
{
	struct order *o = xmalloc(sizeof(*o));
	*o = (struct order){ .e = e, .id = id };
	return o;
}

static void new_capacity(void *arg)
{
	struct order *o = arg;
	pace_set_ceiling(&o->e->pace, atomic_load(&o->e->capacity));
	remote_dispatch(o->e);
	free(o);
}

static int remote_set_capacity(struct engine *engine, unsigned jobs, struct error *err)
{
	struct remote *e = remote_of(engine);
	if (jobs > REMOTE_JOBS_MAX)
		return error_set(err, -EINVAL, "%u jobs at once are more than %d", jobs,
		                 REMOTE_JOBS_MAX);
	atomic_store(&e->capacity, jobs ? jobs : REMOTE_JOBS_DEFAULT);
	net_post(e->context.net, new_capacity, order_new(e, 0));
	return 0;
}

static void begin(void *arg)
{
	struct job *job = arg;
	TAILQ_INSERT_TAIL(&job->e->jobs, job, link);
	if (job->e->closing)
		job_cancel(job);
	else
		job_prepare(job);
}


static int remote_submit(struct engine *engine, const struct engine_job *job,
                         struct engine_ticket **ticket, struct error *err)
{
	struct remote *e = remote_of(engine);
	struct job *mine = xcalloc(1, sizeof(*mine));
	(void)err;
	*mine = (struct job){ .e = e, .job = *job };
	mine->id = atomic_fetch_add(&e->last_id, 1) + 1;
	/* The thunks may be gone when an answer is read. */
	promise_make(&mine->promise, job->thunk, &job->digest);
	mine->timeout_s = job->thunk->timeout_s;
	for (size_t i = 0; i < job->next_count; i++)
		mine->chain_timeout_s += job->next[i].thunk->timeout_s;
	*ticket = (struct engine_ticket *)mine->id;
	net_post(e->context.net, begin, mine);
	return 0;
}

static void cancel_one(void *arg)
{
	struct order *o = arg;
	struct job *job;
	TAILQ_FOREACH(job, &o->e->jobs, link)
	if (job->id == o->id)
		break;
	if (job)
		job_cancel(job);
	free(o);
}

static void remote_cancel(struct engine *engine, struct engine_ticket *ticket)
{
	struct remote *e = remote_of(engine);
	net_post(e->context.net, cancel_one, order_new(e, (uintptr_t)ticket));
}

/* A second of the function's memory as it is deployed; what the thunk hints at does not change it.
 */
static uint64_t remote_price(struct engine *engine, const struct thunk *t)
{
	struct remote *e = remote_of(engine);
	(void)t;
	return remote_estimate(e, 1000000);
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* Everything is answered; what is on its way is given up. */
static void close_remote(void *arg)
{
	struct remote *e = arg;
	const struct ledger_totals nothing = { 0 };
	e->closing = true;
	loop_cancel(e->tick);
	loop_cancel(e->wake);
	e->tick = e->wake = NULL;
	for (struct job *job = TAILQ_FIRST(&e->jobs), *next; job; job = next) {
		next = TAILQ_NEXT(job, link);
		job_cancel(job);
	}
	for (struct attempt *a = TAILQ_FIRST(&e->attempts), *next; a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (!a->handle)
			continue; /* the work thread has it, and gives it back */
		e->transport.ops->cancel(e->transport.impl, a->handle);
		TAILQ_REMOVE(&e->attempts, a, link);
		ledger_settle(e->context.ledger, a->reserved, &nothing);
		for (size_t i = 0; i < a->count; i++) {
			a->jobs[i]->attempts--;
			job_free_if_over(a->jobs[i]);
		}
		attempt_free(a);
	}
	struct pushing *p;
	LIST_FOREACH(p, &e->pushes, link)
	p->e = NULL;
}

static void nothing_more(void *arg)
{
	(void)arg;
}

static void remote_free(struct engine *engine)
{
	struct remote *e = remote_of(engine);
	net_run(e->context.net, close_remote, e);
	/* What the work thread still has goes through the net's thread once more, and may come
	 * back to it to keep a late result. */
	pool_flush(e->work);
	net_run(e->context.net, nothing_more, NULL);
	pool_free(e->work);
	net_run(e->context.net, nothing_more, NULL);
	sets_free(e);
	e->transport.ops->free(e->transport.impl);
	free(e->far_url);
	free(e->far_endpoint);
	free(e->far_region);
	free(e);
}

/* --- the beginning -----------------------------------------------------------------------------
 */

static char *copy_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void take_far(struct remote *e)
{
	const struct far_options *o = e->context.worker_far;
	e->far_path_style = o ? o->path_style : -1;
	if (!e->context.far)
		return;
	e->far_url = xstrdup(o && o->url ? o->url : far_url(e->context.far));
	e->far_endpoint = copy_or_null(o ? o->endpoint : NULL);
	e->far_region = copy_or_null(o ? o->region : NULL);
}

int remote_new(const struct remote_context *context, const struct transport *transport,
               unsigned jobs, struct engine **out, struct error *err)
{
	static const struct engine_ops ops = {
		.takes_next = true,
		.capacity = remote_capacity,
		.set_capacity = remote_set_capacity,
		.submit = remote_submit,
		.cancel = remote_cancel,
		.price = remote_price,
		.free = remote_free,
	};
	struct remote *e = xcalloc(1, sizeof(*e));
	unsigned capacity = jobs ? jobs : REMOTE_JOBS_DEFAULT;
	int r = capacity > REMOTE_JOBS_MAX
	                ? error_set(err, -EINVAL, "%u jobs at once are more than %d", jobs,
	                            REMOTE_JOBS_MAX)
	                : pool_new("ggfs-remote", 1, &e->work, err);
	if (r < 0) {
		transport->ops->free(transport->impl);
		free(e);
		return r;
	}
	e->ops = ops;
	e->ops.name = transport->ops->name;
	e->engine.ops = &e->ops;
	e->context = *context;
	e->transport = *transport;
	take_far(e);
	atomic_init(&e->capacity, capacity);
	atomic_init(&e->memory_mib, REMOTE_MEMORY_MIB);
	pace_init(&e->pace, capacity, transport->start, (uint64_t)wall_ns(), now_ms());
	TAILQ_INIT(&e->jobs);
	TAILQ_INIT(&e->ready);
	TAILQ_INIT(&e->attempts);
	LIST_INIT(&e->pushes);
	*out = &e->engine;
	return 0;
}
