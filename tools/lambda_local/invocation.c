#include <openssl/evp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

/* What happens to an invocation once it has an instance. */

enum {
	FAULT_KILL_MS = 20,    /* a function that is to be killed runs for so long */
	ANSWER_GRACE_MS = 200, /* an answer waits so long for its instance to ask for the next */
};

/* A random UUID (RFC 4122, version 4). */
void request_id_make(char out[REQUEST_ID_LEN + 1])
{
	uint8_t b[16];
	ssize_t got = getrandom(b, sizeof(b), 0);
	(void)got; /* so few bytes are never cut short */
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0, at = 0; i < 16; i++) {
		at += snprintf(out + at, (size_t)(REQUEST_ID_LEN + 1 - at), "%02x", b[i]);
		if (i == 3 || i == 5 || i == 7 || i == 9)
			out[at++] = '-';
	}
	out[REQUEST_ID_LEN] = '\0';
}

void invocation_log(struct invocation *inv, const char *bytes, size_t len)
{
	buf_add(&inv->log, bytes, len);
	if (inv->log.len <= 2 * LOG_TAIL_MAX)
		return;
	memmove(inv->log.data, inv->log.data + inv->log.len - LOG_TAIL_MAX, LOG_TAIL_MAX);
	inv->log.len = LOG_TAIL_MAX;
	inv->log.data[inv->log.len] = '\0';
}

/* --- beginning -------------------------------------------------------------------------------
 */

static void on_timeout(void *arg)
{
	struct invocation *inv = arg;
	unsigned seconds = inv->version->timeout_s;
	inv->timer = NULL;
	inv->service->counters.timed_out++;
	scoped_free char *line =
	        xformat("%s Task timed out after %u.00 seconds\n", inv->id, seconds);
	invocation_log(inv, line, strlen(line));
	invocation_fail(inv, "Sandbox.Timedout",
	                "RequestId: %s Error: Task timed out after %u.00 seconds", inv->id,
	                seconds);
	instance_kill(inv->instance);
	if (inv->service->options->emulate)
		invocation_end(inv);
}

static void on_fault(void *arg)
{
	struct invocation *inv = arg;
	if (inv->fault == FAULT_TIMEOUT) {
		on_timeout(inv);
		return;
	}
	inv->timer = NULL;
	inv->service->counters.out_of_memory += inv->fault == FAULT_OOM;
	invocation_fail(inv, "Runtime.ExitError",
	                "RequestId: %s Error: Runtime exited with error: %s", inv->id,
	                inv->fault == FAULT_OOM ? "signal: killed" : "exit status 1");
	instance_kill(inv->instance);
	if (inv->service->options->emulate)
		invocation_end(inv);
}

static bool is_killed(enum fault f)
{
	return f == FAULT_UNHANDLED || f == FAULT_OOM || f == FAULT_TIMEOUT;
}

bool invocation_dies(struct invocation *inv)
{
	if (!is_killed(inv->fault) || inv->answered)
		return false;
	loop_cancel(steal(&inv->timer));
	on_fault(inv);
	return true;
}

static void deliver(struct invocation *inv)
{
	struct instance *i = inv->instance;
	struct web_answer a = { .status = 200 };
	strv_add(&a.headers, "Content-Type: application/json");
	strv_add_format(&a.headers, "Lambda-Runtime-Aws-Request-Id: %s", inv->id);
	strv_add_format(&a.headers, "Lambda-Runtime-Deadline-Ms: %lld",
	                (long long)inv->deadline_ms);
	strv_add_format(&a.headers, "Lambda-Runtime-Trace-Id: %s", inv->trace_id);
	const char *name = inv->version->name;
	bool latest = strcmp(name, "$LATEST") == 0;
	strv_add_format(&a.headers, "Lambda-Runtime-Invoked-Function-Arn: %s%s%s",
	                inv->version->function->arn, latest ? "" : ":", latest ? "" : name);
	if (inv->payload.len)
		buf_add(&a.body, inv->payload.data, inv->payload.len);
	else
		buf_add_str(&a.body, "{}");
	if (i->next_request)
		web_answer(steal(&i->next_request), &a);
	web_answer_release(&a);
}

void invocation_begins(struct invocation *inv)
{
	struct service *s = inv->service;
	if (!inv->run_us) {
		inv->run_us = now_us();
		inv->deadline_ms = wall_ns() / 1000000 + (int64_t)inv->version->timeout_s * 1000;
		if (inv->cold)
			inv->init_us = inv->instance->init_us;
		report_start(inv);
		if (is_killed(inv->fault))
			inv->timer = loop_after(s->loop, FAULT_KILL_MS, on_fault, inv);
		else if (!s->options->emulate)
			inv->timer = loop_after(s->loop, (int64_t)inv->version->timeout_s * 1000,
			                        on_timeout, inv);
	}
	if (!s->options->emulate) {
		deliver(inv);
		memory_watch(s);
	} else if (!is_killed(inv->fault)) {
		emulate_run(inv);
	}
}

/* --- answering --------------------------------------------------------------------------------
 */

static void on_grace(void *arg)
{
	struct invocation *inv = arg;
	inv->timer = NULL;
	invocation_end(inv);
}

void invocation_answer(struct invocation *inv, const void *bytes, size_t len, bool error)
{
	if (inv->answered)
		return;
	inv->answered = true;
	inv->function_error = error;
	if (inv->run_us)
		inv->duration_us = (uint64_t)(now_us() - inv->run_us);
	buf_add(&inv->answer, bytes, len);
	loop_cancel(inv->timer);
	inv->timer = loop_after(inv->service->loop, ANSWER_GRACE_MS, on_grace, inv);
}

void invocation_fail(struct invocation *inv, const char *type, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_t *o = json_pack("{s:s,s:s}", "errorType", type, "errorMessage", text);
	scoped_free char *body = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	invocation_answer(inv, body, strlen(body), true);
	/* It goes out once the instance is gone, however long that takes. */
	loop_cancel(steal(&inv->timer));
}

/* Where the string that is the first member of this name begins, or NULL. */
static char *member_text(const struct buf *answer, const char *quoted_name)
{
	char *at = answer->data ? strstr(answer->data, quoted_name) : NULL;
	if (!at)
		return NULL;
	at += strlen(quoted_name);
	at += strspn(at, " :");
	return at[0] == '"' && at[1] && at[1] != '"' ? at + 1 : NULL;
}

/* One character of the first blob is another one; where there is none, of the first digest. */
static void spoil(struct buf *answer)
{
	static const char *const names[] = { "\"zstd\"", "\"bytes\"", "\"digest\"" };
	char *at = NULL;
	for (size_t i = 0; !at && i < sizeof(names) / sizeof(names[0]); i++)
		at = member_text(answer, names[i]);
	if (at)
		*at = *at == '0' ? '1' : '0';
}

static void spoil_or_swap(struct invocation *inv)
{
	struct service *s = inv->service;
	bool remember = s->faults.rates[FAULT_OTHER_THUNK] > 0 && !inv->function_error;
	struct buf mine = BUF_INIT;
	if (inv->fault == FAULT_WRONG_DIGEST)
		spoil(&inv->answer);
	if (remember && inv->fault != FAULT_WRONG_DIGEST)
		buf_add(&mine, inv->answer.data, inv->answer.len);
	if (inv->fault == FAULT_OTHER_THUNK && s->last_answer.len) {
		buf_reset(&inv->answer);
		buf_add(&inv->answer, s->last_answer.data, s->last_answer.len);
	}
	if (mine.len) {
		buf_release(&s->last_answer);
		s->last_answer = mine;
	}
}

static void add_log(struct invocation *inv, struct strv *headers)
{
	size_t len = inv->log.len < LOG_TAIL_MAX ? inv->log.len : LOG_TAIL_MAX;
	scoped_free char *text = xmalloc(4 * (len + 2) / 3 + 4);
	EVP_EncodeBlock((unsigned char *)text,
	                (const unsigned char *)inv->log.data + inv->log.len - len, (int)len);
	strv_add_format(headers, "X-Amz-Log-Result: %s", text);
}

static void send_answer(struct invocation *inv)
{
	struct web_answer a = { .status = 200 };
	strv_add(&a.headers, "Content-Type: application/json");
	strv_add_format(&a.headers, "X-Amzn-RequestId: %s", inv->id);
	strv_add_format(&a.headers, "X-Amzn-Trace-Id: %s", inv->trace_id);
	strv_add_format(&a.headers, "X-Amz-Executed-Version: %s", inv->version->name);
	if (inv->function_error)
		strv_add(&a.headers, "X-Amz-Function-Error: Unhandled");
	if (inv->tail && inv->log.len)
		add_log(inv, &a.headers);
	spoil_or_swap(inv);
	if (inv->fault == FAULT_CUT_AFTER)
		a.cut = WEB_CUT_BEFORE;
	if (inv->fault == FAULT_CUT_MIDDLE)
		a.cut = WEB_CUT_MIDDLE;
	report_record(inv, a.cut ? 0 : 200);
	a.body = inv->answer;
	inv->answer = BUF_INIT;
	if (inv->request)
		web_answer(steal(&inv->request), &a);
	web_answer_release(&a);
}

static void invocation_free(struct invocation *inv)
{
	if (inv->previous)
		inv->previous->next = inv->next;
	else
		inv->service->invocations = inv->next;
	if (inv->next)
		inv->next->previous = inv->previous;
	loop_cancel(inv->timer);
	if (inv->request)
		inv->request->gone = NULL;
	version_put(inv->version);
	buf_release(&inv->payload);
	buf_release(&inv->log);
	buf_release(&inv->answer);
	free(inv);
}

static void on_slow(void *arg)
{
	struct invocation *inv = arg;
	inv->timer = NULL;
	send_answer(inv);
	invocation_free(inv);
}

void invocation_end(struct invocation *inv)
{
	struct service *s = inv->service;
	struct instance *i = inv->instance;
	loop_cancel(steal(&inv->timer));
	if (inv->counted) {
		inv->version->function->in_flight--;
		s->counters.in_flight--;
	}
	if (inv->answered) {
		inv->rss_kib_max = i ? i->rss_kib_max : 0;
		s->counters.function_errors += inv->function_error;
		report_end(inv);
		s->counters.billed_ms += billed_ms(inv);
	}
	inv->instance = NULL;
	bool slow = inv->answered && inv->fault == FAULT_SLOW;
	if (slow)
		inv->timer = loop_after(s->loop, s->options->slow_ms, on_slow, inv);
	else if (inv->answered)
		send_answer(inv);
	if (!slow)
		invocation_free(inv);
	if (i)
		instance_answered(i); /* it may begin another at once */
}
