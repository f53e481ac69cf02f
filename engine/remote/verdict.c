#include "engine/remote/verdict.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "common/aws/client.h"
#include "common/base64.h"
#include "engine/remote/wire_impl.h"

enum {
	LOG_RESULT_MAX = 16 << 10, /* base64 of 4 KiB, and to spare */
	NUMBER_MAX = 1000000000,
	MESSAGE_MAX = 500, /* of a service's own words, in a reason */
};

void verdict_release(struct verdict *v)
{
	free(v->reason);
	v->reason = NULL;
}

/* --- the report ------------------------------------------------------------------------------- */

/* The number behind "NAME: " in a line, rounded up; -1 when it is not there. */
static int64_t number_of(const char *line, const char *name)
{
	const char *at = strstr(line, name);
	int64_t n = 0;
	if (!at || !isdigit((unsigned char)at[strlen(name)]))
		return -1;
	for (at += strlen(name); isdigit((unsigned char)*at) && n < NUMBER_MAX; at++)
		n = 10 * n + (*at - '0');
	return *at == '.' && strspn(at + 1, "0") < strspn(at + 1, "0123456789") ? n + 1 : n;
}

bool report_parse(const char *log_result, struct report *out)
{
	scoped_buf struct buf text = BUF_INIT;
	size_t len = strlen(log_result);
	if (len > LOG_RESULT_MAX || !base64_decode(log_result, len, &text) || text.len == 0)
		return false;
	/* The function's own output stands before it, and may say anything: the last one counts. */
	char *line = NULL;
	for (char *next = text.data; (next = strstr(next, "REPORT RequestId: ")); next++)
		if (next == text.data || next[-1] == '\n')
			line = next;
	if (!line)
		return false;
	line[strcspn(line, "\n")] = '\0';
	int64_t billed = number_of(line, "\tBilled Duration: ");
	int64_t memory = number_of(line, "\tMemory Size: ");
	int64_t used = number_of(line, "\tMax Memory Used: ");
	int64_t init = number_of(line, "\tInit Duration: ");
	if (billed < 0 || memory < 0)
		return false;
	*out = (struct report){
		.billed_ms = (uint64_t)billed,
		.memory_mib = (uint32_t)memory,
		.used_mib = used < 0 ? 0 : (uint32_t)used,
		.init_ms = init < 0 ? 0 : (uint64_t)init,
		.cold = init >= 0,
	};
	return true;
}

/* --- without a status ------------------------------------------------------------------------- */

static enum verdict_kind kind_of_fault(enum http_fault fault)
{
	switch (fault) {
	case HTTP_FAULT_RESOLVE:
	case HTTP_FAULT_CONNECT:
		return VERDICT_UNREACHABLE;
	case HTTP_FAULT_TLS:
		return VERDICT_UNTRUSTED;
	default:
		return VERDICT_TROUBLE;
	}
}

/* True when there is none. */
static bool judge_fault(const struct http_response *r, struct verdict *out)
{
	*out = (struct verdict){ 0 };
	if (r->code == 0)
		return false;
	out->kind = r->code == -EACCES ? VERDICT_DENIED : kind_of_fault(r->fault);
	if (r->fault == HTTP_FAULT_TIMEOUT && r->sent_bytes == 0)
		out->kind = VERDICT_UNREACHABLE; /* not even a connection was made */
	out->reason = xstrdup(r->reason ? r->reason : strerror(-r->code));
	out->may_have_run = r->fault == HTTP_FAULT_CUT || r->fault == HTTP_FAULT_TOO_LARGE ||
	                    (r->fault == HTTP_FAULT_TIMEOUT && r->sent_bytes > 0);
	return true;
}

/* Seconds are all that services send; a date is taken as "a while". */
static int64_t retry_after_ms(const struct http_response *r)
{
	const char *value = http_header(r, "retry-after");
	int64_t seconds = 0;
	if (!value)
		return 0;
	if (!isdigit((unsigned char)*value))
		return 1000;
	for (; isdigit((unsigned char)*value) && seconds < NUMBER_MAX; value++)
		seconds = 10 * seconds + (*value - '0');
	return seconds * 1000;
}

static enum verdict_kind kind_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return VERDICT_DENIED;
	case 408:
	case 409:
	case 425:
		return VERDICT_TROUBLE;
	case 413:
		return VERDICT_TOO_LARGE;
	case 429:
		return VERDICT_THROTTLED;
	default:
		return status >= 500 ? VERDICT_TROUBLE : VERDICT_REFUSED;
	}
}

static void judge_status(const struct http_response *r, const char *who, struct verdict *out)
{
	scoped_free char *code = NULL, *message = NULL;
	aws_error_parse(r, &code, &message);
	out->kind = kind_of_status(r->status);
	out->retry_after_ms = retry_after_ms(r);
	/* A gateway that gave up on the function; 503 and 500 mean that it did not begin. */
	out->may_have_run = r->status == 504 || r->status == 502;
	/* Where the service says nothing, the words stand for that. */
	bool named = strncmp(code, "HTTP ", 5) != 0, said = *message != '(';
	out->reason = xformat("%s answers %d%s%.*s%s%.*s", who, r->status, named ? " " : "",
	                      named ? MESSAGE_MAX : 0, code, said ? ": " : "",
	                      said ? MESSAGE_MAX : 0, message);
}

/* --- Lambda ----------------------------------------------------------------------------------- */

/* The error object that a function error has for a body; members "" when there are none. */
static void error_object(const struct http_response *r, char **type, char **message)
{
	json_t *object = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
	const char *t = json_string_value(json_object_get(object, "errorType"));
	const char *m = json_string_value(json_object_get(object, "errorMessage"));
	*type = xstrdup(t ? t : "");
	*message = xstrdup(m ? m : "");
	json_decref(object);
}

static enum verdict_kind kind_of_death(const struct verdict *v, const char *type,
                                       const char *message)
{
	if (strstr(type, "OutOfMemory") || strstr(message, "OutOfMemory"))
		return VERDICT_NO_MEMORY;
	if (strstr(message, "Task timed out") || strstr(type, "Timedout"))
		return VERDICT_DEADLINE;
	/* The kernel's killer leaves no other trace than that all of it was used. */
	if (strstr(message, "signal: killed") && v->has_report &&
	    v->report.used_mib >= v->report.memory_mib)
		return VERDICT_NO_MEMORY;
	return VERDICT_DIED;
}

static void judge_function_error(const struct http_response *r, const char *how,
                                 struct verdict *out)
{
	scoped_free char *type = NULL, *message = NULL, *memory = NULL;
	const char *id = http_header(r, "x-amzn-requestid");
	error_object(r, &type, &message);
	out->kind = kind_of_death(out, type, message);
	out->may_have_run = true;
	memory = out->has_report ? xformat(", %u of %u MB used", out->report.used_mib,
	                                   out->report.memory_mib)
	                         : xstrdup("");
	const char *what = out->kind == VERDICT_NO_MEMORY  ? "ran out of memory"
	                   : out->kind == VERDICT_DEADLINE ? "reached the function's timeout"
	                                                   : "died";
	out->reason = xformat("the worker %s (%.50s %.100s: %.*s; request %.100s%s)", what, how,
	                      type, MESSAGE_MAX, message, id ? id : "unknown", memory);
}

void verdict_of_lambda(const struct http_response *r, struct verdict *out)
{
	if (judge_fault(r, out))
		return;
	const char *log = http_header(r, "x-amz-log-result");
	const char *error = http_header(r, "x-amz-function-error");
	out->has_report = log && report_parse(log, &out->report);
	if (r->status == 200 && error)
		judge_function_error(r, error, out);
	else if (r->status != 200)
		judge_status(r, "Lambda", out);
	if (out->kind == VERDICT_REFUSED && r->status == 404) {
		char *said = out->reason;
		out->reason = xformat("%s (`ggfs lambda deploy` makes the function)", said);
		free(said);
	}
}

/* --- an HTTP worker --------------------------------------------------------------------------- */

void verdict_of_http(const struct http_response *r, struct verdict *out)
{
	if (judge_fault(r, out) || r->status == 200)
		return;
	judge_status(r, "the worker", out);
	/* Cloud Run and a worker that is busy say 503; they say when to come again. */
	if (r->status == 503 && out->retry_after_ms > 0)
		out->kind = VERDICT_THROTTLED;
}
