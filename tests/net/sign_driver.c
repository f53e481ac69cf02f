/*
 * Driver of the signature tests: reads a JSON array of requests from standard input, signs each
 * and has it verified, and prints an array of
 *
 *     {"headers": [...], "url": presigned, "verified": code, "sentence": of the verifier}
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/aws/sigv4.h"

enum { HEADERS_MAX = 64 };

struct input {
	struct aws_keys keys;
	struct sigv4_request request;
	const char *headers[HEADERS_MAX];
	unsigned seconds;
	time_t now;
};

static char *own(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text ? xstrdup(text) : NULL;
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void take(struct input *in, const json_t *o)
{
	in->keys = (struct aws_keys){ .access_key = own(o, "access_key"),
		                      .secret_key = own(o, "secret_key"),
		                      .session_token = own(o, "session_token") };
	in->request = (struct sigv4_request){
		.method = text_of(o, "method"),
		.host = text_of(o, "host"),
		.path = text_of(o, "path"),
		.query = text_of(o, "query"),
		.payload_sha256 = text_of(o, "payload_sha256"),
		.service = text_of(o, "service"),
		.region = text_of(o, "region"),
		.when = json_integer_value(json_object_get(o, "when")),
		.s3 = json_is_true(json_object_get(o, "s3")),
		.headers = in->headers,
	};
	json_t *item;
	size_t i;
	json_array_foreach(json_object_get(o, "headers"), i, item)
	        in->headers[in->request.header_count++] = json_string_value(item);
	in->seconds = (unsigned)json_integer_value(json_object_get(o, "seconds"));
	in->now = json_integer_value(json_object_get(o, "now"));
}

/* As a server that got all these headers would. */
static int verify(const struct input *in, const struct strv *sent, struct error *err)
{
	struct sigv4_request came = in->request;
	scoped_strv struct strv all = STRV_INIT;
	strv_add_format(&all, "host: %s", came.host);
	strv_add(&all, "user-agent: somebody");
	for (size_t i = 0; i < came.header_count; i++)
		strv_add(&all, came.headers[i]);
	strv_copy(&all, sent);
	came.headers = (const char *const *)all.items;
	came.header_count = all.count;
	return sigv4_verify(&in->keys, &came, in->now, err);
}

static json_t *answer(const json_t *o)
{
	struct input in = { 0 };
	struct error err = ERROR_INIT;
	take(&in, o);
	scoped_strv struct strv headers = STRV_INIT;
	sigv4_sign(&in.keys, &in.request, &headers);
	scoped_free char *url = sigv4_presign(&in.keys, &in.request, "https", in.seconds);
	int verified = verify(&in, &headers, &err);
	json_t *list = json_array();
	for (size_t i = 0; i < headers.count; i++)
		json_array_append_new(list, json_string(headers.items[i]));
	aws_keys_release(&in.keys);
	return json_pack("{s:o,s:s,s:i,s:s}", "headers", list, "url", url, "verified", verified,
	                 "sentence", err.text);
}

int main(void)
{
	json_error_t error;
	json_t *requests = json_loadf(stdin, 0, &error), *o;
	if (!json_is_array(requests)) {
		fprintf(stderr, "sign-driver: %s\n", error.text);
		return 1;
	}
	json_t *answers = json_array();
	size_t i;
	json_array_foreach(requests, i, o) json_array_append_new(answers, answer(o));
	json_dumpf(answers, stdout, JSON_INDENT(1));
	json_decref(answers);
	json_decref(requests);
	return 0;
}
