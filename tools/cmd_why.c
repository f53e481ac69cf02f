#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

enum { WAITED_FOR_SHOWN = 20 };

struct why_options {
	const char *store;
	bool json;
};

/* All there is to say of one target. */
struct answer {
	const struct target *target;
	struct force_look look;
	struct thunk thunk; /* the target's own */
	bool has_thunk;
	struct thunk failed; /* the one that failed, if it is another one */
	bool has_failed;
	struct memo memo;
	bool has_memo;
	char *warnings;
	struct digest *waits;
	size_t wait_count;
};

static void answer_release(struct answer *a)
{
	force_look_release(&a->look);
	thunk_release(&a->thunk);
	thunk_release(&a->failed);
	memo_release(&a->memo);
	free(a->warnings);
	free(a->waits);
}

static const char *const state_names[] = {
	[STATE_UNFORCED] = "unforced",
	[STATE_FORCING] = "forcing",
	[STATE_READY] = "ready",
	[STATE_FAILED] = "failed",
};

static int gather(struct client *c, const struct target *t, struct answer *a, struct error *err)
{
	a->target = t;
	int r = client_look(c, &t->ref, &a->look, err);
	if (r < 0 || t->ref.kind != REF_THUNK)
		return r;
	const struct digest *d = &t->ref.digest;
	a->has_thunk = fetch_thunk(c, d, &a->thunk, NULL) == 0;
	if (a->look.state == STATE_FAILED && !digest_equal(&a->look.failure.thunk, d))
		a->has_failed = fetch_thunk(c, &a->look.failure.thunk, &a->failed, NULL) == 0;
	a->has_memo = client_memo(c, d, &a->memo, NULL) == 0;
	if (a->has_memo && a->memo.has_stderr) {
		scoped_buf struct buf text = BUF_INIT;
		if (fetch_bytes(c, &a->memo.stderr_digest, FAILURE_STDERR_MAX, &text, NULL) == 0)
			a->warnings = buf_steal(&text, NULL);
	}
	if (a->look.state == STATE_FORCING)
		client_waiting_for(c, d, &a->waits, &a->wait_count, NULL);
	return 0;
}

static void print_indented(const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, "\n");
		printf("    %.*s\n", (int)len, text);
		text += len;
		text += *text == '\n';
	}
}

static void print_command(const char *what, const struct thunk *t)
{
	scoped_buf struct buf command = BUF_INIT;
	command_add(&command, t);
	printf("%s %s\n", what, command.data ? command.data : t->program);
	printf("in:      /%s\n", t->cwd ? t->cwd : "");
}

static const char *what_to_do(const struct answer *a)
{
	const struct failure *f = &a->look.failure;
	switch (a->look.state) {
	case STATE_UNFORCED:
		return "open it, or run ggfs force on it, and it is made";
	case STATE_FORCING:
		return "wait, or run ggfs cancel on it";
	case STATE_READY:
		return NULL;
	case STATE_FAILED:
		break;
	}
	if (f->code == ENOSPC)
		return "make room where the store is, then open it again";
	if (f->code == ETIMEDOUT || f->code == ECANCELED || f->code == ENETDOWN)
		return "open it again";
	if (f->code == ELOOP)
		return "a file that needs itself cannot be made: mend the build, run ggfs infer "
		       "again";
	return "mend the input and run ggfs infer again; if the inputs are right, ggfs retry on it";
}

static void print_failure(const struct answer *a)
{
	const struct failure *f = &a->look.failure;
	if (a->has_failed) {
		printf("because: %s, which it needs, could not be made\n",
		       a->failed.output_count ? a->failed.outputs[0].path : "an input");
		printf("thunk:   %s\n", digest_hex(&f->thunk).text);
		print_command("command:", &a->failed);
	}
	printf("reason:  %s\n", f->reason ? f->reason : strerror(f->code));
	if (f->exit_status >= 0)
		printf("status:  %d\n", f->exit_status);
	printf("readers: get %s\n", strerror(f->code));
	if (f->stderr_tail && *f->stderr_tail) {
		puts("it said:");
		print_indented(f->stderr_tail);
	}
}

static void print_answer(const struct answer *a)
{
	const struct target *t = a->target;
	printf("%s: %s\n", t->path ? t->path : t->ref.output, state_names[a->look.state]);
	if (t->ref.kind == REF_THUNK)
		printf("thunk:   %s\noutput:  %s\n", digest_hex(&t->ref.digest).text,
		       t->ref.output);
	if (a->has_thunk)
		print_command("command:", &a->thunk);
	else if (t->ref.kind == REF_THUNK)
		puts("command: not known: the store does not have this thunk");
	if (a->look.state == STATE_READY)
		printf("digest:  %s\n", digest_hex(&a->look.ref.digest).text);
	if (a->has_memo)
		printf("took:    %.3f s on %s\n", (double)a->memo.micros / 1e6, a->memo.engine);
	if (a->warnings) {
		puts("it said:");
		print_indented(a->warnings);
	}
	for (size_t i = 0; i < a->wait_count && i < WAITED_FOR_SHOWN; i++)
		printf("waits:   for %s\n", digest_hex(&a->waits[i]).text);
	if (a->wait_count > WAITED_FOR_SHOWN)
		printf("waits:   and for %zu more\n", a->wait_count - WAITED_FOR_SHOWN);
	if (a->look.state == STATE_FAILED)
		print_failure(a);
	const char *next = what_to_do(a);
	if (next)
		printf("next:    %s\n", next);
}

static void add_thunk(json_t *o, const struct thunk *t)
{
	scoped_buf struct buf command = BUF_INIT;
	command_add(&command, t);
	json_object_set_new(o, "command", json_text(command.data ? command.data : ""));
	json_object_set_new(o, "cwd", json_text(t->cwd ? t->cwd : ""));
}

static json_t *failure_json(const struct answer *a)
{
	const struct failure *f = &a->look.failure;
	json_t *o = json_object();
	json_object_set_new(o, "thunk", json_digest(&f->thunk));
	json_object_set_new(o, "errno", json_integer(f->code));
	json_object_set_new(o, "exit_status",
	                    f->exit_status < 0 ? json_null() : json_integer(f->exit_status));
	json_object_set_new(o, "reason", json_text(f->reason));
	json_object_set_new(o, "stderr", json_text(f->stderr_tail));
	json_object_set_new(o, "engine", json_text(f->engine));
	if (a->has_failed)
		add_thunk(o, &a->failed);
	return o;
}

static json_t *answer_json(const struct answer *a)
{
	json_t *o = json_object();
	json_object_set_new(o, "path", json_text(a->target->path));
	json_object_set_new(o, "state", json_string(state_names[a->look.state]));
	json_object_set_new(o, "wanted", json_ref(&a->target->ref));
	if (a->has_thunk)
		add_thunk(o, &a->thunk);
	if (a->look.state == STATE_READY)
		json_object_set_new(o, "result", json_ref(&a->look.ref));
	if (a->has_memo) {
		json_object_set_new(o, "engine", json_text(a->memo.engine));
		json_object_set_new(o, "micros", json_integer((json_int_t)a->memo.micros));
		json_object_set_new(o, "stderr", json_text(a->warnings));
	}
	json_t *waits = json_array();
	for (size_t i = 0; i < a->wait_count; i++)
		json_array_append_new(waits, json_digest(&a->waits[i]));
	json_object_set_new(o, "waits_for", waits);
	if (a->look.state == STATE_FAILED)
		json_object_set_new(o, "failure", failure_json(a));
	const char *next = what_to_do(a);
	json_object_set_new(o, "next", json_text(next));
	return o;
}

static void explain_ordinary(const struct target *t, json_t *all)
{
	const char *state = t->trouble ? "damaged" : "ordinary";
	if (!all) {
		printf("%s: %s\n", t->path, state);
		if (t->trouble)
			printf("reason:  %s\nnext:    remove it and run ggfs infer again\n",
			       t->trouble);
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "path", json_text(t->path));
	json_object_set_new(o, "state", json_string(state));
	json_object_set_new(o, "reason", json_text(t->trouble));
	json_array_append_new(all, o);
}

static int explain(struct client *c, const struct target *t, json_t *all, struct error *err)
{
	if (!t->lazy) {
		explain_ordinary(t, all);
		return 0;
	}
	struct answer a = { .thunk = THUNK_INIT, .failed = THUNK_INIT };
	int r = gather(c, t, &a, err);
	if (r == 0 && all)
		json_array_append_new(all, answer_json(&a));
	else if (r == 0)
		print_answer(&a);
	else
		error_prefix(err, r, "%s", t->path ? t->path : t->ref.output);
	answer_release(&a);
	return r;
}

static int run(const void *options, int argc, char **argv)
{
	const struct why_options *o = options;
	struct error err = ERROR_INIT;
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	int r = targets_open(o->store, argc, argv, &list, &c, &err);
	if (r == 0)
		r = targets_expand(c, &list, &err);
	json_t *all = o->json ? json_array() : NULL;
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		if (i && !all)
			putchar('\n');
		r = explain(c, &list.items[i], all, &err);
	}
	if (all)
		json_print(all);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(why_options),
	OPTION_JSON(why_options),
	{ 0 },
};

const struct verb verb_why = {
	.name = "why",
	.synopsis = "[OPTION]... PATH|THUNK...",
	.summary = "tell how a file stands, why it failed, what to do",
	.description = "Tells, for each file: its state (unforced, forcing, ready, failed, "
	               "ordinary, damaged); the\n"
	               "command that makes it and where; what it wrote to standard error; what it "
	               "waits for; if it\n"
	               "failed, why, or which file that it needs failed; and what to do next. "
	               "Makes nothing.",
	.options = options,
	.options_size = sizeof(struct why_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
