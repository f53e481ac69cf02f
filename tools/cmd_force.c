#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/live.h"
#include "tools/materialise.h"
#include "tools/money.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

/* How often a directory that was made is looked through again for files still unmade. */
enum { FORCE_ROUNDS_MAX = 100, REASON_MAX = 4096 };

struct force_options {
	const char *store;
	const char *budget;
	struct strv engines;
	unsigned jobs;
	bool dry_run;
	bool keep_going;
	bool json;
	bool quiet;
	bool show_stderr;
};

struct forcing {
	const struct force_options *options;
	struct client *client;
	struct live live;
	uint64_t budget_nanodollars;
	char *engine; /* all that were named */
	size_t ready, memoised, failed, ordinary;
	json_t *results;
	bool interrupted;
};

/* Set by the handler, which has nowhere else to write. */
static volatile int interrupt_seen;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupt_seen = 1;
}

/* Once: the second ends the program, wherever it is. */
static void catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static const char *target_name(const struct target *t)
{
	return t->path ? t->path : t->ref.output;
}

/* --stderr: what a function said when it ran, perhaps long ago. */
static void show_kept_stderr(struct forcing *f, const struct target *t)
{
	scoped_memo struct memo memo = MEMO_INIT;
	scoped_buf struct buf text = BUF_INIT;
	if (t->ref.kind != REF_THUNK || client_memo(f->client, &t->ref.digest, &memo, NULL) < 0 ||
	    !memo.has_stderr)
		return;
	if (fetch_bytes(f->client, &memo.stderr_digest, FAILURE_STDERR_MAX, &text, NULL) == 0)
		live_stderr(t->ref.output, text.data);
}

static void note_result(struct forcing *f, const struct target *t, int code, const char *reason,
                        const struct client_force_result *r)
{
	f->ready += code == 0;
	f->memoised += code == 0 && r->memoised;
	f->failed += code != 0;
	if (code != 0 && !f->interrupted)
		cmd_fail_text("%s: %s", target_name(t), reason ? reason : strerror(-code));
	json_t *o = json_object();
	json_object_set_new(o, "path", json_text(t->path));
	json_object_set_new(o, "ok", json_boolean(code == 0));
	json_object_set_new(o, "wanted", json_ref(&t->ref));
	if (code == 0) {
		json_object_set_new(o, "result", json_ref(&r->ref));
		json_object_set_new(o, "memoised", json_boolean(r->memoised));
	} else {
		json_object_set_new(o, "errno", json_integer(-code));
		json_object_set_new(o, "reason", json_text(reason));
		json_object_set_new(o, "failed", json_digest(&r->failed));
	}
	json_array_append_new(f->results, o);
}

/* Opening a directory has the mount put what is in it in its place. */
static int open_up(const struct target *t, struct error *err)
{
	scoped_fd int fd = open(t->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return 0;
	int code = -errno;
	char why[REASON_MAX + 1];
	ssize_t n = lgetxattr(t->path, "user.ggfs.error", why, REASON_MAX);
	if (n <= 0)
		return error_set(err, code, "cannot list it: %s", strerror(-code));
	why[n] = '\0';
	return error_set(err, code, "cannot list it: %s", why);
}

/* What was forced takes its place; a directory's own unmade files go to again. */
static void settle(struct forcing *f, const struct target *t, const struct client_force_result *r,
                   struct target_list *again)
{
	struct error err = ERROR_INIT;
	int code = r->code;
	const char *reason = r->reason;
	bool tree = r->ref.kind == REF_TREE;
	if (code == 0 && t->path && !t->in_mount)
		code = materialise(f->client, t, &r->ref, &err);
	else if (code == 0 && t->path && tree)
		code = open_up(t, &err);
	if (code == 0 && t->path && tree)
		code = target_collect(t->path, again, &err);
	if (r->code == 0 && code < 0)
		reason = err.text;
	note_result(f, t, code, reason, r);
	if (f->options->show_stderr && r->memoised)
		show_kept_stderr(f, t);
}

static int force_round(struct forcing *f, const struct target_list *list, struct target_list *again,
                       struct error *err)
{
	scoped_free struct ref *refs = xcalloc(list->count, sizeof(*refs));
	scoped_free struct client_force_result *results = xcalloc(list->count, sizeof(*results));
	for (size_t i = 0; i < list->count; i++)
		refs[i] = list->items[i].ref; /* borrowed */
	struct client_force_options options = {
		.jobs = f->options->jobs,
		.engine = f->engine,
		.budget_nanodollars = f->budget_nanodollars,
		.keep_going = f->options->keep_going,
		.progress = live_progress,
		.arg = &f->live,
		.interrupted = &interrupt_seen,
	};
	int r = client_force(f->client, refs, list->count, &options, results, err);
	f->interrupted = r == -EINTR;
	live_end(&f->live);
	bool any_result = false;
	for (size_t i = 0; i < list->count; i++)
		any_result |= results[i].code != 0 || results[i].ref.size_bytes ||
		              results[i].reason || r == 0;
	for (size_t i = 0; any_result && !f->interrupted && i < list->count; i++)
		settle(f, &list->items[i], &results[i], again);
	for (size_t i = 0; i < list->count; i++)
		client_force_result_release(&results[i]);
	/* A failure of a target has been told; trouble with the service has not. */
	return any_result ? 0 : r;
}

static size_t drop_ordinary(struct forcing *f, struct target_list *list)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct target *t = &list->items[i];
		if (t->lazy) {
			list->items[kept++] = *t;
			continue;
		}
		if (t->trouble) {
			cmd_fail_text("%s: %s", t->path, t->trouble);
			f->failed++;
		}
		target_release(t);
	}
	f->ordinary += list->ordinary;
	list->count = kept;
	return kept;
}

static int force_all(struct forcing *f, struct target_list *list, struct error *err)
{
	for (int round = 0; drop_ordinary(f, list) > 0; round++) {
		scoped_targets struct target_list again = TARGET_LIST_INIT;
		if (round == FORCE_ROUNDS_MAX)
			return error_set(
			        err, -ELOOP,
			        "still unmade files after %d rounds; run it again to go on",
			        FORCE_ROUNDS_MAX);
		int r = force_round(f, list, &again, err);
		if (r == 0)
			r = targets_expand(f->client, &again, err);
		if (r < 0)
			return r;
		struct target_list done = *list;
		*list = again;
		again = done;
	}
	return 0;
}

static void report(struct forcing *f)
{
	double seconds = live_end(&f->live);
	struct money_text cost = money_text(f->live.counts.cost_nanodollars);
	double cost_usd = (double)f->live.counts.cost_nanodollars / 1e9;
	if (f->options->json) {
		json_t *o = json_object();
		json_object_set_new(o, "ready", json_integer((json_int_t)f->ready));
		json_object_set_new(o, "memoised", json_integer((json_int_t)f->memoised));
		json_object_set_new(o, "failed", json_integer((json_int_t)f->failed));
		json_object_set_new(o, "ordinary", json_integer((json_int_t)f->ordinary));
		json_object_set_new(o, "interrupted", json_boolean(f->interrupted));
		json_object_set_new(o, "seconds", json_real(seconds));
		json_object_set_new(o, "cost_usd", json_real(cost_usd));
		json_object_set(o, "targets", f->results);
		json_print(o);
		return;
	}
	if (f->interrupted)
		cmd_fail_text("interrupted; what was finished is kept");
	if (!f->options->quiet)
		printf("%zu ready (%zu known before), %zu failed, %.1f s%s%s\n", f->ready,
		       f->memoised, f->failed, seconds, cost_usd > 0 ? ", " : "",
		       cost_usd > 0 ? cost.text : "");
	if (f->failed)
		fputs("ggfs why FILE says more about one that failed\n", stderr);
}

/* --dry-run: what it would take, and nothing done. */
static int estimate(const struct forcing *f, const struct target_list *list)
{
	struct error err = ERROR_INIT;
	struct force_estimate e = { 0 };
	size_t count;
	scoped_free struct ref *refs = target_refs(list, &count);
	if (client_estimate(f->client, refs, count, f->engine, false, &e, &err) < 0)
		return cmd_fail(&err);
	if (f->options->json) {
		json_print(json_estimate(&e));
		return EXIT_OK;
	}
	struct money_text cost = money_text(e.nanodollars);
	printf("%zu targets: %" PRIu64 "%s functions would run, about %.1f s of them, about %s\n",
	       count, e.to_run, e.is_cut ? " or more" : "", (double)e.micros / 1e6, cost.text);
	if (e.unknown)
		printf("%" PRIu64 " of them never ran: 10 s are taken for each\n", e.unknown);
	return EXIT_OK;
}

static int run(const void *options, int argc, char **argv)
{
	struct forcing f = { .options = options };
	struct error err = ERROR_INIT;
	if (f.options->budget && money_parse(f.options->budget, &f.budget_nanodollars) < 0)
		return cmd_usage("--budget is dollars, like 2.50, not '%s'", f.options->budget);
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *client = NULL;
	scoped_free char *engine = options_joined(&f.options->engines);
	f.engine = engine;
	if (targets_open(f.options->store, argc, argv, &list, &client, &err) < 0)
		return cmd_fail(&err);
	f.client = client;
	if (targets_expand(client, &list, &err) < 0)
		return cmd_fail(&err);
	if (f.options->dry_run)
		return estimate(&f, &list);
	catch_interrupt();
	f.results = json_array();
	live_begin(&f.live, f.options->quiet || f.options->json);
	int r = force_all(&f, &list, &err);
	if (r == 0 || f.interrupted || f.ready || f.failed || f.options->json)
		report(&f);
	json_decref(f.results);
	if (f.interrupted)
		return EXIT_INTERRUPTED;
	if (r < 0)
		return cmd_fail(&err);
	return f.failed ? EXIT_FAILED : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(force_options),
	{ "jobs", 'j', OPTION_NUMBER, "N", offsetof(struct force_options, jobs),
	  "let the engine run N functions at once, from now on" },
	{ "engine", 'e', OPTION_LIST, "ENGINE", offsetof(struct force_options, engines),
	  "run functions there: local, lambda or http, with how many at once: --engine local=2 "
	  "--engine lambda=1000, or with commas; else as ggfs config engine says" },
	{ "budget", 'b', OPTION_TEXT, "USD", offsetof(struct force_options, budget),
	  "stop before this would cost more, counting what is in flight" },
	{ "dry-run", 'n', OPTION_SWITCH, NULL, offsetof(struct force_options, dry_run),
	  "only say how much would run and about what it would cost" },
	{ "keep-going", 'k', OPTION_SWITCH, NULL, offsetof(struct force_options, keep_going),
	  "after a failure, still make what does not need it" },
	{ "quiet", 'q', OPTION_SWITCH, NULL, offsetof(struct force_options, quiet),
	  "print warnings and errors only" },
	{ "stderr", 0, OPTION_SWITCH, NULL, offsetof(struct force_options, show_stderr),
	  "print the kept warnings of targets that were known before, too" },
	OPTION_JSON(force_options),
	{ 0 },
};

const struct verb verb_force = {
	.name = "force",
	.synopsis = "[OPTION]... TARGET...",
	.summary = "make lazy files now",
	.description =
	        "Makes each TARGET, in parallel, and what it needs: a lazy file; a directory, for "
	        "all lazy\n"
	        "files in and below it; the digest of a thunk, for its outputs. Files that are not "
	        "lazy are\n"
	        "passed over.\n\n"
	        "In a mount nothing changes but that the files are ready, those in lazy "
	        "directories "
	        "too.\n"
	        "Outside a mount each placeholder is replaced by the real file, with the "
	        "placeholder's mode\n"
	        "and time.\n\n"
	        "On a terminal a line tells how many thunks are queued, running, done and failed; "
	        "else\n"
	        "there is one line for each that ran. Warnings of functions are printed, each line "
	        "after\n"
	        "the name of what was made. Ctrl-C drops what has not started; what was made is "
	        "kept.\n\n"
	        "Exit codes: 0 all targets are ready, 1 at least one failed, 2 wrong usage,\n"
	        "130 interrupted.",
	.options = options,
	.options_size = sizeof(struct force_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
