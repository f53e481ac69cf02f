#include <openssl/evp.h>
#include <string.h>

#include "tools/lambda_local/lambda.h"

/* Management of functions (AWS Lambda API Reference, 2015-03-31), as far as it is needed to deploy
 * one and to look at it. */

enum { NAME_MAX_LEN = 64 };

/* One request on its way to its handler. */
struct call {
	struct service *service;
	struct web_request *request;
	char *name, *qualifier; /* "" when there is none */
	struct function *function;
	json_t *body; /* an object; of PUT and POST */
};

static void not_found(struct call *c)
{
	const struct options *o = c->service->options;
	answer_error(c->request, 404, "ResourceNotFoundException", NULL,
	             "Function not found: arn:aws:lambda:%s:%s:function:%s%s%s", o->region,
	             o->account, c->name, *c->qualifier ? ":" : "", c->qualifier);
}

static void conflict(struct call *c, const char *what)
{
	answer_error(c->request, 409, "ResourceConflictException", NULL, "%s: %s", what, c->name);
}

static void bad_value(struct call *c, const struct error *err)
{
	bool large = err->code == -EFBIG;
	answer_error(c->request, large ? 413 : 400,
	             large ? "RequestTooLargeException" : "InvalidParameterValueException", NULL,
	             "%s", error_text(err));
}

/* True: it is there and may be changed now; else it has been answered. */
static bool may_change(struct call *c)
{
	const struct function *f = c->function;
	const char *revision = json_string_value(json_object_get(c->body, "RevisionId"));
	const json_t *now = json_object_get(f->latest->config, "RevisionId");
	if (function_pending(f) || function_updating(f)) {
		answer_error(c->request, 409, "ResourceConflictException", NULL,
		             "The operation cannot be performed at this time. An update is in "
		             "progress for resource: %s",
		             f->arn);
		return false;
	}
	if (revision && strcmp(revision, json_string_value(now)) != 0) {
		answer_error(c->request, 412, "PreconditionFailedException", NULL,
		             "The RevisionId provided does not match the latest RevisionId. Call "
		             "the GetFunction/GetAlias API to retrieve the latest RevisionId");
		return false;
	}
	return true;
}

/* --- packages --------------------------------------------------------------------------------
 */

/* The package of {"ZipFile": base64}. */
static int read_package(struct call *c, const json_t *code, struct package **out, struct error *err)
{
	const json_t *zip = json_object_get(code, "ZipFile");
	size_t len = json_string_length(zip);
	if (!json_is_string(zip) || len % 4 != 0 || len == 0)
		return error_set(err, -EINVAL,
		                 "Please provide a source for function code: this "
		                 "Lambda takes a ZipFile only");
	scoped_free unsigned char *bytes = xmalloc(len / 4 * 3 + 3);
	const char *text = json_string_value(zip);
	int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
	if (decoded < 0)
		return error_set(err, -EINVAL, "ZipFile is not in base64");
	decoded -= (text[len - 1] == '=') + (text[len - 2] == '=');
	return package_get(c->service, bytes, (size_t)decoded, out, err);
}

/* --- functions -------------------------------------------------------------------------------
 */

static bool name_is_good(const char *name)
{
	size_t len = strlen(name);
	return len > 0 && len <= NAME_MAX_LEN &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
	               len;
}

static void publish_if_asked(struct call *c, struct function *f, struct version **v)
{
	if (!json_is_true(json_object_get(c->body, "Publish")))
		return;
	struct version *published = function_publish(f, NULL);
	*v = published ? published : *v;
}

static size_t function_count(const struct service *s)
{
	size_t count = 0;
	for (const struct function *f = s->functions; f; f = f->next)
		count++;
	return count;
}

static void create(struct call *c)
{
	struct error err = ERROR_INIT;
	struct package *package = NULL;
	struct version *v;
	const char *name = json_string_value(json_object_get(c->body, "FunctionName"));
	free(c->name);
	c->name = xstrdup(name ? name : "");
	if (!name_is_good(c->name) || function_count(c->service) >= FUNCTIONS_MAX) {
		error_set(&err, -EINVAL, "'%s' is no name for a function, or there are too many",
		          c->name);
		bad_value(c, &err);
		return;
	}
	if (function_find(c->service, c->name)) {
		conflict(c, "Function already exist");
		return;
	}
	if (read_package(c, json_object_get(c->body, "Code"), &package, &err) < 0) {
		bad_value(c, &err);
		return;
	}
	struct function *f = function_new(c->service, c->name);
	int r = version_new(f, NULL, c->body, package, &v, &err);
	package_put(c->service, package);
	if (r < 0) {
		function_delete(f);
		bad_value(c, &err);
		return;
	}
	function_set_latest(f, v);
	publish_if_asked(c, f, &v);
	answer_json(c->request, 201, version_describe(v));
}

static void get_configuration(struct call *c)
{
	struct version *v = function_version(c->function, c->qualifier);
	if (v)
		answer_json(c->request, 200, version_describe(v));
	else
		not_found(c);
}

static void get(struct call *c)
{
	struct version *v = function_version(c->function, c->qualifier);
	if (!v) {
		not_found(c);
		return;
	}
	const char *host = web_header(c->request, "host");
	scoped_free char *place =
	        xformat("http://%s/_ggfs/code/%s/%s", host ? host : "", c->function->name, v->name);
	json_t *o = json_pack("{s:o,s:{s:s,s:s}}", "Configuration", version_describe(v), "Code",
	                      "RepositoryType", "S3", "Location", place);
	if (c->function->reserved >= 0)
		json_object_set_new(
		        o, "Concurrency",
		        json_pack("{s:i}", "ReservedConcurrentExecutions", c->function->reserved));
	answer_json(c->request, 200, o);
}

static void list(struct call *c)
{
	json_t *all = json_array();
	for (struct function *f = c->service->functions; f; f = f->next)
		if (!f->deleted)
			json_array_append_new(all, version_describe(f->latest));
	answer_json(c->request, 200, json_pack("{s:o,s:n}", "Functions", all, "NextMarker"));
}

static void list_versions(struct call *c)
{
	json_t *all = json_array();
	json_array_append_new(all, version_describe(c->function->latest));
	for (size_t i = 0; i < c->function->published_count; i++)
		json_array_append_new(all, version_describe(c->function->published[i]));
	answer_json(c->request, 200, json_pack("{s:o,s:n}", "Versions", all, "NextMarker"));
}

static void update(struct call *c, struct package *package)
{
	struct error err = ERROR_INIT;
	struct version *v;
	if (version_new(c->function, c->function->latest, c->body, package, &v, &err) < 0) {
		bad_value(c, &err);
		return;
	}
	function_set_latest(c->function, v);
	publish_if_asked(c, c->function, &v);
	answer_json(c->request, 200, version_describe(v));
}

static void update_code(struct call *c)
{
	struct error err = ERROR_INIT;
	struct package *package = NULL;
	if (!may_change(c))
		return;
	if (read_package(c, c->body, &package, &err) < 0) {
		bad_value(c, &err);
		return;
	}
	if (json_is_true(json_object_get(c->body, "DryRun")))
		get_configuration(c);
	else
		update(c, package);
	package_put(c->service, package);
}

static void update_configuration(struct call *c)
{
	if (may_change(c))
		update(c, NULL);
}

static void publish(struct call *c)
{
	const json_t *description = json_object_get(c->body, "Description");
	if (!may_change(c))
		return;
	struct version *v = function_publish(c->function, json_string_value(description));
	if (v)
		answer_json(c->request, 201, version_describe(v));
	else
		answer_error(c->request, 400, "CodeStorageExceededException", NULL,
		             "there are %d versions already", VERSIONS_MAX);
}

static void delete (struct call *c)
{
	function_delete(c->function);
	answer_empty(c->request, 204);
}

static void answer_concurrency(struct call *c)
{
	json_t *o = json_object();
	if (c->function->reserved >= 0)
		json_object_set_new(o, "ReservedConcurrentExecutions",
		                    json_integer(c->function->reserved));
	answer_json(c->request, 200, o);
}

static void put_concurrency(struct call *c)
{
	const json_t *value = json_object_get(c->body, "ReservedConcurrentExecutions");
	struct error err = ERROR_INIT;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > (json_int_t)c->service->options->concurrency) {
		error_set(&err, -EINVAL,
		          "Specified ReservedConcurrentExecutions for function decreases "
		          "account's UnreservedConcurrentExecution below its minimum value");
		bad_value(c, &err);
		return;
	}
	c->function->reserved = (int)json_integer_value(value);
	answer_concurrency(c);
}

static void delete_concurrency(struct call *c)
{
	c->function->reserved = -1;
	answer_empty(c->request, 204);
}

static void account(struct call *c)
{
	json_int_t limit = c->service->options->concurrency, left = limit;
	for (const struct function *f = c->service->functions; f; f = f->next)
		left -= f->reserved > 0 ? f->reserved : 0;
	answer_json(c->request, 200,
	            json_pack("{s:{s:I,s:I,s:I,s:I,s:I},s:{s:I}}", "AccountLimit",
	                      "ConcurrentExecutions", limit, "UnreservedConcurrentExecutions", left,
	                      "CodeSizeZipped", (json_int_t)PACKAGE_ZIP_MAX, "CodeSizeUnzipped",
	                      (json_int_t)PACKAGE_UNPACKED_MAX, "TotalCodeSize",
	                      (json_int_t)80530636800, "AccountUsage", "FunctionCount",
	                      (json_int_t)function_count(c->service)));
}

/* --- routes ----------------------------------------------------------------------------------
 */

struct route {
	const char *method;
	const char *version; /* the first component of the path */
	const char *rest;    /* after "functions/NAME" */
	void (*handler)(struct call *c);
};

static const struct route routes[] = {
	{ "GET", "2015-03-31", "", get },
	{ "DELETE", "2015-03-31", "", delete },
	{ "GET", "2015-03-31", "/configuration", get_configuration },
	{ "PUT", "2015-03-31", "/configuration", update_configuration },
	{ "PUT", "2015-03-31", "/code", update_code },
	{ "GET", "2015-03-31", "/versions", list_versions },
	{ "POST", "2015-03-31", "/versions", publish },
	{ "PUT", "2017-10-31", "/concurrency", put_concurrency },
	{ "DELETE", "2017-10-31", "/concurrency", delete_concurrency },
	{ "GET", "2019-09-30", "/concurrency", answer_concurrency },
};

/* NAME, NAME:QUALIFIER, ACCOUNT:function:NAME and ARNs, which a query's Qualifier goes with. */
static void split_name(struct call *c, const char *text, size_t len)
{
	scoped_free char *name = web_decode(text, len);
	char *function = strstr(name, "function:");
	char *start = function ? function + strlen("function:") : name;
	char *colon = strchr(start, ':');
	c->qualifier = web_parameter(c->request, "Qualifier");
	if (colon)
		*colon = '\0';
	if (!c->qualifier)
		c->qualifier = xstrdup(colon ? colon + 1 : "");
	c->name = xstrdup(start);
}

/* True: it is for one function, whose name is in c, and what follows it in *rest. */
static bool names_function(struct call *c, const char *path, const char **rest)
{
	static const char functions[] = "/functions/";
	const char *at = *path == '/' ? strchr(path + 1, '/') : NULL;
	if (!at || strncmp(at, functions, sizeof(functions) - 1) != 0)
		return false;
	at += sizeof(functions) - 1;
	size_t len = strcspn(at, "/");
	if (!len)
		return false;
	split_name(c, at, len);
	*rest = at + len;
	return true;
}

static bool path_is(const struct web_request *r, const char *method, const char *path)
{
	size_t len = strlen(r->path), wanted = strlen(path);
	len -= len > 1 && r->path[len - 1] == '/';
	return strcmp(r->method, method) == 0 && len == wanted &&
	       strncmp(r->path, path, wanted) == 0;
}

static void route(struct call *c, const char *rest)
{
	const struct web_request *r = c->request;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *to = &routes[i];
		if (strcmp(to->method, r->method) != 0 || strcmp(to->rest, rest) != 0 ||
		    strncmp(r->path + 1, to->version, strlen(to->version)) != 0)
			continue;
		if (c->function)
			to->handler(c);
		else
			not_found(c);
		return;
	}
	answer_error(c->request, 404, "UnknownOperationException", NULL,
	             "this Lambda has no %s %.200s", r->method, r->path);
}

static bool read_body(struct call *c)
{
	const struct buf *body = &c->request->body;
	if (!body->len)
		c->body = json_object();
	else
		c->body = json_loadb(body->data, body->len, 0, NULL);
	if (json_is_object(c->body))
		return true;
	answer_error(c->request, 400, "SerializationException", NULL,
	             "the request's body is no JSON object");
	return false;
}

static void manage(struct call *c)
{
	const char *rest = "";
	bool named = names_function(c, c->request->path, &rest);
	if (named && strcmp(rest, "/invocations") == 0 && strcmp(c->request->method, "POST") == 0) {
		invoke(c->service, c->request, c->name, c->qualifier);
		return;
	}
	if (c->request->too_large) {
		answer_error(c->request, 413, "RequestTooLargeException", NULL,
		             "Request must be smaller than %d bytes", MANAGEMENT_BODY_MAX);
		return;
	}
	if (!read_body(c))
		return;
	if (named) {
		c->function = function_find(c->service, c->name);
		route(c, rest);
	} else if (path_is(c->request, "POST", "/2015-03-31/functions")) {
		create(c);
	} else if (path_is(c->request, "GET", "/2015-03-31/functions")) {
		list(c);
	} else if (path_is(c->request, "GET", "/2016-08-19/account-settings")) {
		account(c);
	} else {
		route(c, "");
	}
}

void api_handle(void *service, struct web_request *r)
{
	struct call c = { .service = service, .request = r };
	c.service->counters.requests++;
	if (strncmp(r->path, "/_ggfs/", 7) == 0) {
		c.service->counters.requests--;
		control_handle(service, r);
	} else if (request_is_signed(service, r)) {
		manage(&c);
	}
	free(c.name);
	free(c.qualifier);
	json_decref(c.body);
}
