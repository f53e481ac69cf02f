#include "tools/lambda_local/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_SEED, KIND_SWITCH, KIND_EMULATE };

struct row {
	const char *name, *value;
	enum kind kind;
	size_t offset;
	const char *help;
};

#define AT(member) offsetof(struct options, member)
static const struct row rows[] = {
	{ "host", "ADDRESS", KIND_TEXT, AT(host), "where the API listens; 127.0.0.1" },
	{ "port", "N", KIND_NUMBER, AT(port), "its port; 0, the default, is any free one" },
	{ "runtime-port", "N", KIND_NUMBER, AT(runtime_port), "likewise of the Runtime API" },
	{ "dir", "DIR", KIND_TEXT, AT(dir), "where packages are unpacked; else a temporary one" },
	{ "region", "REGION", KIND_TEXT, AT(region), "us-east-1" },
	{ "account", "ID", KIND_TEXT, AT(account), "of ARNs; 123456789012" },
	{ "access-key", "ID", KIND_TEXT, AT(access_key),
	  "requests must be signed with this key; without it signatures are not looked at" },
	{ "secret-key", "KEY", KIND_TEXT, AT(secret_key), "its secret" },
	{ "session-token", "TOKEN", KIND_TEXT, AT(session_token),
	  "and that they must bring along" },
	{ "function-keys", "A:S[:T]", KIND_TEXT, AT(function_keys),
	  "access key, secret, token that functions get; else the callers' ones" },
	{ "concurrency", "N", KIND_NUMBER, AT(concurrency), "invocations at once; 1000" },
	{ "scaling", "N", KIND_NUMBER, AT(scaling),
	  "instances of a function that may be started at once, and each 10 s; 1000" },
	{ "processes", "N", KIND_NUMBER, AT(processes),
	  "instances there may be, idle ones included; as many as --concurrency" },
	{ "cold-start-ms", "MS", KIND_NUMBER, AT(cold_start_ms), "added to each cold start; 0" },
	{ "latency-ms", "MS", KIND_NUMBER, AT(latency_ms), "added to each invocation; 0" },
	{ "idle-ms", "MS", KIND_NUMBER, AT(idle_ms), "an idle instance ends after it; 300000" },
	{ "pending-ms", "MS", KIND_NUMBER, AT(pending_ms),
	  "how long a function is Pending or InProgress; 300" },
	{ "slow-ms", "MS", KIND_NUMBER, AT(slow_ms), "how long a slow answer is held back; 3000" },
	{ "fault", "KIND=RATE,...", KIND_TEXT, AT(faults), "what goes wrong how often, see below" },
	{ "seed", "N", KIND_SEED, AT(seed), "of the faults; 1" },
	{ "log", "FILE", KIND_TEXT, AT(log), "appends one line of JSON an invocation" },
	{ "function-log", "FILE", KIND_TEXT, AT(function_log), "appends what functions print" },
	{ "opt", "DIR", KIND_TEXT, AT(opt), "what functions see as /opt, where layers would be" },
	{ "uid", "N", KIND_NUMBER, AT(uid), "user that functions run as, when we are root; 993" },
	{ "no-sandbox", NULL, KIND_SWITCH, AT(no_sandbox),
	  "functions see the machine's files, as where namespaces are not allowed" },
	{ "emulate", "MS", KIND_EMULATE, AT(emulate_ms),
	  "nothing runs: each invocation is answered after MS as a ggfs-worker would whose "
	  "functions write their thunk's digest to each output" },
	{ "function", "NAME", KIND_TEXT, AT(function), "the function --emulate has; ggfs-worker" },
	{ "with-stdin", NULL, KIND_SWITCH, AT(with_stdin), "ends when standard input does" },
	{ 0 },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) - 1 };

static const char intro[] =
        "usage: ggfs-lambda-local [OPTION]...\n"
        "\n"
        "A Lambda of one machine: AWS's API for functions and their invocation, AWS's Runtime API\n"
        "for the functions, and its limits. Says on standard output, in one line of JSON, where\n"
        "it listens; ends by SIGTERM or SIGINT. docs/lambda-local.md says what is as in AWS.\n"
        "\n";

static const char outro[] =
        "\n"
        "Kinds of faults: throttle (429), 500, 502, 503, 504, cut-before, cut-middle, cut-after,\n"
        "unhandled, oom, timeout, slow, wrong-digest, other-thunk.\n";

static void print_help(void)
{
	fputs(intro, stdout);
	for (const struct row *row = rows; row->name; row++) {
		scoped_free char *left = xformat("--%s%s%s", row->name, row->value ? " " : "",
		                                 row->value ? row->value : "");
		printf("  %-24s %s\n", left, row->help);
	}
	fputs(outro, stdout);
}

static int read_number(const struct row *row, const char *text, uint64_t max, uint64_t *out,
                       struct error *err)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value > max)
		return error_set(err, -EINVAL, "--%s wants a number, not '%s'", row->name, text);
	*out = value;
	return 0;
}

static int read_value(const struct row *row, const char *text, struct options *out,
                      struct error *err)
{
	char *member = (char *)out + row->offset;
	uint64_t number = 0;
	int r = 0;
	switch (row->kind) {
	case KIND_TEXT:
		*(const char **)(void *)member = text;
		break;
	case KIND_SWITCH:
		*(bool *)(void *)member = true;
		break;
	case KIND_SEED:
		r = read_number(row, text, UINT64_MAX, &out->seed, err);
		break;
	case KIND_EMULATE:
		out->emulate = true; /* and the number */
		                     /* fall through */
	case KIND_NUMBER:
		r = read_number(row, text, INT_MAX, &number, err);
		*(unsigned *)(void *)member = (unsigned)number;
		break;
	}
	return r;
}

static void set_defaults(struct options *o)
{
	*o = (struct options){
		.host = "127.0.0.1",
		.region = "us-east-1",
		.account = "123456789012",
		.concurrency = 1000,
		.scaling = 1000,
		.idle_ms = 300000,
		.pending_ms = 300,
		.slow_ms = 3000,
		.faults = "",
		.seed = 1,
		.uid = 993,
		.function = "ggfs-worker",
	};
}

int options_read(int argc, char **argv, struct options *out, struct error *err)
{
	struct option longs[ROWS + 3] = { 0 };
	for (int i = 0; i < ROWS; i++)
		longs[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].value ? required_argument : no_argument,
			.val = i + 256,
		};
	longs[ROWS] = (struct option){ .name = "help", .val = 'h' };
	longs[ROWS + 1] = (struct option){ .name = "version", .val = 'V' };
	set_defaults(out);
	opterr = 0;
	int c;
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (c == 'h')
			return print_help(), 0;
		if (c == 'V')
			return printf("ggfs-lambda-local %s\n", GGFS_VERSION), 0;
		if (c < 256)
			return error_set(err, -EINVAL, "%s %s; see --help",
			                 c == ':' ? "no value for" : "no option", argv[optind - 1]);
		int r = read_value(&rows[c - 256], optarg, out, err);
		if (r < 0)
			return r;
	}
	if (optind < argc)
		return error_set(err, -EINVAL, "what is '%s'? See --help", argv[optind]);
	if (!out->access_key != !out->secret_key)
		return error_set(err, -EINVAL, "--access-key and --secret-key go together");
	if (!out->processes)
		out->processes = out->concurrency;
	return 1;
}
