#include "common/aws/clock.h"

#include <string.h>

#include "common/aws/client.h"

time_t aws_now(const struct aws_clock *clock)
{
	return time(NULL) + clock->skew_s;
}

static bool complains_of_time(const struct http_response *r)
{
	if (r->code < 0 || (r->status != 400 && r->status != 401 && r->status != 403))
		return false;
	if (!r->body.len) /* to a HEAD: nothing says what it is */
		return r->status == 403;
	scoped_free char *code = NULL;
	scoped_free char *message = NULL;
	aws_error_parse(r, &code, &message);
	return strcmp(code, "RequestTimeTooSkewed") == 0 || strcmp(code, "RequestExpired") == 0 ||
	       strcmp(code, "RequestInTheFuture") == 0 || strstr(message, "Signature expired") ||
	       strstr(message, "not yet current");
}

static bool parse_date(const char *text, time_t *out)
{
	struct tm parts = { 0 };
	if (!text || !strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts))
		return false;
	*out = timegm(&parts);
	return true;
}

bool aws_clock_learn(struct aws_clock *clock, const struct http_response *r)
{
	time_t date;
	if (!complains_of_time(r) || !parse_date(http_header(r, "date"), &date))
		return false;
	int64_t skew = date - time(NULL), changed = skew - clock->skew_s;
	if (changed >= -AWS_CLOCK_TOLERANCE_S && changed <= AWS_CLOCK_TOLERANCE_S)
		return false;
	clock->skew_s = skew;
	return true;
}
