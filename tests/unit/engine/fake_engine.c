#include "fake_engine.h"

#include <errno.h>
#include <string.h>

struct engine_ticket {
	struct fake_engine *fake;
	struct engine_job job;
	bool cancelled;
	struct engine_ticket *next;
};

static const char *word(const struct thunk *t, size_t i)
{
	return i < t->args.count ? t->args.items[i] : "";
}

/* --- what functions do ------------------------------------------------------------------------ */

static void set_outcome(struct engine_result *r, enum outcome outcome, const char *reason)
{
	r->outcome = outcome;
	r->exit_status = outcome == OUTCOME_FAILED ? 1 : -1;
	free(r->reason);
	r->reason = xstrdup(reason);
}

static void put(struct fake_engine *fake, const char *bytes, size_t len, struct ref *ref)
{
	*ref = (struct ref){ .kind = REF_BLOB, .size_bytes = len };
	if (store_put_bytes(fake->store, bytes, len, &ref->digest, NULL) < 0)
		abort();
}

static bool read_input(struct fake_engine *fake, const struct digest *d, struct buf *b,
                       struct engine_result *r)
{
	int code = store_verify(fake->store, d, NULL);
	if (code == 0)
		code = store_get_bytes(fake->store, d, 1 << 20, b, NULL);
	if (code == 0)
		return true;
	set_outcome(r, OUTCOME_BAD_INPUT, "an input is absent or broken");
	r->has_absent = true;
	r->absent = *d;
	return false;
}

/* The bytes of all single inputs and of all files in sets; what is not a blob is an abort: the
 * force must have replaced it. */
static bool read_manifest(struct fake_engine *fake, const struct manifest *m, struct buf *b,
                          struct engine_result *r)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		if (e->kind != ENTRY_FILE)
			continue;
		if (e->ref.kind == REF_THUNK)
			abort();
		if (b->len && b->data[b->len - 1] != '(')
			buf_add_char(b, ',');
		if (e->ref.kind == REF_BLOB) {
			if (!read_input(fake, &e->ref.digest, b, r))
				return false;
			continue;
		}
		scoped_manifest struct manifest tree = MANIFEST_INIT;
		scoped_buf struct buf text = BUF_INIT;
		if (!read_input(fake, &e->ref.digest, &text, r) ||
		    manifest_decode(text.data, text.len, &tree, NULL) < 0)
			return false;
		if (!read_manifest(fake, &tree, b, r))
			return false;
	}
	return true;
}

static bool read_inputs(struct fake_engine *fake, const struct thunk *t, struct buf *b,
                        struct engine_result *r)
{
	if (!read_manifest(fake, &t->inputs, b, r))
		return false;
	for (size_t i = 0; i < t->set_count; i++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		scoped_buf struct buf text = BUF_INIT;
		if (!read_input(fake, &t->sets[i].digest, &text, r) ||
		    manifest_decode(text.data, text.len, &m, NULL) < 0 ||
		    !read_manifest(fake, &m, b, r))
			return false;
	}
	return true;
}

static void all_outputs(const struct thunk *t, struct engine_result *r, const struct ref *ref)
{
	for (size_t i = 0; i < t->output_count; i++)
		memo_add_output(&r->memo, t->outputs[i].path, ref);
}

static void do_join(struct fake_engine *fake, const struct thunk *t, struct engine_result *r)
{
	scoped_buf struct buf text = BUF_INIT;
	struct ref ref;
	buf_add_format(&text, "%s(", word(t, 1));
	if (!read_inputs(fake, t, &text, r))
		return;
	buf_add_char(&text, ')');
	put(fake, text.data, text.len, &ref);
	all_outputs(t, r, &ref);
}

static void do_tree(struct fake_engine *fake, const struct thunk *t, struct engine_result *r)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct ref a, b, tree;
	scoped_free char *bytes = xformat("%s a", word(t, 1));
	put(fake, bytes, strlen(bytes), &a);
	put(fake, "b", 1, &b);
	manifest_add_file(&m, "a", 0644, &a);
	manifest_add_file(&m, "sub/b", 0644, &b);
	manifest_add_link(&m, "link", "sub/../sub/b");
	manifest_add_link(&m, "out", "../x");
	if (fake->hook.output)
		manifest_add_file(&m, "lazy", 0644, &fake->hook);
	if (manifest_finish(&m, NULL) < 0)
		abort();
	manifest_encode(&m, &text);
	put(fake, text.data, text.len, &tree);
	tree.kind = REF_TREE;
	all_outputs(t, r, &tree);
}

static void do_endless(struct fake_engine *fake, const struct thunk *t, struct engine_result *r)
{
	scoped_thunk struct thunk next = THUNK_INIT;
	struct ref ref = { .kind = REF_THUNK, .output = t->outputs[0].path };
	next.program = xstrdup(t->program);
	strv_add(&next.args, "endless");
	strv_add(&next.args, word(t, 1));
	strv_add_format(&next.args, "%d", atoi(word(t, 2)) + 1);
	next.yields = true;
	thunk_add_output(&next, OUTPUT_FILE, t->outputs[0].path);
	if (thunk_finish(&next, NULL) < 0 || thunk_save(fake->store, &next, &ref.digest, NULL) < 0)
		abort();
	all_outputs(t, r, &ref);
}

static void do_yield(const struct thunk *t, struct engine_result *r)
{
	struct ref ref = { .kind = REF_THUNK, .output = t->args.items[3] };
	if (!digest_parse(word(t, 2), DIGEST_HEX_SIZE, &ref.digest))
		abort();
	all_outputs(t, r, &ref);
}

static void perform(struct fake_engine *fake, const struct thunk *t, unsigned runs,
                    struct engine_result *r)
{
	const char *verb = word(t, 0);
	struct ref same;
	if (strcmp(verb, "same") == 0) {
		put(fake, "same", 4, &same);
		all_outputs(t, r, &same);
	} else if (strcmp(verb, "tree") == 0) {
		do_tree(fake, t, r);
	} else if (strcmp(verb, "fail") == 0) {
		set_outcome(r, OUTCOME_FAILED, "exit status 1");
		free(r->stderr_tail);
		r->stderr_tail = xformat("%s: no", word(t, 1));
	} else if (strcmp(verb, "outcome") == 0) {
		set_outcome(r, (enum outcome)atoi(word(t, 2)), "as told");
	} else if (strcmp(verb, "lost") == 0 && runs <= (unsigned)atoi(word(t, 2))) {
		set_outcome(r, OUTCOME_LOST, "the worker went away");
	} else if (strcmp(verb, "yield") == 0) {
		do_yield(t, r);
	} else if (strcmp(verb, "hook") == 0) {
		all_outputs(t, r, &fake->hook);
	} else if (strcmp(verb, "endless") == 0) {
		do_endless(fake, t, r);
	} else {
		do_join(fake, t, r);
		if (strcmp(verb, "warn") == 0) {
			free(r->stderr_tail);
			r->stderr_tail = xformat("%s: warning", word(t, 1));
		}
	}
}

/* --- the engine ------------------------------------------------------------------------------- */

static struct engine_result begin_result(const struct fake_engine *fake, const struct digest *thunk)
{
	struct engine_result r = { .outcome = OUTCOME_DONE, .stderr_tail = xstrdup("") };
	r.memo.thunk = *thunk;
	r.memo.engine = xstrdup("fake");
	r.memo.cost_nanodollars = fake->cost;
	return r;
}

/* The result of what comes next; false: it is not done, and left out. */
static bool perform_next(struct fake_engine *fake, const struct engine_next *next,
                         const struct digest *before, const struct memo *memo,
                         struct engine_result *out)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest digest;
	thunk_copy(&t, next->thunk);
	if (thunk_substitute(&t, before, memo, NULL) < 0)
		return false;
	if (thunk_finish(&t, NULL) < 0)
		abort();
	thunk_digest(&t, &digest);
	*out = begin_result(fake, &digest);
	perform(fake, &t, 1, out);
	if (out->outcome == OUTCOME_DONE)
		return true;
	engine_result_release(out);
	return false;
}

static void perform_chain(struct fake_engine *fake, const struct engine_job *job,
                          struct engine_result *r)
{
	const struct digest *before = &job->digest;
	const struct engine_result *last = r;
	r->also = xcalloc(job->next_count + 1, sizeof(*r->also));
	for (size_t i = 0; i < job->next_count; i++) {
		if (!perform_next(fake, &job->next[i], before, &last->memo,
		                  &r->also[r->also_count]))
			return;
		last = &r->also[r->also_count++];
		before = &job->next[i].digest;
	}
}

static void finish(struct engine_ticket *ticket)
{
	struct fake_engine *fake = ticket->fake;
	struct engine_result r = begin_result(fake, &ticket->job.digest);
	if (ticket->cancelled)
		set_outcome(&r, OUTCOME_CANCELLED, "cancelled");
	else
		perform(fake, ticket->job.thunk, fake_runs(fake, word(ticket->job.thunk, 1)), &r);
	if (r.outcome == OUTCOME_DONE && fake->runs_next)
		perform_chain(fake, &ticket->job, &r);
	ticket->job.done(ticket->job.arg, &r);
	engine_result_release(&r);
	free(ticket);
}

static void *work(void *arg)
{
	struct fake_engine *fake = arg;
	pthread_mutex_lock(&fake->lock);
	for (;;) {
		struct engine_ticket *ticket = fake->queue;
		if (!ticket && fake->ending)
			break;
		if (!ticket) {
			pthread_cond_wait(&fake->wake, &fake->lock);
			continue;
		}
		fake->queue = ticket->next;
		if (!fake->queue)
			fake->queue_end = &fake->queue;
		pthread_mutex_unlock(&fake->lock);
		finish(ticket);
		pthread_mutex_lock(&fake->lock);
	}
	pthread_mutex_unlock(&fake->lock);
	return NULL;
}

static void enqueue(struct fake_engine *fake, struct engine_ticket *ticket)
{
	pthread_mutex_lock(&fake->lock);
	ticket->next = NULL;
	*fake->queue_end = ticket;
	fake->queue_end = &ticket->next;
	pthread_cond_signal(&fake->wake);
	pthread_mutex_unlock(&fake->lock);
}

static unsigned fake_capacity(struct engine *e)
{
	return ((struct fake_engine *)e)->jobs;
}

static int fake_submit(struct engine *e, const struct engine_job *job, struct engine_ticket **out,
                       struct error *err)
{
	struct fake_engine *fake = (struct fake_engine *)e;
	fake->submits++;
	fake->local_only = job->local_only;
	snprintf(fake->engines, sizeof(fake->engines), "%s", job->engines ? job->engines : "");
	if (fake->refuse_submit)
		return error_set(err, -EIO, "not today");
	struct engine_ticket *ticket = xcalloc(1, sizeof(*ticket));
	ticket->fake = fake;
	ticket->job = *job;
	pthread_mutex_lock(&fake->lock);
	strv_add(&fake->started, word(job->thunk, 1));
	pthread_mutex_unlock(&fake->lock);
	*out = ticket;
	if (!fake->hold) {
		enqueue(fake, ticket);
		return 0;
	}
	ticket->next = fake->held;
	fake->held = ticket;
	return 0;
}

/* Only held jobs can still be stopped; others are as good as done. */
static void fake_cancel(struct engine *e, struct engine_ticket *ticket)
{
	struct fake_engine *fake = (struct fake_engine *)e;
	fake->cancels++;
	for (struct engine_ticket **at = &fake->held; *at; at = &(*at)->next) {
		if (*at != ticket)
			continue;
		*at = ticket->next;
		ticket->cancelled = true;
		enqueue(fake, ticket);
		return;
	}
}

static uint64_t fake_price(struct engine *e, const struct thunk *t)
{
	(void)t;
	return ((struct fake_engine *)e)->price;
}

static const struct engine_ops usual_ops = {
	.takes_next = true,
	.name = "fake",
	.capacity = fake_capacity,
	.submit = fake_submit,
	.cancel = fake_cancel,
	.price = fake_price,
};

void fake_init(struct fake_engine *fake, struct store *store)
{
	*fake = (struct fake_engine){ .ops = usual_ops, .store = store, .jobs = 4 };
	fake->engine.ops = &fake->ops;
	fake->queue_end = &fake->queue;
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->wake, NULL);
	if (pthread_create(&fake->thread, NULL, work, fake) != 0)
		abort();
}

void fake_end(struct fake_engine *fake)
{
	fake_release(fake);
	pthread_mutex_lock(&fake->lock);
	fake->ending = true;
	pthread_cond_signal(&fake->wake);
	pthread_mutex_unlock(&fake->lock);
	pthread_join(fake->thread, NULL);
	pthread_mutex_destroy(&fake->lock);
	pthread_cond_destroy(&fake->wake);
	strv_release(&fake->started);
	ref_release(&fake->hook);
}

void fake_release(struct fake_engine *fake)
{
	while (fake->held) {
		struct engine_ticket *ticket = fake->held;
		fake->held = ticket->next;
		enqueue(fake, ticket);
	}
}

unsigned fake_runs(struct fake_engine *fake, const char *name)
{
	unsigned runs = 0;
	pthread_mutex_lock(&fake->lock);
	for (size_t i = 0; i < fake->started.count; i++)
		runs += strcmp(fake->started.items[i], name) == 0;
	pthread_mutex_unlock(&fake->lock);
	return runs;
}

bool fake_has_held(const struct fake_engine *fake, const char *name)
{
	for (struct engine_ticket *at = fake->held; at; at = at->next)
		if (strcmp(word(at->job.thunk, 1), name) == 0)
			return true;
	return false;
}
