/* The mixed engine: each job goes to one of several, by place.h. Its own state is of the net's
 * thread, where all that the parts are asked for and all that they answer is handled. */
#include <stdatomic.h>
#include <string.h>
#include <sys/queue.h>

#include "engine/remote/bring.h"
#include "engine/remote/place.h"
#include "engine/remote/remote.h"

enum { LARGE_BYTES = 1 << 20 }; /* worth asking whether the far store has it */

struct mixed_job {
	struct mixed *engine;
	uintptr_t id;
	struct engine_job job;
	int part;         /* who has it; -1: nobody */
	unsigned refused; /* a bit a part */
	bool cancelled, doubted;
	struct engine_ticket *ticket; /* of the part */
	struct bringing *bringing;
	struct engine_result result;
	TAILQ_ENTRY(mixed_job) link;
};
TAILQ_HEAD(mixed_jobs, mixed_job);

struct mixed {
	struct engine engine; /* first */
	struct remote_context context;
	struct engine *parts[ENGINE_SPECS_MAX];
	size_t count;
	atomic_uintptr_t last_id;
	/* Of the net's thread. */
	unsigned running[ENGINE_SPECS_MAX];
	struct mixed_jobs jobs;
	struct bring *bring; /* NULL without a far store or a local part */
	bool closing;
};

static bool is_local(const struct engine *e)
{
	return strcmp(e->ops->name, "local") == 0;
}

static struct mixed *mixed_of(struct engine *engine)
{
	return (struct mixed *)engine;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void finish(struct mixed_job *job)
{
	TAILQ_REMOVE(&job->engine->jobs, job, link);
	job->job.done(job->job.arg, &job->result);
	engine_result_release(&job->result);
	free(job);
}

static void answer(struct mixed_job *job, enum outcome outcome, const struct digest *absent,
                   const char *reason)
{
	struct engine_result *r = &job->result;
	engine_result_release(r);
	r->outcome = outcome;
	r->exit_status = -1;
	r->reason = xstrdup(reason);
	r->stderr_tail = xstrdup("");
	r->memo.thunk = job->job.digest;
	r->memo.engine = xstrdup(job->part >= 0 ? job->engine->parts[job->part]->ops->name : "");
	if (absent) {
		r->has_absent = true;
		r->absent = *absent;
	}
	finish(job);
}

static void leave_part(struct mixed_job *job)
{
	job->engine->running[job->part]--;
	job->ticket = NULL;
}

/* --- starting --------------------------------------------------------------------------------- */

static void place(struct mixed_job *job);
static void part_done(void *arg, struct engine_result *r);

static void give_to_part(struct mixed_job *job)
{
	struct engine *part = job->engine->parts[job->part];
	struct engine_job order = job->job;
	struct error err = ERROR_INIT;
	order.done = part_done;
	order.arg = job;
	int r = part->ops->submit(part, &order, &job->ticket, &err);
	if (r == 0)
		return;
	leave_part(job);
	answer(job, r == -ENOSPC ? OUTCOME_NO_ROOM : OUTCOME_LOST, NULL, error_text(&err));
}

static void inputs_brought(void *arg, enum outcome outcome, const struct digest *absent,
                           const char *reason)
{
	struct mixed_job *job = arg;
	job->bringing = NULL;
	if (outcome == OUTCOME_DONE && !job->cancelled) {
		give_to_part(job);
		return;
	}
	leave_part(job);
	if (job->cancelled)
		answer(job, OUTCOME_CANCELLED, NULL, "cancelled");
	else
		answer(job, outcome, absent, reason);
}

static void start(struct mixed_job *job)
{
	struct mixed *e = job->engine;
	if (e->bring && is_local(e->parts[job->part]))
		job->bringing = bring_inputs(e->bring, job->job.thunk, inputs_brought, job);
	else
		give_to_part(job);
}

/* What would travel, by the single inputs: sets are sent once for all who share them. */
static uint64_t send_bytes(const struct mixed *e, const struct thunk *t)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < t->inputs.count; i++) {
		const struct manifest_entry *entry = &t->inputs.entries[i];
		if (entry->kind != ENTRY_FILE)
			continue;
		uint64_t size = entry->ref.size_bytes;
		if (size >= LARGE_BYTES && e->context.far &&
		    far_known(e->context.far, &entry->ref.digest))
			continue;
		sum = sum + size < sum ? UINT64_MAX : sum + size;
	}
	return sum;
}

static void place(struct mixed_job *job)
{
	struct mixed *e = job->engine;
	struct place_engine engines[ENGINE_SPECS_MAX];
	struct place_job facts = {
		.engines = job->job.engines,
		.local_only = job->job.local_only,
		.expected_micros = job->job.expected_micros,
		.send_bytes = send_bytes(e, job->job.thunk),
	};
	for (size_t i = 0; i < e->count; i++)
		engines[i] = (struct place_engine){
			.name = e->parts[i]->ops->name,
			.local = is_local(e->parts[i]),
			.refused = job->refused & 1u << i,
			.capacity = e->parts[i]->ops->capacity(e->parts[i]),
			.running = e->running[i],
		};
	job->part = place_choose(engines, e->count, &facts);
	if (job->part < 0) {
		answer(job, OUTCOME_REFUSED, NULL,
		       job->job.local_only ? "it may cost nothing, and there is no local engine"
		                           : "none of the engines in use may take it");
		return;
	}
	e->running[job->part]++;
	start(job);
}

/* Whether another engine may take what this one refused; it is then placed anew. */
static bool placed_elsewhere(struct mixed_job *job)
{
	struct mixed *e = job->engine;
	job->refused |= 1u << job->part;
	for (size_t i = 0; i < e->count; i++) {
		const char *name = e->parts[i]->ops->name;
		if (job->refused & 1u << i ||
		    (!engine_list_names(job->job.engines, name) && !is_local(e->parts[i])) ||
		    (job->job.local_only && !is_local(e->parts[i])))
			continue;
		engine_result_release(&job->result);
		place(job);
		return true;
	}
	return false;
}

/* An input was believed to be here and is not, but may be far away: one more look. */
static bool brought_again(struct mixed_job *job)
{
	struct mixed *e = job->engine;
	if (!e->bring || !is_local(e->parts[job->part]) || job->doubted)
		return false;
	job->doubted = true;
	bring_doubt(e->bring);
	engine_result_release(&job->result);
	e->running[job->part]++;
	start(job);
	return true;
}

static void take_part_result(void *arg)
{
	struct mixed_job *job = arg;
	struct mixed *e = job->engine;
	enum outcome outcome = job->result.outcome;
	leave_part(job);
	if (outcome == OUTCOME_REFUSED && !job->cancelled && placed_elsewhere(job))
		return;
	if (outcome == OUTCOME_BAD_INPUT && !job->cancelled && brought_again(job))
		return;
	if (outcome == OUTCOME_DONE && e->bring && is_local(e->parts[job->part]))
		bring_share(e->bring, &job->result.memo);
	finish(job);
}

/* On whatever thread the part has. */
static void part_done(void *arg, struct engine_result *r)
{
	struct mixed_job *job = arg;
	job->result = *r;
	*r = (struct engine_result){ 0 };
	net_post(job->engine->context.net, take_part_result, job);
}

/* --- the table -------------------------------------------------------------------------------- */

static unsigned mixed_capacity(struct engine *engine)
{
	struct mixed *e = mixed_of(engine);
	unsigned sum = 0;
	for (size_t i = 0; i < e->count; i++)
		sum += e->parts[i]->ops->capacity(e->parts[i]);
	return sum;
}

/* The first that is not this machine, else the first. */
static struct engine *main_part(struct mixed *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (!is_local(e->parts[i]))
			return e->parts[i];
	return e->parts[0];
}

static int mixed_set_capacity(struct engine *engine, unsigned jobs, struct error *err)
{
	struct engine *part = main_part(mixed_of(engine));
	return part->ops->set_capacity(part, jobs, err);
}

static void begin(void *arg)
{
	struct mixed_job *job = arg;
	TAILQ_INSERT_TAIL(&job->engine->jobs, job, link);
	if (job->engine->closing)
		answer(job, OUTCOME_CANCELLED, NULL, "cancelled");
	else
		place(job);
}

static int mixed_submit(struct engine *engine, const struct engine_job *job,
                        struct engine_ticket **ticket, struct error *err)
{
	struct mixed *e = mixed_of(engine);
	struct mixed_job *mine = xcalloc(1, sizeof(*mine));
	(void)err;
	*mine = (struct mixed_job){ .engine = e, .job = *job, .part = -1 };
	mine->id = atomic_fetch_add(&e->last_id, 1) + 1;
	*ticket = (struct engine_ticket *)mine->id;
	net_post(e->context.net, begin, mine);
	return 0;
}

static void cancel_job(struct mixed_job *job)
{
	job->cancelled = true;
	if (job->bringing)
		bring_cancel(job->bringing);
	else if (job->ticket)
		job->engine->parts[job->part]->ops->cancel(job->engine->parts[job->part],
		                                           job->ticket);
}

struct cancel {
	struct mixed *engine;
	uintptr_t id;
};

static void cancel_one(void *arg)
{
	struct cancel *c = arg;
	struct mixed_job *job;
	TAILQ_FOREACH(job, &c->engine->jobs, link)
	if (job->id == c->id)
		break;
	if (job)
		cancel_job(job);
	free(c);
}

static void mixed_cancel(struct engine *engine, struct engine_ticket *ticket)
{
	struct cancel *c = xmalloc(sizeof(*c));
	*c = (struct cancel){ .engine = mixed_of(engine), .id = (uintptr_t)ticket };
	net_post(c->engine->context.net, cancel_one, c);
}

static uint64_t mixed_price(struct engine *engine, const struct thunk *t)
{
	struct engine *part = main_part(mixed_of(engine));
	return part->ops->price(part, t);
}

static void close_mixed(void *arg)
{
	struct mixed *e = arg;
	e->closing = true;
	for (struct mixed_job *job = TAILQ_FIRST(&e->jobs), *next; job; job = next) {
		next = TAILQ_NEXT(job, link);
		cancel_job(job);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

/* What was posted by then has run when this returns. */
static void settle_net(struct mixed *e)
{
	net_run(e->context.net, nothing, NULL);
}

static void mixed_free(struct engine *engine)
{
	struct mixed *e = mixed_of(engine);
	net_run(e->context.net, close_mixed, e);
	for (size_t i = 0; i < e->count; i++)
		e->parts[i]->ops->free(e->parts[i]);
	settle_net(e);
	bring_free(e->bring); /* the last looks at inputs post their ends, and see to those */
	free(e);
}

static const struct engine_ops mixed_ops = {
	.name = "mixed",
	.takes_next = true,
	.capacity = mixed_capacity,
	.set_capacity = mixed_set_capacity,
	.submit = mixed_submit,
	.cancel = mixed_cancel,
	.price = mixed_price,
	.free = mixed_free,
};

int engine_mixed_new(const struct remote_context *context, struct engine *const *parts,
                     size_t count, struct engine **out, struct error *err)
{
	bool any_local = false;
	if (count < 1 || count > ENGINE_SPECS_MAX)
		return error_set(err, -EINVAL, "from 1 to %d engines can be mixed, not %zu",
		                 ENGINE_SPECS_MAX, count);
	struct mixed *e = xcalloc(1, sizeof(*e));
	e->engine.ops = &mixed_ops;
	e->context = *context;
	e->count = count;
	TAILQ_INIT(&e->jobs);
	for (size_t i = 0; i < count; i++) {
		e->parts[i] = parts[i];
		any_local = any_local || is_local(parts[i]);
	}
	if (context->far && any_local) {
		int r = bring_new(context->net, context->far, context->near, &e->bring, err);
		if (r < 0) {
			free(e);
			return r;
		}
	}
	*out = &e->engine;
	return 0;
}
