#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

struct status_options {
	const char *store;
	bool json;
};

struct tally {
	size_t unforced, forcing, ready, failed, ordinary;
	bool json;
	json_t *failures;
};

static void note_failed(struct tally *n, const struct target *t, const char *reason)
{
	n->failed++;
	if (!n->json) {
		printf("failed: %s: %s\n", t->path ? t->path : t->ref.output,
		       reason ? reason : "no reason is known");
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "path", json_text(t->path));
	json_object_set_new(o, "reason", json_text(reason));
	json_array_append_new(n->failures, o);
}

static int count_target(struct client *c, const struct target *t, struct tally *n,
                        struct error *err)
{
	if (t->trouble)
		note_failed(n, t, t->trouble);
	if (!t->lazy)
		return 0;
	struct force_look look = { 0 };
	int r = client_look(c, &t->ref, &look, err);
	if (r == -ENOENT || r == -EBADMSG) {
		note_failed(n, t, error_text(err));
		return 0;
	}
	if (r < 0)
		return r;
	n->unforced += look.state == STATE_UNFORCED;
	n->forcing += look.state == STATE_FORCING;
	n->ready += look.state == STATE_READY;
	if (look.state == STATE_FAILED)
		note_failed(n, t, look.failure.reason);
	force_look_release(&look);
	return 0;
}

static void print_tally(struct tally *n)
{
	if (!n->json) {
		printf("%zu lazy: %zu not made yet, %zu being made, %zu ready, %zu failed; "
		       "%zu ordinary\n",
		       n->unforced + n->forcing + n->ready + n->failed, n->unforced, n->forcing,
		       n->ready, n->failed, n->ordinary);
		if (n->failed)
			puts("ggfs why FILE says more about one that failed");
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "unforced", json_integer((json_int_t)n->unforced));
	json_object_set_new(o, "forcing", json_integer((json_int_t)n->forcing));
	json_object_set_new(o, "ready", json_integer((json_int_t)n->ready));
	json_object_set_new(o, "failed", json_integer((json_int_t)n->failed));
	json_object_set_new(o, "ordinary", json_integer((json_int_t)n->ordinary));
	json_object_set_new(o, "failures", n->failures);
	json_print(o);
}

static int run(const void *options, int argc, char **argv)
{
	const struct status_options *o = options;
	struct error err = ERROR_INIT;
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	int r = targets_open(o->store, argc, argv, &list, &c, &err);
	if (r == 0)
		r = targets_expand(c, &list, &err);
	if (r < 0)
		return cmd_fail(&err);
	struct tally n = { .ordinary = list.ordinary, .json = o->json };
	n.failures = o->json ? json_array() : NULL;
	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = count_target(c, &list.items[i], &n, &err);
	if (r < 0) {
		json_decref(n.failures);
		return cmd_fail(&err);
	}
	print_tally(&n);
	return EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(status_options),
	OPTION_JSON(status_options),
	{ 0 },
};

const struct verb verb_status = {
	.name = "status",
	.synopsis = "[OPTION]... [PATH|THUNK]...",
	.summary = "count lazy, ready and failed files",
	.description = "Counts the files at and below each PATH (else the working directory): not "
	               "made yet, being\n"
	               "made, ready, failed, ordinary; and lists those that failed. Makes nothing.",
	.options = options,
	.options_size = sizeof(struct status_options),
	.max_operands = -1,
	.run = run,
};
