/*
 * Driver of the networking tests: makes calls as told by its arguments and prints what came of
 * them as JSON, one object a line.
 *
 *   net-driver http [OPTION=VALUE...] URL...
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/net.h"

enum { CALLS_MAX = 100000 };

struct options {
	struct http_request request;
	struct http_options http;
	unsigned repeat;
	const char *headers[64];
	char *filled;
};

static const char *value_of(const char *argument, const char *name)
{
	size_t len = strlen(name);
	return strncmp(argument, name, len) == 0 && argument[len] == '=' ? argument + len + 1
	                                                                 : NULL;
}

/* Whether the argument was an option. */
static bool take_option(struct options *o, const char *argument)
{
	const char *v;
	if ((v = value_of(argument, "method")))
		o->request.method = v;
	else if ((v = value_of(argument, "body")))
		o->request.body = v, o->request.body_len = strlen(v);
	else if ((v = value_of(argument, "fill"))) /* so many bytes */
		o->request.body = o->filled = xcalloc(1, o->request.body_len = (uint64_t)atoll(v));
	else if ((v = value_of(argument, "header")))
		o->headers[o->request.header_count++] = v;
	else if ((v = value_of(argument, "connect_ms")))
		o->request.connect_ms = atoll(v);
	else if ((v = value_of(argument, "whole_ms")))
		o->request.whole_ms = atoll(v);
	else if ((v = value_of(argument, "stall_ms")))
		o->request.stall_ms = atoll(v);
	else if ((v = value_of(argument, "body_max")))
		o->request.body_max = (size_t)atoll(v);
	else if ((v = value_of(argument, "ca")))
		o->http.ca_bundle = v;
	else if ((v = value_of(argument, "proxy")))
		o->http.proxy = v;
	else if ((v = value_of(argument, "repeat")))
		o->repeat = (unsigned)atoi(v);
	else
		return false;
	return true;
}

static void print_response(const struct http_response *r)
{
	json_t *headers = json_array();
	for (size_t i = 0; i < r->headers.count; i++)
		json_array_append_new(headers, json_string(r->headers.items[i]));
	json_t *object =
	        json_pack("{s:i,s:i,s:s?,s:i,s:o?,s:b,s:I,s:I,s:o}", "code", r->code, "fault",
	                  (int)r->fault, "reason", r->reason, "status", r->status, "body",
	                  json_stringn(r->body.data ? r->body.data : "", r->body.len),
	                  "connected_anew", r->connected_anew, "sent", (json_int_t)r->sent_bytes,
	                  "received", (json_int_t)r->received_bytes, "headers", headers);
	char *text = json_dumps(object, JSON_COMPACT);
	puts(text);
	free(text);
	json_decref(object);
}

static int run_http(int count, char **arguments)
{
	struct options o = { .request.method = "GET", .repeat = 1 };
	struct error err = ERROR_INIT;
	struct net *net = NULL;
	for (int i = 0; i < count; i++) {
		if (take_option(&o, arguments[i]))
			continue;
		if (!net && net_new(&o.http, &net, &err) < 0) {
			fprintf(stderr, "net-driver: %s\n", error_text(&err));
			return 1;
		}
		o.request.url = arguments[i];
		o.request.headers = o.headers;
		for (unsigned n = 0; n < o.repeat; n++) {
			struct http_response response;
			net_call(net, &o.request, &response);
			print_response(&response);
			http_response_release(&response);
		}
	}
	net_free(net);
	free(o.filled);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "http") == 0)
		return run_http(argc - 2, argv + 2);
	fprintf(stderr, "usage: net-driver http [OPTION=VALUE...] URL...\n");
	return 2;
}
