#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tools/cmd_lambda.h"
#include "tools/session.h"

enum {
	ANSWER_MAX = 8 << 20,
	BACKOFF_MS = 200, /* doubled at each try, and then a random part of it */
	CONNECT_MS = 10000,
	STALL_MS = 60000,
};

/* --- the session ------------------------------------------------------------------------------
 */

/* The function without a qualifier, which is not for whoever deploys. */
static char *function_name(const char *text)
{
	return xstrndup(text, strcspn(text, ":"));
}

int lambda_session_read(const struct lambda_options *o, struct lambda_session *s, struct error *err)
{
	scoped_free char *store = session_store(o->store, NULL);
	scoped_fd int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = settings_load(fd, environ, &s->settings, err);
	if (r < 0)
		return r;
	const char *profile = settings_get(s->settings, "aws.profile", NULL);
	const char *region = settings_get(s->settings, "lambda.region", NULL);
	const char *endpoint = settings_get(s->settings, "lambda.endpoint", NULL);
	struct aws_config_options options = { .profile = *profile ? profile : NULL };
	r = aws_config_load(&options, &s->config, err);
	if (r < 0)
		return r;
	s->function = function_name(
	        o->function ? o->function : settings_get(s->settings, "lambda.function", NULL));
	s->region = xstrdup(*region ? region : aws_config_region(s->config, NULL));
	s->endpoint =
	        *endpoint ? xstrdup(endpoint) : aws_config_endpoint(s->config, "lambda", NULL);
	if (!*s->function || strspn(s->function, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
	                                         "WXYZ0123456789-_") != strlen(s->function))
		return error_set(err, -EINVAL, "'%s' is no name of a function", s->function);
	return 0;
}

int lambda_session_open(const struct lambda_options *o, struct lambda_session *s, struct error *err)
{
	int r = lambda_session_read(o, s, err);
	if (r < 0)
		return r;
	struct http_options http = { .connections_max = 4,
		                     .ca_bundle = aws_config_get(s->config, "ca_bundle", NULL) };
	r = net_new(&http, &s->net, err);
	return r < 0 ? r : aws_new(s->net, s->config, &s->aws, err);
}

void lambda_session_release(struct lambda_session *s)
{
	aws_free(s->aws);
	net_free(s->net);
	aws_config_free(s->config);
	settings_free(s->settings);
	free(s->function);
	free(s->region);
	free(s->endpoint);
	*s = (struct lambda_session){ 0 };
}

/* --- calls -----------------------------------------------------------------------------------
 */

static bool worth_another_try(const struct http_response *r)
{
	if (r->code < 0)
		return r->fault == HTTP_FAULT_CONNECT || r->fault == HTTP_FAULT_CUT ||
		       r->fault == HTTP_FAULT_TIMEOUT;
	return r->status == 429 || r->status >= 500;
}

static void back_off(unsigned tries)
{
	uint32_t random = 0;
	ssize_t got = getrandom(&random, sizeof(random), 0);
	(void)got; /* so few bytes are never cut short */
	int64_t ms = random % (BACKOFF_MS << tries) + 1;
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&wait, NULL);
}

static int refused(const struct http_response *r, const char *function, struct error *err)
{
	scoped_free char *code = NULL, *message = NULL;
	aws_error_parse(r, &code, &message);
	if (r->status == 404)
		return error_set(err, -ENOENT, "there is no function %s in Lambda: %s", function,
		                 message);
	int number = r->status == 401 || r->status == 403 ? -EACCES : -EIO;
	if (r->status == 409)
		number = strstr(message, "already exist") ? -EEXIST : -EBUSY;
	return error_set(err, number, "Lambda refuses: %s%s%s (HTTP %d)", code,
	                 *code && *message ? ": " : "", message, r->status);
}

static int take_answer(const struct http_response *r, json_t **out, struct error *err)
{
	if (!out)
		return 0;
	*out = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
	if (json_is_object(*out))
		return 0;
	json_decref(*out);
	*out = NULL;
	return error_set(err, -EIO, "Lambda's answer is no JSON object: is this its endpoint?");
}

static int split_endpoint(const char *endpoint, char **scheme, char **host, char **path,
                          struct error *err)
{
	const char *colon = strstr(endpoint, "://");
	if (!colon)
		return error_set(err, -EINVAL, "'%s' is no URL of a Lambda endpoint", endpoint);
	size_t len = strcspn(colon + 3, "/");
	const char *rest = colon + 3 + len;
	size_t rest_len = strlen(rest);
	*scheme = xstrndup(endpoint, (size_t)(colon - endpoint));
	*host = xstrndup(colon + 3, len);
	*path = xstrndup(rest, rest_len && rest[rest_len - 1] == '/' ? rest_len - 1 : rest_len);
	return 0;
}

int lambda_ask(struct lambda_session *s, const struct aws_request *request,
               struct http_response *response, struct error *err)
{
	scoped_free char *scheme = NULL, *host = NULL, *base = NULL;
	int r = split_endpoint(s->endpoint, &scheme, &host, &base, err);
	if (r < 0)
		return r;
	scoped_free char *path = xformat("%s%s", base, request->path);
	struct aws_request whole = *request;
	whole.service = "lambda";
	whole.region = s->region;
	whole.scheme = scheme;
	whole.host = host;
	whole.path = path;
	r = aws_call(s->aws, &whole, response);
	if (r < 0)
		error_set(err, r, "%s", response->reason ? response->reason : strerror(-r));
	return r;
}

int lambda_call(struct lambda_session *s, const char *method, const char *path, const json_t *body,
                json_t **out, struct error *err)
{
	static const char *const headers[] = { "Content-Type: application/json" };
	scoped_free char *plain = xstrndup(path, strcspn(path, "?"));
	scoped_free char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const char *query = strchr(path, '?');
	struct aws_request request = {
		.path = plain,
		.query = query ? query + 1 : NULL,
		.http = { .method = method,
		          .headers = headers,
		          .header_count = text ? 1 : 0,
		          .body = text,
		          .body_len = text ? strlen(text) : 0,
		          .body_max = ANSWER_MAX,
		          .connect_ms = CONNECT_MS,
		          .stall_ms = STALL_MS,
		          .whole_ms = s->whole_ms },
	};
	for (unsigned tries = 0;; tries++) {
		struct http_response response = { 0 };
		int r = lambda_ask(s, &request, &response, err);
		if (tries + 1 < (s->tries ? s->tries : LAMBDA_TRIES) &&
		    worth_another_try(&response)) {
			http_response_release(&response);
			back_off(tries);
			continue;
		}
		if (r == 0 && response.status >= 300)
			r = refused(&response, s->function, err);
		else if (r == 0)
			r = take_answer(&response, out, err);
		http_response_release(&response);
		return r;
	}
}

int lambda_look(struct lambda_session *s, json_t **out, struct error *err)
{
	scoped_free char *path = xformat("/2015-03-31/functions/%s/configuration", s->function);
	return lambda_call(s, "GET", path, NULL, out, err);
}

const char *lambda_text(const json_t *config, const char *name)
{
	const char *text = json_string_value(json_object_get(config, name));
	return text ? text : "";
}

json_int_t lambda_number(const json_t *config, const char *name)
{
	return json_integer_value(json_object_get(config, name));
}

int lambda_concurrency(struct lambda_session *s, json_int_t *out, bool *reserved, struct error *err)
{
	json_t *answer;
	scoped_free char *path = xformat("/2019-09-30/functions/%s/concurrency", s->function);
	int r = lambda_call(s, "GET", path, NULL, &answer, err);
	if (r < 0)
		return r;
	const json_t *value = json_object_get(answer, "ReservedConcurrentExecutions");
	*reserved = json_is_integer(value);
	*out = json_integer_value(value);
	json_decref(answer);
	if (*reserved)
		return 0;
	r = lambda_call(s, "GET", "/2016-08-19/account-settings/", NULL, &answer, err);
	if (r < 0)
		return r;
	*out = lambda_number(json_object_get(answer, "AccountLimit"),
	                     "UnreservedConcurrentExecutions");
	json_decref(answer);
	return 0;
}
