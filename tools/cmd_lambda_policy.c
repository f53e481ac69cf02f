#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/cmd_lambda.h"

/* The least that IAM must allow. Actions and resources: Service Authorization Reference, "Actions,
 * resources, and condition keys" for Lambda, S3 and CloudWatch Logs. */

struct places {
	const char *partition; /* "aws" */
	const char *region, *function;
	char *bucket,
	        *prefix; /* "" and with a slash at the end; bucket NULL: no far store is set */
};

static const char *partition_of(const char *region)
{
	if (strncmp(region, "cn-", 3) == 0)
		return "aws-cn";
	return strncmp(region, "us-gov-", 7) == 0 ? "aws-us-gov" : "aws";
}

/* s3://BUCKET[/PREFIX] */
static void split_far(const char *url, struct places *p)
{
	static const char scheme[] = "s3://";
	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return;
	const char *bucket = url + sizeof(scheme) - 1;
	size_t len = strcspn(bucket, "/");
	const char *prefix = bucket + len + strspn(bucket + len, "/");
	size_t prefix_len = strlen(prefix);
	while (prefix_len && prefix[prefix_len - 1] == '/')
		prefix_len--;
	p->bucket = xstrndup(bucket, len);
	p->prefix = xformat("%.*s%s", (int)prefix_len, prefix, prefix_len ? "/" : "");
}

/* actions: a list that NULL ends. */
static json_t *statement(const char *id, const char *const *actions, char *resource)
{
	scoped_free char *owned = resource;
	json_t *list = json_array();
	for (; *actions; actions++)
		json_array_append_new(list, json_string(*actions));
	return json_pack("{s:s,s:s,s:o,s:s}", "Sid", id, "Effect", "Allow", "Action", list,
	                 "Resource", owned);
}

static json_t *document(json_t *statements)
{
	return json_pack("{s:s,s:o}", "Version", "2012-10-17", "Statement", statements);
}

static void add_far(json_t *statements, const struct places *p, bool deletes)
{
	static const char *const use[] = { "s3:GetObject", "s3:PutObject",
		                           "s3:AbortMultipartUpload", NULL };
	static const char *const tidy[] = { "s3:GetObject", "s3:PutObject",
		                            "s3:AbortMultipartUpload", "s3:DeleteObject", NULL };
	static const char *const list[] = { "s3:ListBucket", NULL };
	const char *bucket = p->bucket ? p->bucket : "BUCKET";
	const char *prefix = p->bucket ? p->prefix : "PREFIX/";
	json_array_append_new(
	        statements, statement("FarStore", deletes ? tidy : use,
	                              xformat("arn:%s:s3:::%s/%s*", p->partition, bucket, prefix)));
	/* Without it S3 says "forbidden" of what is merely absent. No condition on the prefix: a
	 * get has none, and so would not meet it. */
	json_array_append_new(statements,
	                      statement("AbsentIsNotForbidden", list,
	                                xformat("arn:%s:s3:::%s", p->partition, bucket)));
}

static json_t *for_role(const struct places *p)
{
	static const char *const group[] = { "logs:CreateLogGroup", NULL };
	static const char *const lines[] = { "logs:CreateLogStream", "logs:PutLogEvents", NULL };
	json_t *statements = json_array();
	add_far(statements, p, false);
	json_array_append_new(statements,
	                      statement("LogGroup", group,
	                                xformat("arn:%s:logs:%s:*:*", p->partition, p->region)));
	json_array_append_new(statements,
	                      statement("Logs", lines,
	                                xformat("arn:%s:logs:%s:*:log-group:/aws/lambda/%s:*",
	                                        p->partition, p->region, p->function)));
	return document(statements);
}

static char *function_arn(const struct places *p, const char *more)
{
	return xformat("arn:%s:lambda:%s:*:function:%s%s", p->partition, p->region, p->function,
	               more);
}

static json_t *for_caller(const struct places *p)
{
	static const char *const invoke[] = { "lambda:InvokeFunction", NULL };
	json_t *statements = json_array();
	json_t *invoking = statement("Invoke", invoke, function_arn(p, ""));
	/* A qualifier, where the function is called by one, is part of the resource. */
	scoped_free char *bare = function_arn(p, ""), *qualified = function_arn(p, ":*");
	json_object_set_new(invoking, "Resource", json_pack("[s,s]", bare, qualified));
	json_array_append_new(statements, invoking);
	add_far(statements, p, true);
	return document(statements);
}

static json_t *for_deployer(const struct places *p)
{
	static const char *const manage[] = { "lambda:CreateFunction",
		                              "lambda:UpdateFunctionCode",
		                              "lambda:UpdateFunctionConfiguration",
		                              "lambda:GetFunctionConfiguration",
		                              "lambda:GetFunctionConcurrency",
		                              "lambda:DeleteFunction",
		                              NULL };
	static const char *const account[] = { "lambda:GetAccountSettings", NULL };
	static const char *const pass[] = { "iam:PassRole", NULL };
	json_t *statements = json_array();
	json_array_append_new(statements, statement("Manage", manage, function_arn(p, "")));
	json_array_append_new(statements, statement("Limits", account, xstrdup("*")));
	json_t *passing =
	        statement("GiveRole", pass, xformat("arn:%s:iam::*:role/ROLE", p->partition));
	json_object_set_new(passing, "Condition",
	                    json_pack("{s:{s:s}}", "StringEquals", "iam:PassedToService",
	                              "lambda.amazonaws.com"));
	json_array_append_new(statements, passing);
	return document(statements);
}

static void print_json(json_t *o)
{
	scoped_free char *text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	printf("%s\n", text);
}

static int print_policies(const struct places *p, const char *whom)
{
	if (whom && strcmp(whom, "role") == 0)
		print_json(for_role(p));
	else if (whom && strcmp(whom, "caller") == 0)
		print_json(for_caller(p));
	else if (whom && strcmp(whom, "deployer") == 0)
		print_json(for_deployer(p));
	else if (whom)
		return cmd_usage("--for wants role, caller or deployer, not '%s'", whom);
	else
		print_json(json_pack("{s:o,s:o,s:o}", "role", for_role(p), "caller", for_caller(p),
		                     "deployer", for_deployer(p)));
	if (!p->bucket)
		fprintf(stderr, "ggfs: no far store is set (far.url): put yours where BUCKET and "
		                "PREFIX stand\n");
	return EXIT_OK;
}

int lambda_policy(const struct lambda_options *o)
{
	struct lambda_session s = { 0 };
	struct error err = ERROR_INIT;
	struct places p = { 0 };
	int r = lambda_session_read(o, &s, &err), code;
	if (r == 0) {
		p.partition = partition_of(s.region);
		p.region = s.region;
		p.function = s.function;
		split_far(settings_get(s.settings, "far.url", NULL), &p);
		code = print_policies(&p, o->document);
	} else {
		code = cmd_fail(&err);
	}
	free(p.bucket);
	free(p.prefix);
	lambda_session_release(&s);
	return code;
}
