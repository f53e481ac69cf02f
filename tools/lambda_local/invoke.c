#include <string.h>
#include <strings.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

/* What happens to an Invoke until it has an instance: its checks, faults, limits. */

static void refuse(struct invocation *inv, unsigned status, const char *type, const char *reason,
                   const char *message)
{
	struct web_answer a = { 0 };
	error_answer(&a, status, type, reason, message);
	report_record(inv, status);
	if (inv->request)
		web_answer(steal(&inv->request), &a);
	web_answer_release(&a);
	invocation_end(inv);
}

static void throttle(struct invocation *inv, const char *reason)
{
	inv->service->counters.throttled++;
	inv->fault_reason = reason;
	refuse(inv, 429, "TooManyRequestsException", reason, "Rate Exceeded.");
}

static void cut(struct invocation *inv)
{
	struct web_answer a = { .cut = WEB_CUT_BEFORE };
	report_record(inv, 0);
	if (inv->request)
		web_answer(steal(&inv->request), &a);
	invocation_end(inv);
}

/* True: the fault has ended it. */
static bool suffer(struct invocation *inv)
{
	switch (inv->fault) {
	case FAULT_THROTTLE:
		throttle(inv, faults_throttle_reason(&inv->service->faults));
		return true;
	case FAULT_500:
		refuse(inv, 500, "ServiceException", NULL,
		       "The AWS Lambda service encountered an internal error.");
		return true;
	case FAULT_502:
		refuse(inv, 502, "EC2UnexpectedException", NULL, "Bad Gateway");
		return true;
	case FAULT_503:
		refuse(inv, 503, "ServiceUnavailableException", NULL, "Service Unavailable");
		return true;
	case FAULT_504:
		refuse(inv, 504, NULL, NULL, "Endpoint request timed out");
		return true;
	case FAULT_CUT_BEFORE:
		cut(inv);
		return true;
	default:
		return false;
	}
}

/* What is left of the account's concurrency for functions that have reserved none. */
static bool unreserved_left(const struct service *s)
{
	int64_t limit = s->options->concurrency, used = 0;
	for (const struct function *f = s->functions; f; f = f->next) {
		if (f->reserved >= 0)
			limit -= f->reserved;
		else
			used += f->in_flight;
	}
	return used < limit;
}

static bool may_start(struct function *f)
{
	enum { PERIOD_MS = 10000 };
	double scaling = f->service->options->scaling;
	int64_t now = now_ms();
	f->starts_left += (double)(now - f->starts_at_ms) * scaling / PERIOD_MS;
	f->starts_at_ms = now;
	if (f->starts_left > scaling)
		f->starts_left = scaling;
	return f->starts_left >= 1;
}

/* Why not to run one more now: the Reason of a 429, or NULL. */
static const char *limit_met(const struct invocation *inv)
{
	struct function *f = inv->version->function;
	if (f->reserved >= 0 && f->in_flight >= (unsigned)f->reserved)
		return "ReservedFunctionConcurrentInvocationLimitExceeded";
	if (f->reserved < 0 && !unreserved_left(inv->service))
		return "ConcurrentInvocationLimitExceeded";
	if (!instance_is_idle(inv->version) && !may_start(f))
		return "ConcurrentInvocationLimitExceeded";
	return NULL;
}

static void run(struct invocation *inv)
{
	struct service *s = inv->service;
	struct function *f = inv->version->function;
	bool cold = !instance_is_idle(inv->version);
	f->in_flight++;
	inv->counted = true;
	if (++s->counters.in_flight > s->counters.in_flight_max)
		s->counters.in_flight_max = s->counters.in_flight;
	s->counters.invocations++;
	if (cold)
		f->starts_left -= 1;
	if (!instance_take(inv))
		refuse(inv, 500, "ServiceException", NULL,
		       "there is no room for one more instance");
}

void events_start(struct service *s)
{
	struct invocation *inv;
	while ((inv = s->events) && !limit_met(inv)) {
		s->events = inv->next_event;
		if (!s->events)
			s->events_end = &s->events;
		s->event_count--;
		run(inv);
	}
	if (s->events && !s->events_timer)
		s->events_timer = loop_after(s->loop, EVENTS_LOOK_MS, events_start_later, s);
}

void events_start_later(void *service)
{
	struct service *s = service;
	s->events_timer = NULL;
	events_start(s);
}

static void arrive(void *arg)
{
	struct invocation *inv = arg;
	struct service *s = inv->service;
	inv->timer = NULL;
	if (suffer(inv))
		return;
	if (!inv->event) {
		const char *reason = limit_met(inv);
		if (reason)
			throttle(inv, reason);
		else
			run(inv);
		return;
	}
	if (s->event_count >= EVENTS_MAX) {
		throttle(inv, "CallerRateLimitExceeded");
		return;
	}
	struct web_answer a = { .status = 202 };
	strv_add_format(&a.headers, "X-Amzn-RequestId: %s", inv->id);
	if (inv->request)
		web_answer(steal(&inv->request), &a);
	web_answer_release(&a);
	*s->events_end = inv;
	s->events_end = &inv->next_event;
	s->event_count++;
	events_start(s);
}

/* --- checks ----------------------------------------------------------------------------------
 */

static bool is_json(const struct buf *payload)
{
	if (!payload->len)
		return true;
	json_t *value = json_loadb(payload->data, payload->len,
	                           JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
	bool is = value != NULL;
	json_decref(value);
	return is;
}

/* True: it is fit to be run; else it has been answered. */
static bool check(struct service *s, struct web_request *r, const struct function *f, bool event)
{
	unsigned max = event ? PAYLOAD_EVENT_MAX : PAYLOAD_MAX;
	if (r->too_large || r->body.len > max) {
		answer_error(r, 413, "RequestTooLargeException", NULL,
		             "Request must be smaller than %u bytes for the InvokeFunction "
		             "operation",
		             max);
		return false;
	}
	if (function_pending(f)) {
		answer_error(r, 409, "ResourceConflictException", NULL,
		             "The operation cannot be performed at this time. The function is "
		             "currently in the following state: Pending");
		return false;
	}
	/* With --emulate it is read anyway. */
	if (!s->options->emulate && !is_json(&r->body)) {
		answer_error(r, 400, "InvalidRequestContentException", NULL,
		             "Could not parse request body into json");
		return false;
	}
	return true;
}

static void request_gone(struct web_request *r)
{
	struct invocation *inv = r->arg;
	inv->request = NULL;
}

static struct invocation *invocation_new(struct service *s, struct web_request *r,
                                         struct version *v)
{
	struct invocation *inv = xcalloc(1, sizeof(*inv));
	*inv = (struct invocation){
		.service = s,
		.version = version_ref(v),
		.payload = r->body,
		.request = r,
		.arrived_us = now_us(),
		.fault = faults_draw(&s->faults),
		.next = s->invocations,
	};
	r->body = BUF_INIT;
	r->arg = inv;
	r->gone = request_gone;
	if (inv->next)
		inv->next->previous = inv;
	s->invocations = inv;
	s->counters.faults[inv->fault]++;
	request_id_make(inv->id);
	const char *trace = web_header(r, "x-amzn-trace-id");
	snprintf(inv->trace_id, sizeof(inv->trace_id), "%s", trace ? trace : "");
	if (!trace)
		snprintf(inv->trace_id, sizeof(inv->trace_id),
		         "Root=1-%08llx-%.8s%.4s%.12s;Sampled=0",
		         (unsigned long long)(wall_ns() / 1000000000), inv->id, inv->id + 9,
		         inv->id + 24);
	return inv;
}

void invoke(struct service *s, struct web_request *r, const char *name, const char *qualifier)
{
	struct function *f = function_find(s, name);
	const char *type = web_header(r, "x-amz-invocation-type");
	const char *log_type = web_header(r, "x-amz-log-type");
	bool event = type && strcmp(type, "Event") == 0, dry = type && strcmp(type, "DryRun") == 0;
	struct version *v = f ? function_version(f, qualifier) : NULL;
	if (!v) {
		answer_error(r, 404, "ResourceNotFoundException", NULL,
		             "Function not found: arn:aws:lambda:%s:%s:function:%s",
		             s->options->region, s->options->account, name);
		return;
	}
	if (type && !event && !dry && strcmp(type, "RequestResponse") != 0) {
		answer_error(r, 400, "InvalidParameterValueException", NULL,
		             "Value '%.64s' at 'invocationType' is not one of Event, DryRun, "
		             "RequestResponse",
		             type);
		return;
	}
	if (!check(s, r, f, event))
		return;
	if (dry) {
		answer_empty(r, 204);
		return;
	}
	struct invocation *inv = invocation_new(s, r, v);
	inv->event = event;
	inv->tail = !event && log_type && strcasecmp(log_type, "Tail") == 0;
	if (s->options->latency_ms)
		inv->timer = loop_after(s->loop, s->options->latency_ms, arrive, inv);
	else
		arrive(inv);
}
