/* retry, cancel, stop: short words to the service. */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

struct retry_options {
	const char *store;
	bool all;
};

/* --- retry ------------------------------------------------------------------------------------ */

static int retry_ref(struct client *c, const struct ref *ref, size_t *forgotten, struct error *err)
{
	if (ref->kind != REF_THUNK)
		return 0;
	struct force_look look = { 0 };
	/* A whole thunk was named: no output to look at, but a failure to forget all the same. */
	if (!ref->output) {
		++*forgotten;
		return client_retry(c, &ref->digest, err);
	}
	int r = client_look(c, ref, &look, err);
	if (r < 0)
		return r;
	if (look.state == STATE_FAILED) {
		/* The failure may lie in something that this one needs: both are forgotten. Often
		 * they are one, and then the second time there is nothing left to forget. */
		r = client_retry(c, &look.failure.thunk, err);
		if (r == 0)
			r = client_retry(c, &ref->digest, err);
		if (r == -ENOENT)
			r = 0;
		++*forgotten;
	}
	force_look_release(&look);
	return r;
}

static int run_retry(const void *options, int argc, char **argv)
{
	const struct retry_options *o = options;
	struct error err = ERROR_INIT;
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	if (targets_open(o->store, argc, argv, &list, &c, &err) < 0)
		return cmd_fail(&err);
	size_t forgotten = 0;
	for (size_t i = 0; i < list.count; i++)
		if (list.items[i].lazy && retry_ref(c, &list.items[i].ref, &forgotten, &err) < 0)
			return cmd_fail(&err);
	printf("%zu failure%s forgotten; the next open tries again\n", forgotten,
	       forgotten == 1 ? "" : "s");
	return EXIT_OK;
}

static const struct verb_option retry_table[] = {
	OPTION_STORE(retry_options),
	{ 0 },
};

const struct verb verb_retry = {
	.name = "retry",
	.synopsis = "PATH|THUNK...",
	.summary = "forget failures, so that the next open tries again",
	.description =
	        "A function that failed is not run again for the same inputs until its failure is\n"
	        "forgotten. This forgets those of the files named, of all lazy files in the "
	        "directories\n"
	        "named, and of the thunks named; nothing is run yet.",
	.options = retry_table,
	.options_size = sizeof(struct retry_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run_retry,
};

/* --- cancel ----------------------------------------------------------------------------------- */

static int cancel_all(struct client *c, struct error *err)
{
	int r = client_cancel(c, NULL, err);
	if (r == 0)
		puts("all work is cancelled");
	return r;
}

static int cancel_targets(struct client *c, int argc, char **argv, struct error *err)
{
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	size_t cancelled = 0;
	for (int i = 0; i < argc; i++) {
		int r = target_collect(argv[i], &list, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct target *t = &list.items[i];
		if (!t->lazy || t->ref.kind != REF_THUNK)
			continue;
		int r = client_cancel(c, &t->ref.digest, err);
		if (r < 0 && r != -ENOENT)
			return r;
		cancelled += r == 0;
	}
	printf("%zu cancelled\n", cancelled);
	return 0;
}

static int run_cancel(const void *options, int argc, char **argv)
{
	const struct retry_options *o = options;
	struct error err = ERROR_INIT;
	if (o->all == (argc > 0))
		return cmd_usage("ggfs cancel wants either files or --all");
	scoped_client struct client *c = NULL;
	int r = session_open_running(o->store, argc ? argv[0] : NULL, &c, &err);
	if (r == -ECONNREFUSED) {
		puts("no service runs: there is nothing to cancel");
		return EXIT_OK;
	}
	if (r == 0)
		r = o->all ? cancel_all(c, &err) : cancel_targets(c, argc, argv, &err);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option cancel_table[] = {
	OPTION_STORE(retry_options),
	{ "all", 'a', OPTION_SWITCH, NULL, offsetof(struct retry_options, all),
	  "everything that this store's service does" },
	{ 0 },
};

const struct verb verb_cancel = {
	.name = "cancel",
	.synopsis = "PATH|THUNK... | --all",
	.summary = "stop making files",
	.description = "Drops what is queued and kills what runs for the files or thunks named. "
	               "Programs that\n"
	               "wait for them get ECANCELED; the next open makes them after all.",
	.options = cancel_table,
	.options_size = sizeof(struct retry_options),
	.max_operands = -1,
	.run = run_cancel,
};

/* --- stop ------------------------------------------------------------------------------------- */

static int run_stop(const void *options, int argc, char **argv)
{
	const struct retry_options *o = options;
	struct error err = ERROR_INIT;
	(void)argc;
	(void)argv;
	scoped_free char *store = session_store(o->store, NULL);
	struct client_options meant = { .store = store };
	int r = client_stop_service(&meant, &err);
	if (r == -ECONNREFUSED) {
		puts("no service runs");
		return EXIT_OK;
	}
	if (r < 0)
		return cmd_fail(&err);
	puts("the service has stopped");
	return EXIT_OK;
}

const struct verb verb_stop = {
	.name = "stop",
	.synopsis = "",
	.summary = "end the store's service",
	.description =
	        "Ends the service of the store; what it was making is killed, nothing that "
	        "was made is\n"
	        "lost. It comes back by itself when it is needed: a mount starts it again when "
	        "a lazy\n"
	        "file in it is looked at or read, at once where readers wait.",
	.options = retry_table,
	.options_size = sizeof(struct retry_options),
	.run = run_stop,
};
