/*
 * Driver of the AWS tests: asks the configuration and makes signed calls; what came of it is
 * printed as JSON, one object a line.
 *
 *   aws-driver [--profile NAME] config SETTING... [endpoint:SERVICE...]
 *   aws-driver [--profile NAME] describe [TIMES]
 *   aws-driver [--profile NAME] call METHOD URL SERVICE REGION [TIMES [AT-ONCE [PAUSE_MS]]]
 */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/aws/client.h"

enum { AT_ONCE_MAX = 64 };

struct call {
	struct aws *aws;
	const struct aws_request *request;
	struct http_response response;
};

static void print(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	puts(text);
	free(text);
	json_decref(object);
}

static void *run_call(void *arg)
{
	struct call *call = arg;
	aws_call(call->aws, call->request, &call->response);
	return NULL;
}

static void print_answer(struct http_response *r)
{
	scoped_free char *code = NULL;
	scoped_free char *message = NULL;
	aws_error_parse(r, &code, &message);
	print(json_pack("{s:i,s:i,s:s?,s:i,s:o?,s:s,s:s}", "code", r->code, "fault", (int)r->fault,
	                "reason", r->reason, "status", r->status, "body",
	                json_stringn(r->body.data ? r->body.data : "", r->body.len), "error_code",
	                code, "error_message", message));
	http_response_release(r);
}

static int number(int argc, char **argv, int at, int usual)
{
	return argc > at ? atoi(argv[at]) : usual;
}

static int run_calls(struct aws *aws, int argc, char **argv)
{
	if (argc < 4)
		return 2;
	const char *separator = strstr(argv[1], "://");
	scoped_free char *scheme = xstrndup(argv[1], (size_t)(separator - argv[1]));
	const char *authority = separator + 3;
	scoped_free char *host = xstrndup(authority, strcspn(authority, "/"));
	const char *rest = authority + strlen(host);
	scoped_free char *path = xstrndup(rest, strcspn(rest, "?"));
	const char *query = strchr(rest, '?');
	struct aws_request request = { .service = argv[2],
		                       .region = argv[3],
		                       .scheme = scheme,
		                       .host = host,
		                       .path = *path ? path : "/",
		                       .query = query ? query + 1 : "" };
	request.http.method = argv[0];
	int times = number(argc, argv, 4, 1), at_once = number(argc, argv, 5, 1);
	int pause_ms = number(argc, argv, 6, 0);
	for (int i = 0; i < times && at_once <= AT_ONCE_MAX; i++) {
		struct call calls[AT_ONCE_MAX] = { 0 };
		pthread_t threads[AT_ONCE_MAX];
		if (i)
			usleep(1000u * (unsigned)pause_ms);
		for (int j = 0; j < at_once; j++) {
			calls[j] = (struct call){ .aws = aws, .request = &request };
			pthread_create(&threads[j], NULL, run_call, &calls[j]);
		}
		for (int j = 0; j < at_once; j++) {
			pthread_join(threads[j], NULL);
			print_answer(&calls[j].response);
		}
	}
	return 0;
}

static int describe(struct aws *aws, int times)
{
	for (int i = 0; i < times; i++) {
		struct error err = ERROR_INIT;
		char *text = NULL;
		int r = aws_describe_credentials(aws, &text, &err);
		print(json_pack("{s:i,s:s?,s:s}", "code", r, "text", text, "error", err.text));
		free(text);
	}
	return 0;
}

static int show_config(const struct aws_config *c, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *source = NULL, *value = NULL;
		scoped_free char *owned = NULL;
		if (strncmp(argv[i], "endpoint:", 9) == 0)
			value = owned = aws_config_endpoint(c, argv[i] + 9, &source);
		else if (strcmp(argv[i], "region") == 0)
			value = aws_config_region(c, &source);
		else
			value = aws_config_get(c, argv[i], &source);
		print(json_pack("{s:s,s:s?,s:s?}", "name", argv[i], "value", value, "source",
		                source));
	}
	return 0;
}

static int run(const struct aws_config *c, int argc, char **argv)
{
	if (strcmp(argv[0], "config") == 0)
		return show_config(c, argc - 1, argv + 1);
	struct http_options options = { .ca_bundle = aws_config_get(c, "ca_bundle", NULL) };
	struct error err = ERROR_INIT;
	struct net *net;
	struct aws *aws;
	if (net_new(&options, &net, &err) < 0)
		return 1;
	aws_new(net, c, &aws, &err);
	int r = strcmp(argv[0], "describe") == 0 ? describe(aws, number(argc, argv, 1, 1))
	                                         : run_calls(aws, argc - 1, argv + 1);
	aws_free(aws);
	net_free(net);
	return r;
}

int main(int argc, char **argv)
{
	struct aws_config_options options = { 0 };
	struct aws_config *c;
	struct error err = ERROR_INIT;
	argc--, argv++;
	if (argc > 2 && strcmp(argv[0], "--profile") == 0) {
		options.profile = argv[1];
		argc -= 2, argv += 2;
	}
	if (argc < 1)
		return 2;
	int r = aws_config_load(&options, &c, &err);
	if (r < 0) {
		print(json_pack("{s:i,s:s}", "code", r, "error", err.text));
		return 1;
	}
	r = run(c, argc, argv);
	aws_config_free(c);
	return r;
}
