/* What becomes of jobs when an attempt comes back: a result, another try, or the end. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/remote_impl.h"

/* --- results -----------------------------------------------------------------------------------
 */

void job_free_if_over(struct job *job)
{
	if (job->state != JOB_DELIVERED || job->attempts > 0 || job->borrowed > 0)
		return;
	TAILQ_REMOVE(&job->e->jobs, job, link);
	listing_release(&job->listing);
	promise_release(&job->promise);
	engine_result_release(&job->result);
	free(job->sets);
	free(job->packs);
	free(job);
}

void job_deliver(struct job *job)
{
	struct engine_result *r = &job->result;
	if (!r->memo.engine)
		r->memo.engine = xstrdup(job->e->transport.ops->name);
	if (!r->stderr_tail)
		r->stderr_tail = xstrdup("");
	r->memo.thunk = job->job.digest;
	r->memo.cost_nanodollars = job->spent;
	job->state = JOB_DELIVERED;
	job->job.thunk = NULL;
	job->job.next_count = 0;
	job->job.done(job->job.arg, r);
	engine_result_release(r);
	job_free_if_over(job);
}

void job_unborrow(struct job *job)
{
	job->borrowed--;
	if (job->borrowed == 0 && job->settled && job->state != JOB_DELIVERED)
		job_deliver(job);
	else
		job_free_if_over(job);
}

/* Its result is known: it waits for nothing any more. */
static void settled(struct job *job)
{
	struct remote *e = job->e;
	job->settled = true;
	if (job->state == JOB_READY) {
		TAILQ_REMOVE(&e->ready, job, ready);
		e->ready_count--;
	}
	job_leave_waits(job);
	loop_cancel(job->timer);
	job->timer = NULL;
	job->state = JOB_SENT;
	if (job->borrowed == 0)
		job_deliver(job);
}

void job_settle(struct job *job, enum outcome outcome, const char *reason)
{
	struct engine_result *r = &job->result;
	r->outcome = outcome;
	r->exit_status = -1;
	r->reason = xstrdup(reason);
	settled(job);
}

void job_settle_absent(struct job *job, const struct digest *absent, const char *reason)
{
	job->result.has_absent = true;
	job->result.absent = *absent;
	job_settle(job, OUTCOME_BAD_INPUT, reason);
}

void job_settle_code(struct job *job, int code, const struct digest *absent, const char *reason)
{
	enum outcome outcome = code == -ENOSPC || code == -EDQUOT    ? OUTCOME_NO_ROOM
	                       : code == -EACCES                     ? OUTCOME_DENIED
	                       : code == -ENETDOWN                   ? OUTCOME_UNREACHABLE
	                       : code == -EFBIG || code == -EINVAL   ? OUTCOME_REFUSED
	                       : code == -ECANCELED                  ? OUTCOME_CANCELLED
	                       : code == -ENOENT || code == -EBADMSG ? OUTCOME_BAD_INPUT
	                                                             : OUTCOME_LOST;
	if (outcome == OUTCOME_BAD_INPUT && absent)
		job_settle_absent(job, absent, reason);
	else
		job_settle(job, outcome, reason);
}

void job_cancel(struct job *job)
{
	job->cancelled = true;
	if (!job->settled)
		job_settle(job, OUTCOME_CANCELLED, "cancelled");
}

/* --- another try -------------------------------------------------------------------------------
 */

static void pause_over(void *arg)
{
	struct job *job = arg;
	struct remote *e = job->e;
	job->timer = NULL;
	job_to_ready(job);
	remote_dispatch(e);
}

static void try_again(struct job *job, unsigned tries)
{
	struct remote *e = job->e;
	if (job->attempts > 0)
		return; /* its other attempt may do */
	job->retry = true;
	job->state = JOB_PAUSED;
	job->timer = loop_after(net_loop(e->context.net), pace_backoff_ms(&e->pace, tries),
	                        pause_over, job);
}

/* Not the job's own fault, as far as one can tell. */
static void trouble(struct job *job, const char *what)
{
	job->unchained = job->unchained || job->failures + 1 >= REMOTE_CHAIN_FAILURES_MAX;
	if (++job->failures < REMOTE_TRIES_MAX) {
		try_again(job, job->failures);
	} else if (job->attempts == 0) {
		scoped_free char *reason =
		        xformat("%d tries, of which the last: %s", REMOTE_TRIES_MAX, what);
		job_settle(job, OUTCOME_LOST, reason);
	}
}

static void throttled(struct job *job, const char *what)
{
	int64_t now = now_ms();
	if (!job->throttled_since_ms)
		job->throttled_since_ms = now;
	if (now - job->throttled_since_ms < REMOTE_THROTTLED_MS_MAX) {
		try_again(job, ++job->throttles);
	} else if (job->attempts == 0) {
		scoped_free char *reason = xformat("nothing was taken for %d s: %s",
		                                   REMOTE_THROTTLED_MS_MAX / 1000, what);
		job_settle(job, OUTCOME_LOST, reason);
	}
}

/* The worker ended under it. Alone next time, so that it takes nobody along. */
static void died(struct job *job, enum verdict_kind kind, const char *what)
{
	bool crash = kind == VERDICT_DIED;
	unsigned tries = crash ? ++job->crashes : ++job->deaths;
	job->alone = job->unchained = true;
	if (tries < (crash ? REMOTE_CRASHES_MAX : REMOTE_DEATHS_MAX)) {
		try_again(job, tries);
	} else if (job->attempts == 0) {
		scoped_free char *reason = xformat("%u workers ended under it: %s", tries, what);
		job_settle(job, kind == VERDICT_DEADLINE ? OUTCOME_TIMED_OUT : OUTCOME_FAILED,
		           reason);
	}
}

/* Everybody who waits to be sent is told: nobody will be. */
static void nobody_there(struct remote *e, const char *what)
{
	scoped_free char *reason =
	        xformat("%s cannot be reached: %s", e->transport.ops->name, what);
	e->away = true;
	e->unreachable_since_ms = 0;
	for (struct job *job = TAILQ_FIRST(&e->jobs), *next; job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (!job->settled && (job->state == JOB_READY || job->state == JOB_PAUSED))
			job_settle(job, OUTCOME_UNREACHABLE, reason);
	}
}

static void unreachable(struct job *job, const char *what)
{
	struct remote *e = job->e;
	int64_t now = now_ms();
	int64_t patience = e->away ? 0 : e->ever_answered ? REMOTE_AWAY_MS : REMOTE_AWAY_FIRST_MS;
	if (!e->unreachable_since_ms)
		e->unreachable_since_ms = now;
	try_again(job, ++job->throttles);
	if (now - e->unreachable_since_ms >= patience)
		nobody_there(e, what);
}

static void denied(struct job *job, const char *what)
{
	/* Credentials that worked until now may be on their way to being renewed. */
	if (job->e->ever_answered && ++job->denials < REMOTE_DENIALS_MAX)
		try_again(job, job->denials + 2);
	else if (job->attempts == 0)
		job_settle(job, OUTCOME_DENIED, what);
}

static void too_large(struct job *job, const char *what)
{
	job->alone = job->unchained = true;
	if (job->attempts > 0)
		return;
	if (!job->e->context.far || job->all_outside) {
		job_settle(job, OUTCOME_REFUSED, what);
		return;
	}
	job->all_outside = true;
	job_prepare(job);
}

static void not_answered(struct job *job, const struct verdict *v)
{
	switch (v->kind) {
	case VERDICT_THROTTLED:
		throttled(job, v->reason);
		break;
	case VERDICT_UNTRUSTED:
		if (!job->e->ever_answered && job->attempts == 0)
			job_settle(job, OUTCOME_UNREACHABLE, v->reason);
		else
			trouble(job, v->reason);
		break;
	case VERDICT_UNREACHABLE:
		unreachable(job, v->reason);
		break;
	case VERDICT_DENIED:
		denied(job, v->reason);
		break;
	case VERDICT_TOO_LARGE:
		too_large(job, v->reason);
		break;
	case VERDICT_REFUSED:
		/* Not the thunk is refused but the request: no function of that name, say. To run
		 * it elsewhere would hide that. */
		if (job->attempts == 0)
			job_settle(job, OUTCOME_UNREACHABLE, v->reason);
		break;
	case VERDICT_DIED:
	case VERDICT_NO_MEMORY:
	case VERDICT_DEADLINE:
		died(job, v->kind, v->reason);
		break;
	default:
		trouble(job, v->reason);
	}
}

/* --- an answer ---------------------------------------------------------------------------------
 */

static void remember_far(struct remote *e, const struct memo *memo)
{
	for (size_t i = 0; i < memo->count; i++)
		far_remember(e->context.far, &memo->outputs[i].ref.digest, true);
	if (memo->has_stderr)
		far_remember(e->context.far, &memo->stderr_digest, true);
}

/* Moves what out is to have. */
static void move_result(struct remote *e, struct remote_result *r, struct engine_result *out)
{
	if (r->outcome == OUTCOME_DONE && r->stored && e->context.far)
		remember_far(e, &r->memo);
	out->outcome = r->outcome;
	out->exit_status = r->exit_status;
	out->memo = r->memo;
	r->memo = MEMO_INIT;
	free(out->memo.engine);
	out->memo.engine = NULL;
	out->stderr_tail = r->stderr_tail;
	r->stderr_tail = NULL;
}

/* All of a chain bear the same share of the cost. */
static void take_chain(struct job *job, const struct taken *taken)
{
	struct engine_result *out = &job->result;
	uint64_t share = job->spent / (taken->next_count + 1);
	if (taken->next_count)
		out->also = xcalloc(taken->next_count, sizeof(*out->also));
	for (size_t i = 0; i < taken->next_count; i++) {
		struct engine_result *also = &out->also[out->also_count++];
		move_result(job->e, taken->next[i], also);
		also->memo.engine = xstrdup(job->e->transport.ops->name);
		also->memo.cost_nanodollars = share;
		job->spent -= share;
	}
}

static void take_result(struct job *job, struct taken *taken)
{
	struct engine_result *out = &job->result;
	struct remote_result *r = taken->own;
	move_result(job->e, r, out);
	if (r->outcome != OUTCOME_DONE) {
		out->memo.micros = r->usage.function_micros;
		out->reason = xstrdup(r->reason ? r->reason : "the worker does not say why");
	}
	take_chain(job, taken);
	settled(job);
}

/* A worker did not find an input. If near has it, it is sent there again, and the job with it. */
static void heal(struct job *job, const struct remote_result *r, int64_t sent_ms)
{
	struct remote *e = job->e;
	if (job->attempts > 0)
		return;
	if (!r->has_absent || !e->context.far || job->repushes++ >= REMOTE_REPUSHES_MAX) {
		if (r->has_absent)
			job_settle_absent(job, &r->absent, r->reason ? r->reason : "");
		else
			job_settle(job, OUTCOME_BAD_INPUT, r->reason ? r->reason : "");
		return;
	}
	far_remember(e->context.far, &r->absent, false);
	job_doubt_inputs(job, sent_ms);
	job->retry = true;
	job_prepare(job);
}

static void answered(struct job *job, struct taken *taken, int64_t sent_ms)
{
	const struct remote_result *r = taken->own;
	const char *reason = r->reason ? r->reason : "the worker does not say why";
	switch (r->outcome) {
	case OUTCOME_LOST:
	case OUTCOME_CANCELLED:
	case OUTCOME_UNREACHABLE:
		trouble(job, reason);
		break;
	case OUTCOME_NO_ROOM:
		/* Another worker may have more. */
		if (job->failures > 0)
			take_result(job, taken);
		else
			trouble(job, reason);
		break;
	case OUTCOME_BAD_INPUT:
		heal(job, r, sent_ms);
		break;
	default:
		take_result(job, taken);
	}
}

struct late {
	struct store *near;
	struct memo memo;
};

/* On the work thread. */
static void keep_memo(void *arg)
{
	struct late *late = arg;
	struct error err = ERROR_INIT;
	if (store_memo_put(late->near, &late->memo, &err) < 0)
		log_warning("a result that nobody waits for is not kept: %s", error_text(&err));
	memo_release(&late->memo);
	free(late);
}

/* Nobody waits for it, but it is paid for: whoever asks next finds it. */
static void keep_late(struct job *job, struct remote_result *r, uint64_t cost)
{
	struct remote *e = job->e;
	if (r->outcome != OUTCOME_DONE)
		return;
	struct late *late = xcalloc(1, sizeof(*late));
	late->near = e->context.near;
	late->memo = r->memo;
	r->memo = MEMO_INIT;
	free(late->memo.engine);
	late->memo.engine = xstrdup(e->transport.ops->name);
	late->memo.cost_nanodollars = cost;
	if (r->stored && e->context.far)
		remember_far(e, &late->memo);
	pool_submit(e->work, keep_memo, late);
}

static void keep_all_late(struct job *job, const struct taken *taken)
{
	uint64_t share = job->spent / (taken->next_count + 1);
	keep_late(job, taken->own, share);
	for (size_t i = 0; i < taken->next_count; i++)
		keep_late(job, taken->next[i], share);
}

/* --- the bill ----------------------------------------------------------------------------------
 */

static uint64_t cost_of(const struct attempt *a, const struct ledger_totals *t)
{
	const struct remote *e = a->e;
	uint64_t far = price_far(e->context.prices, t->far_puts, t->far_gets);
	uint64_t took_ms = a->took_ms > 0 ? (uint64_t)a->took_ms : 0;
	bool ran = a->verdict.kind == VERDICT_ANSWER || a->verdict.may_have_run ||
	           a->verdict.has_report;
	if (!ran)
		return far;
	if (!e->transport.ops->bills)
		return far + e->context.prices->http_second * took_ms / 1000;
	/* Without a report, as it may have been: to the millisecond as long as we waited. */
	uint64_t billed_ms = a->verdict.has_report ? a->verdict.report.billed_ms : took_ms;
	return far + price_lambda(e->context.prices, billed_ms, atomic_load(&e->memory_mib),
	                          e->transport.arm);
}

static void add_usage(const struct attempt *a, struct ledger_totals *t)
{
	for (size_t i = 0; i < a->answer.result_count; i++) {
		const struct remote_result *r = &a->answer.results[i];
		t->far_puts += r->usage.far_puts;
		t->far_gets += r->usage.far_gets;
		t->far_sent_bytes += r->usage.far_sent_bytes;
		t->far_received_bytes += r->usage.far_received_bytes;
		t->failed += r->outcome != OUTCOME_DONE;
		if (r->usage.cold && !a->verdict.has_report)
			t->cold_starts = 1;
	}
}

/* Every job of the attempt bears the same share: what each took is not the worker's to say. */
static void settle_bill(struct attempt *a)
{
	struct remote *e = a->e;
	struct ledger_totals t = { 0 };
	enum verdict_kind kind = a->verdict.kind;
	if (a->verdict.has_report) {
		atomic_store(&e->memory_mib, a->verdict.report.memory_mib);
		t.billed_ms = a->verdict.report.billed_ms;
		t.cold_starts = a->verdict.report.cold;
	}
	add_usage(a, &t);
	t.invocations = kind == VERDICT_ANSWER || a->verdict.may_have_run;
	t.failed += kind != VERDICT_ANSWER && t.invocations;
	t.throttled = kind == VERDICT_THROTTLED;
	t.retried = a->retry;
	t.duplicated = a->duplicate;
	t.spent = cost_of(a, &t);
	ledger_settle(e->context.ledger, a->reserved, &t);
	for (size_t i = 0; i < a->count; i++)
		a->jobs[i]->spent += t.spent / a->count;
}

/* --- an attempt is over ------------------------------------------------------------------------
 */

static void wrong_version(struct job *job, const char *version)
{
	scoped_free char *reason = xformat("the worker is of version %s, this is %s: `ggfs lambda "
	                                   "deploy` brings them together",
	                                   version ? version : "unknown", GGFS_VERSION);
	if (job->attempts == 0)
		job_settle(job, OUTCOME_UNREACHABLE, reason);
}

static void end_one(struct attempt *a, size_t i)
{
	struct job *job = a->jobs[i];
	struct taken *taken = a->taken ? &a->taken[i] : NULL;
	struct remote_result *r = taken ? taken->own : NULL;
	if (job->settled) {
		if (r && job->cancelled)
			keep_all_late(job, taken);
		job_free_if_over(job);
	} else if (a->verdict.kind != VERDICT_ANSWER) {
		not_answered(job, &a->verdict);
	} else if (a->answer.wrong_version) {
		wrong_version(job, a->answer.version);
	} else if (a->code == -ENOSPC || a->code == -EDQUOT) {
		job_settle_code(job, a->code, NULL, a->reason);
	} else if (!r) {
		scoped_free char *reason = xformat("the worker's answer is wrong: %s", a->reason);
		trouble(job, reason);
	} else {
		answered(job, taken, a->sent_ms);
	}
}

void attempt_ended(struct attempt *a)
{
	struct remote *e = a->e;
	TAILQ_REMOVE(&e->attempts, a, link);
	if (a->duplicate)
		e->duplicates--;
	settle_bill(a);
	if (a->verdict.kind == VERDICT_ANSWER) {
		e->ever_answered = true;
		if (a->count == 1 && a->code == 0 && a->answer.result_count == 1)
			durations_add(&e->durations, a->took_ms);
	}
	if (a->verdict.kind != VERDICT_UNREACHABLE) {
		e->unreachable_since_ms = 0;
		e->away = false;
	}
	for (size_t i = 0; i < a->count; i++) {
		a->jobs[i]->attempts--;
		if (a->verdict.kind != VERDICT_THROTTLED)
			a->jobs[i]->throttled_since_ms = 0;
	}
	for (size_t i = 0; i < a->count; i++)
		end_one(a, i);
	attempt_free(a);
	remote_dispatch(e);
}
