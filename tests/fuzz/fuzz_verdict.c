/* A Lambda's answer, whatever it is: status, headers and body, each on a line of its own, the body
 * the rest. What it means is always said, and numbers stay within bounds. */
#include <stdlib.h>
#include <string.h>

#include "engine/remote/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *next_line(const char **at, const char *end)
{
	const char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
	if (!stop)
		stop = end;
	*at = stop < end ? stop + 1 : end;
	return xstrndup(line, strnlen(line, (size_t)(stop - line)));
}

static void check(const struct verdict *v)
{
	if (!v->reason != (v->kind == VERDICT_ANSWER) || v->retry_after_ms < 0)
		abort();
	if (v->has_report && v->report.billed_ms > 100000000000u)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct http_response r = { 0 };
	struct report report;
	struct verdict v;
	scoped_free char *status = next_line(&at, end);
	r.status = 100 + abs(atoi(status) % 500);
	for (int i = 0; i < 4 && at < end; i++) {
		scoped_free char *line = next_line(&at, end);
		if (strstr(line, ": ")) /* as the client has them */
			strv_add(&r.headers, line);
	}
	buf_add(&r.body, at, (size_t)(end - at));
	verdict_of_lambda(&r, &v);
	check(&v);
	verdict_release(&v);
	verdict_of_http(&r, &v);
	check(&v);
	verdict_release(&v);
	report_parse(status, &report);
	http_response_release(&r);
	return 0;
}
