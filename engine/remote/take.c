/* What a worker answered: believed only where it can be checked. On the work thread. */
#include <string.h>

#include "engine/remote/remote_impl.h"

/* Inline blobs, whose digests decoding has verified, go into near. */
static int keep_blobs(struct attempt *a, struct error *err)
{
	struct store *near = a->e->context.near;
	for (size_t i = 0; i < a->answer.blobs.count; i++) {
		const struct remote_blob *b = &a->answer.blobs.items[i];
		struct digest d;
		if (store_has(near, &b->digest, NULL, NULL) == 0)
			continue;
		int r = store_put_bytes(near, b->bytes, b->len, &d, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- whether a result is one of ours -----------------------------------------------------------
 */

void promise_make(struct promise *p, const struct thunk *t, const struct digest *thunk)
{
	*p = (struct promise){ .thunk = *thunk, .yields = t->yields };
	for (size_t i = 0; i < t->output_count; i++) {
		const struct ref kind = {
			.kind = t->outputs[i].kind == OUTPUT_TREE ? REF_TREE : REF_BLOB,
		};
		memo_add_output(&p->outputs, t->outputs[i].path, &kind);
	}
}

void promise_release(struct promise *p)
{
	memo_release(&p->outputs);
}

static bool right_kind(const struct promise *p, const struct memo_output *got,
                       const struct ref *promised)
{
	if (got->ref.kind == REF_THUNK)
		return p->yields;
	return got->ref.kind == promised->kind;
}

static int check_paths(const struct promise *p, const struct memo *memo, struct error *err)
{
	for (size_t i = 0; i < memo->count; i++) {
		const struct ref *promised = memo_output(&p->outputs, memo->outputs[i].path);
		if (!promised)
			return error_set(err, -EBADMSG, "%s is no output of the thunk",
			                 memo->outputs[i].path);
		if (!right_kind(p, &memo->outputs[i], promised))
			return error_set(err, -EBADMSG, "the output %s is of another kind",
			                 memo->outputs[i].path);
	}
	for (size_t i = 0; i < p->outputs.count; i++)
		if (!memo_output(memo, p->outputs.outputs[i].path))
			return error_set(err, -EBADMSG, "the output %s is missing",
			                 p->outputs.outputs[i].path);
	return 0;
}

/* What is not in the far store must have come along. */
static int check_presence(struct store *near, const struct ref *ref, const char *path,
                          struct error *err)
{
	scoped_inputs struct inputs missing = { .absent_only = true };
	struct digest absent;
	uint64_t size_bytes = 0;
	if (ref->kind == REF_THUNK)
		return store_has(near, &ref->digest, NULL, NULL) == 0
		               ? 0
		               : error_set(err, -EBADMSG, "the thunk that %s is did not come along",
		                           path);
	int r = inputs_add_ref(&missing, near, ref, &absent, err);
	if (r == 0 && missing.count == 0)
		r = store_has(near, &ref->digest, &size_bytes, err);
	if (r < 0)
		return r;
	if (missing.count || missing.unread)
		return error_set(err, -EBADMSG, "the output %s did not come along", path);
	if (size_bytes != ref->size_bytes)
		return error_set(err, -EBADMSG, "the output %s has another size", path);
	return 0;
}

static int check_done(struct attempt *a, const struct promise *p, struct remote_result *r,
                      struct error *err)
{
	struct store *near = a->e->context.near;
	struct memo *memo = &r->memo;
	bool stored = r->stored && a->e->context.far;
	if (!digest_equal(&memo->thunk, &p->thunk))
		return error_set(err, -EBADMSG, "the memo is of another thunk");
	int code = check_paths(p, memo, err);
	for (size_t i = 0; code == 0 && !stored && i < memo->count; i++)
		code = check_presence(near, &memo->outputs[i].ref, memo->outputs[i].path, err);
	/* What it said is in stderr_tail; without the blob there is no more of it. */
	if (memo->has_stderr && !stored && store_has(near, &memo->stderr_digest, NULL, NULL) < 0)
		memo->has_stderr = false;
	return code;
}

static struct remote_result *find_result(struct attempt *a, const struct digest *thunk)
{
	for (size_t i = 0; i < a->answer.result_count; i++)
		if (digest_equal(&a->answer.results[i].thunk, thunk))
			return &a->answer.results[i];
	return NULL;
}

/* The result of the chain's next thunk, whose inputs that are missing before and its memo give:
 * what it is of is worked out here, so that nobody can put one thunk's for another's. */
static struct remote_result *find_next(struct attempt *a, const struct engine_next *next,
                                       const struct digest *before, const struct memo *memo)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest resolved;
	thunk_copy(&t, next->thunk);
	if (thunk_substitute(&t, before, memo, NULL) < 0 || thunk_finish(&t, NULL) < 0)
		return NULL;
	thunk_digest(&t, &resolved);
	struct remote_result *r = find_result(a, &resolved);
	if (!r || r->outcome != OUTCOME_DONE)
		return NULL;
	struct promise p;
	promise_make(&p, &t, &resolved);
	int code = check_done(a, &p, r, NULL);
	promise_release(&p);
	return code == 0 ? r : NULL;
}

/* What was run in the same go, as far as it is in order; the rest is asked for anew. */
static void read_chain(struct attempt *a, const struct job *job, struct taken *taken)
{
	const struct digest *before = &job->job.digest;
	const struct remote_result *last = taken->own;
	taken->next = xcalloc(job->job.next_count, sizeof(struct remote_result *));
	for (size_t i = 0; i < job->job.next_count; i++) {
		const struct engine_next *next = &job->job.next[i];
		struct remote_result *r = find_next(a, next, before, &last->memo);
		if (!r)
			break;
		taken->next[taken->next_count++] = r;
		before = &next->digest;
		last = r;
	}
}

static void read_results(struct attempt *a, struct error *err)
{
	a->taken = xcalloc(a->count, sizeof(*a->taken));
	for (size_t i = 0; i < a->count; i++) {
		const struct job *job = a->jobs[i];
		struct remote_result *r = find_result(a, &job->job.digest);
		if (!r) {
			error_set(err, -EBADMSG, "%s",
			          a->answer.reason ? a->answer.reason
			                           : "the answer is for another thunk");
			continue;
		}
		if (r->outcome == OUTCOME_DONE && check_done(a, &job->promise, r, err) < 0)
			continue;
		a->taken[i].own = r;
		if (a->chained && job->job.next_count && r->outcome == OUTCOME_DONE)
			read_chain(a, job, &a->taken[i]);
	}
}

void attempt_read(struct attempt *a)
{
	struct error err = ERROR_INIT;
	a->code = remote_answer_decode(a->body.data ? a->body.data : "", a->body.len, &a->answer,
	                               &err);
	buf_release(&a->body);
	if (a->code == 0 && !a->answer.wrong_version)
		a->code = keep_blobs(a, &err);
	if (a->code == 0 && !a->answer.wrong_version)
		read_results(a, &err);
	a->reason = xstrdup(error_text(&err));
}
