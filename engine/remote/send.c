/* Attempts: which jobs go together, their way, and a second one for stragglers. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/remote_impl.h"

/* --- what a request will cost ------------------------------------------------------------------
 */

/* -1: nobody knows. */
static int64_t expected_ms(const struct remote *e, const struct job *job)
{
	int64_t median = durations_median(&e->durations);
	uint64_t own = job->job.expected_micros;
	int64_t sum = own ? (int64_t)(own / 1000) : median;
	bool chain = job->listing.chain && !job->unchained;
	for (size_t i = 0; sum >= 0 && chain && i < job->job.next_count; i++) {
		uint64_t next = job->job.next[i].expected_micros;
		if (next == 0 && median < 0)
			return -1;
		sum += next ? (int64_t)(next / 1000) : median;
	}
	return sum;
}

uint64_t remote_estimate(const struct remote *e, uint64_t expected_micros)
{
	/* The durations are only looked at on the net's thread; a known time asks for none. */
	int64_t median = expected_micros ? -1 : durations_median(&e->durations);
	uint64_t ms = expected_micros ? expected_micros / 1000
	              : median >= 0   ? (uint64_t)median
	                              : REMOTE_UNKNOWN_MS;
	if (e->transport.ops->bills)
		return price_lambda(e->context.prices, ms, atomic_load(&e->memory_mib),
		                    e->transport.arm);
	return e->context.prices->http_second * ms / 1000;
}

/* --- on its way --------------------------------------------------------------------------------
 */

void attempt_free(struct attempt *a)
{
	buf_release(&a->body);
	verdict_release(&a->verdict);
	remote_answer_release(&a->answer);
	free(a->reason);
	for (size_t i = 0; a->taken && i < a->count; i++)
		free(a->taken[i].next);
	free(a->taken);
	free(a->jobs);
	free(a);
}

static void borrow_jobs(struct attempt *a)
{
	for (size_t i = 0; i < a->count; i++)
		a->jobs[i]->borrowed++;
}

static void unborrow_jobs(struct attempt *a)
{
	for (size_t i = 0; i < a->count; i++)
		job_unborrow(a->jobs[i]);
}

/* It will not be sent. */
static void attempt_drop(struct attempt *a)
{
	struct remote *e = a->e;
	pace_unsent(&e->pace);
	TAILQ_REMOVE(&e->attempts, a, link);
	e->held_bytes -= a->held_bytes;
	if (a->duplicate)
		e->duplicates--;
	const struct ledger_totals nothing = { 0 };
	ledger_settle(e->context.ledger, a->reserved, &nothing);
	for (size_t i = 0; i < a->count; i++) {
		struct job *job = a->jobs[i];
		job->attempts--;
		if (job->settled) {
			job_free_if_over(job);
		} else if (job->attempts > 0) {
			continue;
		} else if (a->code < 0 && a->chained) {
			/* It may be for what comes next. */
			job->unchained = true;
			job_prepare(job);
		} else if (a->count == 1 && a->code < 0) {
			bool absent = a->code == -ENOENT || a->code == -EBADMSG;
			job_settle_code(job, a->code, absent ? &a->absent : NULL, a->reason);
		} else {
			/* One of several is broken; alone each tells for itself. */
			job->alone = true;
			job_to_ready(job);
		}
	}
	attempt_free(a);
}

static void attempt_read_posted(void *arg)
{
	struct attempt *a = arg;
	unborrow_jobs(a);
	attempt_ended(a);
}

/* On the work thread. */
static void read_attempt(void *arg)
{
	struct attempt *a = arg;
	attempt_read(a);
	net_post(a->e->context.net, attempt_read_posted, a);
}

static void tell_pace(struct attempt *a, int64_t now)
{
	struct pace *p = &a->e->pace;
	switch (a->verdict.kind) {
	case VERDICT_THROTTLED:
		pace_throttled(p, now, a->verdict.retry_after_ms);
		break;
	case VERDICT_TROUBLE:
	case VERDICT_UNREACHABLE:
	case VERDICT_UNTRUSTED:
		pace_troubled(p, now);
		break;
	default:
		pace_answered(p, now);
	}
}

static void attempt_answered(void *arg, struct http_response *r)
{
	struct attempt *a = arg;
	struct remote *e = a->e;
	int64_t now = now_ms();
	a->handle = NULL;
	a->took_ms = now - a->sent_ms;
	e->transport.ops->judge(r, &a->verdict);
	buf_release(&a->body);
	e->held_bytes -= a->held_bytes;
	a->held_bytes = 0;
	tell_pace(a, now);
	if (a->verdict.kind != VERDICT_ANSWER) {
		attempt_ended(a);
		return;
	}
	a->body = r->body;
	r->body = BUF_INIT;
	borrow_jobs(a);
	pool_submit(e->work, read_attempt, a);
	remote_dispatch(e);
}

/* How long it may take: what its functions may, and the way. */
static int64_t whole_ms(const struct attempt *a)
{
	enum { WAY_MS = 120000 };
	int64_t sum = WAY_MS;
	for (size_t i = 0; i < a->count; i++)
		sum += (int64_t)(a->jobs[i]->timeout_s +
		                 (a->chained ? a->jobs[i]->chain_timeout_s : 0)) *
		       1000;
	int64_t most = a->e->transport.ops->whole_ms;
	return most && most < sum ? most : sum;
}

static bool anybody_waits(const struct attempt *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (!a->jobs[i]->settled)
			return true;
	return false;
}

void attempt_encoded(void *arg)
{
	struct attempt *a = arg;
	struct remote *e = a->e;
	unborrow_jobs(a);
	if (a->code == 0 && !e->closing && anybody_waits(a)) {
		struct error err = ERROR_INIT;
		a->sent_ms = now_ms();
		a->code = e->transport.ops->send(e->transport.impl, &a->body, whole_ms(a),
		                                 attempt_answered, a, &a->handle, &err);
		a->sent = a->code == 0;
		a->reason = a->code < 0 ? xstrdup(error_text(&err)) : NULL;
	}
	if (a->sent)
		return;
	if (a->code == -EAGAIN) { /* descriptors are used up: as any other trouble of the way */
		a->verdict.kind = VERDICT_TROUBLE;
		a->verdict.reason = xstrdup(a->reason);
		e->held_bytes -= a->held_bytes;
		a->held_bytes = 0;
		pace_troubled(&e->pace, now_ms());
		attempt_ended(a);
		return;
	}
	attempt_drop(a);
	remote_dispatch(e);
}

/* --- starting one ------------------------------------------------------------------------------
 */

static void start_tick(struct remote *e);

/* What the attempt and its chain may cost. */
static uint64_t estimate_job(const struct attempt *a, const struct job *job)
{
	uint64_t sum = remote_estimate(a->e, job->job.expected_micros);
	for (size_t i = 0; a->chained && i < job->job.next_count; i++)
		sum += remote_estimate(a->e, job->job.next[i].expected_micros);
	return sum;
}

static bool chains_go_along(struct job *const *jobs, size_t count)
{
	bool any = false;
	for (size_t i = 0; i < count; i++) {
		if (jobs[i]->job.next_count && (jobs[i]->unchained || !jobs[i]->listing.chain))
			return false;
		any = any || jobs[i]->job.next_count;
	}
	return any;
}

static void attempt_start(struct remote *e, struct job *const *jobs, size_t count, bool duplicate)
{
	struct attempt *a = xcalloc(1, sizeof(*a));
	*a = (struct attempt){ .e = e, .count = count, .duplicate = duplicate };
	a->chained = chains_go_along(jobs, count);
	a->jobs = xcalloc(count, sizeof(struct job *));
	for (size_t i = 0; i < count; i++) {
		struct job *job = jobs[i];
		a->jobs[i] = job;
		a->retry = a->retry || (job->retry && !duplicate);
		a->held_bytes += job->listing.cost;
		a->reserved += estimate_job(a, job);
		job->attempts++;
		job->state = JOB_SENT;
	}
	a->sent_ms = now_ms();
	e->held_bytes += a->held_bytes;
	if (duplicate)
		e->duplicates++;
	ledger_reserve(e->context.ledger, a->reserved);
	pace_sent(&e->pace, a->retry);
	TAILQ_INSERT_TAIL(&e->attempts, a, link);
	start_tick(e);
	borrow_jobs(a);
	pool_submit(e->work, encode_attempt, a);
}

void job_to_ready(struct job *job)
{
	struct remote *e = job->e;
	job_leave_waits(job);
	job->state = JOB_READY;
	TAILQ_INSERT_TAIL(&e->ready, job, ready);
	e->ready_count++;
}

static void take_ready(struct job *job)
{
	TAILQ_REMOVE(&job->e->ready, job, ready);
	job->e->ready_count--;
}

/* What a job counts for where several share a request: of what never ran, at least so much that no
 * long row of them is made one after the other. */
static int64_t together_ms(const struct job *job)
{
	int64_t ms = expected_ms(job->e, job);
	return job->job.expected_micros || ms > REMOTE_TOGETHER_UNKNOWN_MS
	               ? ms
	               : REMOTE_TOGETHER_UNKNOWN_MS;
}

static bool is_small(const struct job *job)
{
	int64_t ms = expected_ms(job->e, job);
	return !job->alone && ms >= 0 && ms <= REMOTE_SMALL_MS &&
	       job->listing.cost <= REMOTE_SMALL_BYTES && !job->cancelled;
}

/* Jobs for one request: the first, and when there is less room than jobs, small ones with it. */
static size_t gather(struct remote *e, struct job *first, unsigned room,
                     struct job *out[REMOTE_THUNKS_MAX])
{
	size_t share = (e->ready_count + room - 1) / room, count = 1;
	size_t bytes = first->listing.cost;
	int64_t ms = together_ms(first);
	out[0] = first;
	if (share > REMOTE_THUNKS_MAX)
		share = REMOTE_THUNKS_MAX;
	for (struct job *job = TAILQ_NEXT(first, ready);
	     job && count < share && is_small(first) && is_small(job);
	     job = TAILQ_NEXT(job, ready)) {
		bytes += job->listing.cost;
		ms += together_ms(job);
		if (bytes > REMOTE_INLINE_MAX || ms > REMOTE_TOGETHER_MS || job->retry)
			break;
		out[count++] = job;
	}
	return count;
}

static void wake(void *arg)
{
	struct remote *e = arg;
	e->wake = NULL;
	remote_dispatch(e);
}

/* While the retry budget is used up, what has not been tried goes first. */
static struct job *first_ready(struct remote *e)
{
	struct job *job = TAILQ_FIRST(&e->ready);
	bool may_retry = pace_may_retry(&e->pace);
	while (job && job->retry && !may_retry)
		job = TAILQ_NEXT(job, ready);
	return job;
}

void remote_dispatch(struct remote *e)
{
	struct job *jobs[REMOTE_THUNKS_MAX], *first;
	while (!e->closing && (first = first_ready(e))) {
		unsigned room = pace_room(&e->pace, now_ms());
		bool full = e->held_bytes + first->listing.cost > REMOTE_HELD_BYTES_MAX;
		if (room == 0 || (full && e->held_bytes > 0))
			break;
		size_t count = gather(e, first, room, jobs);
		for (size_t i = 0; i < count; i++)
			take_ready(jobs[i]);
		attempt_start(e, jobs, count, false);
	}
	if (e->ready_count && !e->wake && !e->closing)
		e->wake = loop_after(net_loop(e->context.net), pace_wait_ms(&e->pace, now_ms()),
		                     wake, e);
}

/* --- stragglers --------------------------------------------------------------------------------
 */

static bool straggles(const struct attempt *a, int64_t now)
{
	int64_t usual = 0, elapsed = now - a->sent_ms;
	if (!a->sent || !a->handle || a->duplicate || elapsed < REMOTE_STRAGGLER_MIN_MS)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		int64_t one = expected_ms(a->e, a->jobs[i]);
		/* Nobody knows what is usual; or it has a second one. */
		if (one < 0 || a->jobs[i]->attempts > 1)
			return false;
		usual += one;
	}
	return elapsed > REMOTE_STRAGGLER_FACTOR * usual;
}

static void duplicate(struct remote *e, const struct attempt *a)
{
	struct job *jobs[REMOTE_THUNKS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < a->count; i++)
		if (!a->jobs[i]->settled)
			jobs[count++] = a->jobs[i];
	if (count)
		attempt_start(e, jobs, count, true);
}

static void look_for_stragglers(struct remote *e)
{
	int64_t now = now_ms();
	size_t most = e->pace.in_flight * REMOTE_DUPLICATES_A_HUNDRED / 100;
	struct attempt *a;
	if (most == 0)
		most = 1;
	TAILQ_FOREACH(a, &e->attempts, link)
	{
		/* The oldest first: what comes behind is younger. */
		if (now - a->sent_ms < REMOTE_STRAGGLER_MIN_MS || e->duplicates >= most ||
		    e->ready_count > 0 || pace_room(&e->pace, now) == 0)
			break;
		if (straggles(a, now))
			duplicate(e, a);
	}
}

static void tick(void *arg)
{
	struct remote *e = arg;
	e->tick = NULL;
	look_for_stragglers(e);
	start_tick(e);
}

static void start_tick(struct remote *e)
{
	if (!e->tick && !e->closing && !TAILQ_EMPTY(&e->attempts))
		e->tick = loop_after(net_loop(e->context.net), REMOTE_TICK_MS, tick, e);
}
