/* Giving ready nodes to the engine, and what comes back. */
#include <assert.h>
#include <errno.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/force_impl.h"

void job_free(struct job *job)
{
	if (job->thunk)
		thunk_release(job->thunk);
	free(job->thunk);
	job_drop_chain(job);
	engine_result_release(&job->result);
	asker_unshare(job->asker);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

/* --- outcomes ------------------------------------------------------------------------------- */

static const char *reason_of(const struct engine_result *r)
{
	static const char *const usual[] = {
		[OUTCOME_DONE] = "done",
		[OUTCOME_FAILED] = "the function failed",
		[OUTCOME_TIMED_OUT] = "the function did not end within its timeout",
		[OUTCOME_CANCELLED] = "cancelled",
		[OUTCOME_NO_ROOM] = "no room left on the device",
		[OUTCOME_BAD_INPUT] = "an input is absent from the store or broken",
		[OUTCOME_LOST] = "the engine lost it",
		[OUTCOME_REFUSED] = "the engine cannot run it",
		[OUTCOME_DENIED] = "the service refuses our credentials",
		[OUTCOME_UNREACHABLE] = "no engine can be reached",
	};
	return r->reason ? r->reason : usual[r->outcome];
}

static int code_of(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_TIMED_OUT:
		return ETIMEDOUT;
	case OUTCOME_CANCELLED:
		return ECANCELED;
	case OUTCOME_NO_ROOM:
		return ENOSPC;
	case OUTCOME_BAD_INPUT:
		return EIO;
	case OUTCOME_DENIED:
		return EACCES;
	case OUTCOME_LOST:
	case OUTCOME_REFUSED:
	case OUTCOME_UNREACHABLE:
		return ENETDOWN;
	default:
		return EREMOTEIO;
	}
}

/* The last word on it when no thunk is found that makes the blob. */
static void name_absent(struct shared_failure *failure, const struct digest *absent)
{
	char *old = failure->failure.reason;
	failure->has_absent = true;
	failure->absent = *absent;
	failure->failure.reason = xformat(
	        "the blob %s is not in the store, or broken, and no thunk is known that makes "
	        "it: %s",
	        digest_hex(absent).text, old);
	free(old);
}

static void run_failed(struct node *n, struct engine_result *r, const char *engine)
{
	const char *tail = r->stderr_tail ? r->stderr_tail : "";
	struct shared_failure *failure =
	        failure_new(&n->digest, code_of(r->outcome), "%s", reason_of(r));
	free(failure->failure.stderr_tail);
	failure->failure.stderr_tail = xstrndup(tail, strnlen(tail, FAILURE_STDERR_MAX));
	free(failure->failure.engine);
	failure->failure.engine = xstrdup(r->memo.engine ? r->memo.engine : engine);
	failure->failure.exit_status = r->exit_status;
	failure->micros = r->memo.micros;
	failure->cost = r->memo.cost_nanodollars;
	if (r->outcome == OUTCOME_BAD_INPUT && r->has_absent)
		name_absent(failure, &r->absent);
	notice_event(n, FORCE_EVENT_FAILED, *tail ? tail : reason_of(r));
	node_settle_failure(n, failure);
}

void node_done(struct node *n, struct engine_result *r, const char *engine)
{
	struct forcer *f = n->forcer;
	struct error err = ERROR_INIT;
	n->memo = r->memo;
	r->memo = MEMO_INIT;
	n->memo.thunk = n->digest;
	if (!n->memo.engine)
		n->memo.engine = xstrdup(engine);
	n->memoised = false;
	/* Without its memo the result is as good, only not for long. */
	if (index_memo_put(f->index, &n->memo, &err) < 0)
		log_warning("no memo of %s: %s", digest_hex(&n->digest).text, error_text(&err));
	index_failure_delete(f->index, node_origin(n));
	f->counts.done++;
	node_log(n, node_origin(n), 0, n->memo.micros, n->memo.cost_nanodollars, n->memo.engine,
	         r->stderr_tail);
	notice_event(n, FORCE_EVENT_DONE, r->stderr_tail ? r->stderr_tail : "");
	node_settle_memo(n);
}

/* --- another try ------------------------------------------------------------------------------ */

static void pause_over(void *arg)
{
	struct node *n = arg;
	n->pause = NULL;
	node_to_ready(n);
}

/* After engine trouble. Not all at once: as much again as the pause is added by chance. */
static void try_again(struct node *n)
{
	int64_t pause_ms = (int64_t)FORCE_PAUSE_FIRST_MS << (n->tries - 1);
	uint64_t chance = ((uint64_t)now_us() ^ n->digest.bytes[0]) * 0x9e3779b97f4a7c15u >> 33;
	node_enter(n, NODE_PAUSED);
	n->pause = loop_after(n->forcer->loop, pause_ms + (int64_t)(chance % (uint64_t)pause_ms),
	                      pause_over, n);
}

static void take_result(struct node *n, struct engine_result *r, const char *engine)
{
	if (r->outcome == OUTCOME_LOST && n->tries < FORCE_RETRIES_MAX)
		try_again(n);
	else if (r->outcome != OUTCOME_DONE)
		run_failed(n, r, engine);
	else
		node_done(n, r, engine);
}

/* An engine says an output is there; better to hear of a missing one here than from a reader. */
static void check_outputs(const struct thunk *t, struct engine_result *r)
{
	for (size_t i = 0; r->outcome == OUTCOME_DONE && i < t->output_count; i++) {
		if (memo_output(&r->memo, t->outputs[i].path))
			continue;
		r->outcome = OUTCOME_FAILED;
		free(r->reason);
		r->reason = xformat("the output %s is missing", t->outputs[i].path);
	}
}

/* --- jobs --------------------------------------------------------------------------------------
 */

/* On the loop's thread, after done. */
static void job_ended(void *arg)
{
	struct job *job = arg;
	struct forcer *f = job->forcer;
	struct node *n = job->node;
	purse_settle(job->asker->purse, job->estimate, job->result.memo.cost_nanodollars);
	if (f) {
		TAILQ_REMOVE(&f->jobs, job, link);
		f->running--;
		f->counts.cost_nanodollars += job->result.memo.cost_nanodollars;
		early_keep(f, &job->result);
		forcer_schedule(f);
	}
	if (f && n) {
		n->job = NULL;
		f->running_now--;
		check_outputs(job->thunk, &job->result);
		n->thunk = steal(&job->thunk);
		take_result(n, &job->result, f->engine->ops->name);
	}
	job_free(job);
}

/* On any thread. Nothing but this call and job_ended() may come after finished. */
static void job_done(void *arg, struct engine_result *r)
{
	struct job *job = arg;
	job->result = *r;
	*r = (struct engine_result){ 0 };
	pthread_mutex_lock(&job->lock);
	job->finished = true;
	pthread_mutex_unlock(&job->lock);
	loop_post(job->loop, job_ended, job);
}

/* The engine is told under the job's lock, against the rule: else done could come in between, on
 * another thread, and the ticket be gone. Engines call done with no lock held. */
static void job_cancel(struct job *job)
{
	pthread_mutex_lock(&job->lock);
	if (!job->finished)
		job->engine->ops->cancel(job->engine, job->ticket);
	pthread_mutex_unlock(&job->lock);
}

void node_cancel_job(struct node *n)
{
	struct job *job = n->job;
	if (!job)
		return;
	n->job = NULL;
	job->node = NULL;
	n->forcer->running_now--;
	job_cancel(job);
}

static struct job *job_new(struct node *n)
{
	struct job *job = xcalloc(1, sizeof(*job));
	job->forcer = n->forcer;
	job->node = n;
	job->loop = n->forcer->loop;
	job->engine = n->forcer->engine;
	job->thunk = steal(&n->thunk);
	job->digest = n->digest;
	job->asker = asker_share(n->asker);
	pthread_mutex_init(&job->lock, NULL);
	return job;
}

static void submit_refused(struct node *n, struct job *job, int r, const struct error *err)
{
	struct engine_result result = {
		.outcome = r == -ENOSPC ? OUTCOME_NO_ROOM : OUTCOME_LOST,
		.exit_status = -1,
		.reason = xstrdup(error_text(err)),
	};
	n->thunk = steal(&job->thunk);
	purse_settle(job->asker->purse, job->estimate, 0);
	job_free(job);
	take_result(n, &result, n->forcer->engine->ops->name);
	engine_result_release(&result);
}

/* What running n will have cost, as far as one can say: what a second costs, for as long as it took
 * the last time. */
static uint64_t estimate(const struct node *n, const struct thunk *t, uint64_t expected_micros)
{
	struct engine *engine = n->forcer->engine;
	uint64_t micros = expected_micros ? expected_micros : FORCE_MICROS_UNKNOWN;
	if (n->asker->local_only || !n->asker->purse)
		return 0;
	return (uint64_t)((double)engine->ops->price(engine, t) * (double)micros / 1e6);
}

/* What comes after n goes with it, as far as the budget allows. */
static void add_chain(struct node *n, struct job *job)
{
	uint64_t needs = 0;
	if (n->asker->local_only || !n->forcer->engine->ops->takes_next)
		return;
	job_add_chain(job, n);
	for (size_t i = 0; i < job->next_count; i++)
		needs += estimate(n, job->next[i].thunk, job->next[i].expected_micros);
	if (purse_reserve(n->asker->purse, needs))
		job->estimate += needs;
	else
		job_drop_chain(job);
}

static void over_budget(struct node *n, uint64_t needs)
{
	const struct purse *p = n->asker->purse;
	node_off_queues(n);
	notice_event(n, FORCE_EVENT_FAILED, "the budget would be passed");
	node_settle_failure(
	        n, failure_new(&n->digest, EDQUOT,
	                       "the budget of $%.6f would be passed: $%.6f are spent, $%.6f in "
	                       "flight, and this would need about $%.6f; --budget raises it",
	                       (double)p->limit / 1e9, (double)p->spent / 1e9,
	                       (double)p->reserved / 1e9, (double)needs / 1e9));
}

static void submit(struct node *n)
{
	struct forcer *f = n->forcer;
	struct error err = ERROR_INIT;
	/* Of use to those who weigh what it costs, or where to run it. */
	uint64_t expected_micros =
	        n->asker->local_only ? 0 : index_micros_get(f->index, n->thunk->outputs[0].path);
	uint64_t needs = estimate(n, n->thunk, expected_micros);
	if (!purse_reserve(n->asker->purse, needs)) {
		over_budget(n, needs);
		return;
	}
	struct job *job = job_new(n);
	job->estimate = needs;
	add_chain(n, job);
	struct engine_job order = {
		.thunk = job->thunk,
		.digest = job->digest,
		.engines = job->asker->engines,
		.local_only = job->asker->local_only,
		.expected_micros = expected_micros,
		.next = job->next,
		.next_count = job->next_count,
		.done = job_done,
		.arg = job,
	};
	node_off_queues(n);
	node_enter(n, NODE_RUNNING);
	n->tries++;
	int r = f->engine->ops->submit(f->engine, &order, &job->ticket, &err);
	if (r < 0) {
		submit_refused(n, job, r, &err);
		return;
	}
	n->job = job;
	TAILQ_INSERT_TAIL(&f->jobs, job, link);
	f->running++;
	f->running_now++;
	if (n->tries == 1)
		notice_event(n, FORCE_EVENT_STARTED, "");
}

static struct node *next_ready(struct forcer *f)
{
	for (int priority = PRIORITY_READER; priority >= PRIORITY_BATCH; priority--) {
		struct node *n = TAILQ_FIRST(&f->ready[priority]);
		if (n)
			return n;
	}
	return NULL;
}

void forcer_dispatch(struct forcer *f)
{
	struct node *n;
	while ((n = next_ready(f)) && f->running < f->engine->ops->capacity(f->engine))
		submit(n);
}
