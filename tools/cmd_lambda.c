#include "tools/cmd_lambda.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/session.h"

static const struct verb_option option_table[] = {
	OPTION_STORE(lambda_options),
	{ "function", 'f', OPTION_TEXT, "NAME", offsetof(struct lambda_options, function),
	  "the function; else the setting lambda.function" },
	{ "role", 0, OPTION_TEXT, "ARN", offsetof(struct lambda_options, role),
	  "deploy: what the function may do, see ggfs lambda policy; needed the first time" },
	{ "memory", 0, OPTION_NUMBER, "MIB", offsetof(struct lambda_options, memory),
	  "deploy: 128 to 10240; else as it is, 1769 (one processor) the first time" },
	{ "tmp", 0, OPTION_NUMBER, "MIB", offsetof(struct lambda_options, tmp),
	  "deploy: size of /tmp, 512 to 10240; else as it is, 512 the first time" },
	{ "timeout", 0, OPTION_NUMBER, "S", offsetof(struct lambda_options, timeout),
	  "deploy: 1 to 900; else as it is, 900 the first time" },
	{ "arch", 0, OPTION_TEXT, "ARCH", offsetof(struct lambda_options, arch),
	  "deploy: x86_64 or arm64; the package has to be of it" },
	{ "worker", 0, OPTION_TEXT, "FILE", offsetof(struct lambda_options, worker),
	  "deploy, package: the ggfs-worker to use; else the one that belongs to this ggfs" },
	{ "package", 0, OPTION_TEXT, "FILE", offsetof(struct lambda_options, package),
	  "deploy: a zip file of ggfs lambda package, made elsewhere" },
	{ "output", 'o', OPTION_TEXT, "FILE", offsetof(struct lambda_options, output),
	  "package: the zip file to write" },
	{ "for", 0, OPTION_TEXT, "WHOM", offsetof(struct lambda_options, document),
	  "policy: role, caller or deployer alone" },
	OPTION_JSON(lambda_options),
	{ 0 },
};

/* --- package ---------------------------------------------------------------------------------
 */

static int package(const struct lambda_options *o)
{
	struct lambda_package p = { 0 };
	struct error err = ERROR_INIT;
	if (!o->output)
		return cmd_usage("ggfs lambda package wants --output FILE");
	int r = lambda_package_make(o->worker, &p, &err);
	if (r == 0)
		r = replace_file_at(AT_FDCWD, o->output, p.zip.data, p.zip.len, 0644, &err);
	if (r == 0)
		printf("%s: ggfs-worker %s for %s, %zu bytes\n", o->output, p.version, p.arch,
		       p.zip.len);
	lambda_package_release(&p);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

/* --- status ----------------------------------------------------------------------------------
 */

static void print_status(const struct lambda_session *s, const json_t *config, json_int_t limit,
                         const char *limit_text)
{
	const json_t *tmp = json_object_get(config, "EphemeralStorage");
	const json_t *arch = json_array_get(json_object_get(config, "Architectures"), 0);
	const char *worker = lambda_text(config, "Description");
	bool ours = strcmp(worker, "ggfs-worker " GGFS_VERSION) == 0;
	printf("function     %s (%s)\n", s->function, lambda_text(config, "FunctionArn"));
	printf("worker       %s%s\n", *worker ? worker : "not of ggfs lambda deploy",
	       ours ? "" : ": not of this ggfs " GGFS_VERSION ", deploy it anew");
	printf("state        %s, last update %s\n", lambda_text(config, "State"),
	       lambda_text(config, "LastUpdateStatus"));
	printf("memory       %lld MiB, /tmp %lld MiB, timeout %lld s, %s\n",
	       (long long)lambda_number(config, "MemorySize"),
	       (long long)lambda_number(tmp, "Size"), (long long)lambda_number(config, "Timeout"),
	       arch ? json_string_value(arch) : "x86_64");
	if (limit >= 0)
		printf("concurrency  %lld, %s\n", (long long)limit, limit_text);
	else
		printf("concurrency  not known: %s\n", limit_text);
	printf("role         %s\n", lambda_text(config, "Role"));
}

static int print_status_json(json_t *config, json_int_t limit)
{
	json_t *o = json_object();
	const char *worker = lambda_text(config, "Description");
	bool ours = strcmp(worker, "ggfs-worker " GGFS_VERSION) == 0;
	json_object_set(o, "configuration", config);
	json_object_set_new(o, "ours", json_boolean(ours));
	json_object_set_new(o, "concurrency", limit < 0 ? json_null() : json_integer(limit));
	scoped_free char *text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	printf("%s\n", text);
	return EXIT_OK;
}

static int status(const struct lambda_options *o)
{
	struct lambda_session s = { 0 };
	struct error err = ERROR_INIT, limit_err = ERROR_INIT;
	json_t *config = NULL;
	json_int_t limit = -1;
	bool reserved = false;
	int r = lambda_session_open(o, &s, &err);
	if (r == 0)
		r = lambda_look(&s, &config, &err);
	if (r == 0 && lambda_concurrency(&s, &limit, &reserved, &limit_err) < 0)
		limit = -1;
	if (r == 0 && o->json)
		print_status_json(config, limit);
	else if (r == 0)
		print_status(&s, config, limit,
		             limit < 0  ? error_text(&limit_err)
		             : reserved ? "reserved for it"
		                        : "shared with the account's other functions");
	json_decref(config);
	lambda_session_release(&s);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

/* --- remove ----------------------------------------------------------------------------------
 */

static int remove_function(const struct lambda_options *o)
{
	struct lambda_session s = { 0 };
	struct error err = ERROR_INIT;
	int r = lambda_session_open(o, &s, &err);
	if (r == 0) {
		scoped_free char *path = xformat("/2015-03-31/functions/%s", s.function);
		r = lambda_call(&s, "DELETE", path, NULL, NULL, &err);
	}
	if (r == 0)
		printf("%s is removed; its role and its logs are not\n", s.function);
	lambda_session_release(&s);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static int run(const void *options, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct lambda_options *o);
	} actions[] = {
		{ "deploy", lambda_deploy }, { "status", status },   { "remove", remove_function },
		{ "policy", lambda_policy }, { "package", package },
	};
	(void)argc;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(argv[0], actions[i].name) == 0)
			return actions[i].run(options);
	return cmd_usage("ggfs lambda does not know '%s'; see ggfs lambda --help", argv[0]);
}

const struct verb verb_lambda = {
	.name = "lambda",
	.synopsis = "deploy|status|remove|policy|package [OPTION]...",
	.summary = "the worker on AWS Lambda: puts it there, looks after it",
	.description =
	        "deploy creates the function, or updates it where it is there already, and waits "
	        "until it can be used: ggfs-worker with its libraries, so that it runs on the "
	        "older ones of Lambda. What is deployed already is left alone. The first time it "
	        "needs --role.\n\n"
	        "status tells whether the function is there, which ggfs it is of, what it has and "
	        "how many of it may run at once. remove deletes it.\n\n"
	        "policy prints the least that must be allowed, as IAM policies: to the function's "
	        "role, to whoever forces with --engine lambda, and to whoever deploys.\n\n"
	        "package writes the zip file alone; deploy --package takes it, for instance one "
	        "that was made on an arm64 machine.\n\n"
	        "Credentials, region and endpoint are found as the AWS CLI finds them; the "
	        "settings lambda.function, lambda.region, lambda.endpoint, aws.profile go "
	        "first. See docs/lambda.md.",
	.options = option_table,
	.options_size = sizeof(struct lambda_options),
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
