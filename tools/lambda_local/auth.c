#include <string.h>
#include <time.h>

#include "tools/lambda_local/lambda.h"

/* "InvalidSignatureException: sentence" as AWS's error. */
static void refuse(struct service *s, struct web_request *r, const struct error *err)
{
	const char *colon = strstr(err->text, ": ");
	scoped_free char *type = colon ? xstrndup(err->text, (size_t)(colon - err->text))
	                               : xstrdup("InvalidSignatureException");
	s->counters.refused++;
	answer_error(r, 403, type, NULL, "%s", colon ? colon + 2 : err->text);
}

/* A token that is not the one the key goes with is an expired one, the rest being right. */
static bool token_is_another(const struct service *s, const struct web_request *r)
{
	const char *token = web_header(r, "x-amz-security-token");
	return s->keys.session_token && token && strcmp(token, s->keys.session_token) != 0;
}

bool request_is_signed(struct service *s, struct web_request *r)
{
	struct error err = ERROR_INIT;
	if (!s->keys.access_key)
		return true;
	struct sha256_hex payload = sha256_hex(r->body.data ? r->body.data : "", r->body.len);
	const char *host = web_header(r, "host");
	struct sigv4_request request = {
		.method = r->method,
		.host = host ? host : "",
		.path = r->path,
		.query = r->query,
		.headers = (const char *const *)r->headers.items,
		.header_count = r->headers.count,
		.payload_sha256 = payload.text,
		.service = "lambda",
		.region = s->options->region,
	};
	if (token_is_another(s, r))
		error_set(&err, -EACCES,
		          "ExpiredTokenException: The security token included in the request is "
		          "expired");
	else if (sigv4_verify(&s->keys, &request, time(NULL), &err) == 0)
		return true;
	refuse(s, r, &err);
	return false;
}
