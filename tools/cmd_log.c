#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/live.h"
#include "tools/session.h"

enum { LOG_LINES_DEFAULT = 50 };

struct log_options {
	const char *store;
	unsigned number;
	bool json;
};

static int print_text(void *arg, const struct log_record *r)
{
	(void)arg;
	char when[32];
	time_t seconds = r->when_ns / 1000000000;
	struct tm tm;
	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	printf("%s  %-9s %8.3f s  %.12s  %s  (%s, for %s)\n", when,
	       r->code       ? "failed"
	       : r->memoised ? "known"
	                     : "made",
	       (double)r->micros / 1e6, digest_hex(&r->thunk).text, r->label ? r->label : "?",
	       r->engine ? r->engine : "-", r->asker ? r->asker : "?");
	const char *text = r->stderr_tail;
	while (text && *text) {
		size_t len = strcspn(text, "\n");
		printf("    %.*s\n", (int)len, text);
		text += len;
		text += *text == '\n';
	}
	return 0;
}

static int add_json(void *arg, const struct log_record *r)
{
	json_t *o = json_object();
	json_object_set_new(o, "when_ns", json_integer(r->when_ns));
	json_object_set_new(o, "thunk", json_digest(&r->thunk));
	json_object_set_new(o, "label", json_text(r->label));
	json_object_set_new(o, "asker", json_text(r->asker));
	json_object_set_new(o, "engine", json_text(r->engine));
	json_object_set_new(o, "micros", json_integer((json_int_t)r->micros));
	json_object_set_new(o, "cost_usd", json_real((double)r->cost_nanodollars / 1e9));
	json_object_set_new(o, "errno", json_integer(r->code));
	json_object_set_new(o, "memoised", json_boolean(r->memoised));
	json_object_set_new(o, "stderr", json_text(r->stderr_tail));
	json_array_append_new(arg, o);
	return 0;
}

static int run(const void *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct log_options *o = options;
	struct error err = ERROR_INIT;
	scoped_client struct client *c = NULL;
	if (session_open(o->store, &c, &err) < 0)
		return cmd_fail(&err);
	size_t limit = o->number ? o->number : LOG_LINES_DEFAULT;
	json_t *records = o->json ? json_array() : NULL;
	int r = client_log(c, limit, o->json ? add_json : print_text, records, &err);
	if (records)
		json_print(records);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(log_options),
	{ "number", 'n', OPTION_NUMBER, "N", offsetof(struct log_options, number),
	  "the newest N records; 50 when not given" },
	OPTION_JSON(log_options),
	{ 0 },
};

const struct verb verb_log = {
	.name = "log",
	.synopsis = "[OPTION]...",
	.summary = "show what was forced lately",
	.description = "Prints the newest records of the store, the oldest of them first: when, "
	               "how it ended\n"
	               "(made, known, failed), how long the function took, the thunk, its first "
	               "output, the\n"
	               "engine, and which program asked first. What the function wrote to standard "
	               "error follows,\n"
	               "indented.",
	.options = options,
	.options_size = sizeof(struct log_options),
	.run = run,
};
