/* The queue, how many are sent at once, and the pause while nobody answers. */
#include "objstore/s3_private.h"

#include "common/io.h"
#include "common/log.h"

void s3_enqueue(struct s3_op *op)
{
	struct s3 *s3 = op->s3;
	op->queue_next = NULL;
	if (s3->queue)
		s3->queue_last->queue_next = op;
	else
		s3->queue = op;
	s3->queue_last = op;
	s3_pump(s3);
}

static struct s3_op *dequeue(struct s3 *s3)
{
	struct s3_op *op = s3->queue;
	if (op)
		s3->queue = op->queue_next;
	return op;
}

static void give_up(struct s3_op *op)
{
	struct s3 *s3 = op->s3;
	struct error err = ERROR_INIT;
	if (op->last)
		err = *op->last;
	else
		error_set(&err, -ENETDOWN, "%s: %s is away", s3->place.url, s3->place.host);
	int code = error_prefix(&err, -ENETDOWN, "given up after %lld s",
	                        (long long)(s3->limits.away_ms / 1000));
	s3_op_finish(op, code, NULL, &err);
}

static bool is_late(const struct s3_op *op)
{
	const struct s3 *s3 = op->s3;
	int64_t since = op->queued_ms > s3->paused_ms ? op->queued_ms : s3->paused_ms;
	return now_ms() - since >= s3->limits.away_ms;
}

/* Ends those in the queue that have waited long enough for a service that is away. */
static void give_up_late(struct s3 *s3)
{
	struct s3_op *op, *late = NULL, *waiting = s3->queue;
	s3->queue = s3->queue_last = NULL;
	while ((op = waiting)) {
		waiting = op->queue_next;
		op->queue_next = NULL;
		if (is_late(op)) {
			op->queue_next = late;
			late = op;
		} else {
			*(s3->queue ? &s3->queue_last->queue_next : &s3->queue) = op;
			s3->queue_last = op;
		}
	}
	while ((op = late)) {
		late = op->queue_next;
		give_up(op);
	}
}

static void set_tick(struct s3 *s3);

static void on_tick(void *arg)
{
	struct s3 *s3 = arg;
	s3->tick = NULL;
	give_up_late(s3);
	if (!s3->probe && s3->queue && now_ms() >= s3->next_probe_ms) {
		s3->probe = dequeue(s3);
		s3_op_send(s3->probe);
	}
	set_tick(s3);
}

/* As long as there is somebody to be told, one way or the other. */
static void set_tick(struct s3 *s3)
{
	if (!s3->paused || s3->tick || s3->stopped || (!s3->queue && !s3->probe))
		return;
	int64_t delay = s3->probe ? s3->limits.probe_max_ms : s3->next_probe_ms - now_ms();
	s3->tick = loop_after(s3_loop(s3), delay > 0 ? delay : 0, on_tick, s3);
}

void s3_pause(struct s3 *s3)
{
	s3->paused = true;
	s3->paused_ms = now_ms();
	s3->probes = 0;
	s3->next_probe_ms = s3->paused_ms + s3_probe_ms(&s3->limits, 0, s3_random(s3));
	atomic_store(&s3->usage.paused, true);
	set_tick(s3);
}

static void resume(struct s3 *s3)
{
	if (s3->told)
		log_warning("%s: there again after %lld ms", s3->place.url,
		            (long long)(now_ms() - s3->paused_ms));
	s3->paused = s3->told = false;
	loop_cancel(s3->tick);
	s3->tick = NULL;
	s3->window = S3_WINDOW_UNIT;
	s3_budget_fill(&s3->budget);
	atomic_store(&s3->usage.paused, false);
}

/* A pause that the first probe ends is nothing to speak of. */
static void tell(struct s3 *s3, const struct s3_op *op)
{
	if (s3->told)
		return;
	s3->told = true;
	log_warning("%s: %s is away (%s); waiting for it", s3->place.url, s3->place.host,
	            op->last ? op->last->text : "no answer");
}

void s3_probe_failed(struct s3 *s3, const struct s3_op *op)
{
	if (s3->paused && s3->probes > 0)
		tell(s3, op);
}

void s3_probe_ended(struct s3 *s3, struct s3_op *op)
{
	if (s3->probe != op)
		return;
	s3->probe = NULL;
	s3->next_probe_ms = now_ms() + s3_probe_ms(&s3->limits, ++s3->probes, s3_random(s3));
	loop_cancel(s3->tick);
	s3->tick = NULL;
}

void s3_went_well(struct s3 *s3)
{
	s3->failures_in_row = 0;
	s3_budget_refund(&s3->budget);
	if (s3->paused)
		resume(s3);
	unsigned most = s3->connections * S3_WINDOW_UNIT;
	unsigned unit = S3_WINDOW_UNIT;
	s3->window += s3->window < s3->threshold ? unit : unit * unit / s3->window;
	if (s3->window > most)
		s3->window = most;
}

void s3_throttled(struct s3 *s3, const struct s3_op *op)
{
	/* Answers to what was sent before the last halving tell nothing new. */
	if (op->number <= s3->shrunk_at)
		return;
	s3->shrunk_at = s3->sends;
	s3->window = s3->window / 2 > S3_WINDOW_UNIT ? s3->window / 2 : S3_WINDOW_UNIT;
	s3->threshold = s3->window;
}

bool s3_seems_away(const struct s3 *s3)
{
	unsigned at_once = s3->window / S3_WINDOW_UNIT;
	return s3->failures_in_row >= S3_AWAY_FAILURES && s3->failures_in_row >= 2 * at_once;
}

static void on_pump(void *arg)
{
	struct s3 *s3 = arg;
	s3->pump_posted = false;
	while (!s3->paused && s3->queue && s3->active < s3->window / S3_WINDOW_UNIT)
		s3_op_send(dequeue(s3));
	set_tick(s3);
}

void s3_pump(struct s3 *s3)
{
	if (s3->pump_posted || s3->stopped || !s3->queue)
		return;
	s3->pump_posted = true;
	loop_post(s3_loop(s3), on_pump, s3);
}

void s3_pause_stop(struct s3 *s3)
{
	loop_cancel(s3->tick);
	s3->tick = NULL;
	s3->probe = NULL;
	s3->paused = false;
}
