#include "engine/local/run.h"

#include <signal.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/local/blame.h"
#include "engine/local/collect.h"
#include "engine/local/plan.h"
#include "objstore/index.h"

#define ENGINE_NAME "local"

struct run {
	struct run_context *context;
	struct slot *slot;
	const struct engine_job *job;
	int cancel_fd;
	struct engine_result *out;
};

static void set_reason(struct run *run, enum outcome outcome, const char *reason)
{
	free(run->out->reason);
	run->out->outcome = outcome;
	run->out->reason = xstrdup(reason);
}

static void set_fault(struct run *run, const struct plan_fault *fault, const char *reason)
{
	set_reason(run, fault->outcome, reason);
	run->out->has_absent = fault->has_absent;
	run->out->absent = fault->absent;
}

/* --- what a result means ---------------------------------------------------------------------- */

static bool world_is_full(int root)
{
	struct statvfs st;
	return root >= 0 && fstatvfs(root, &st) == 0 && st.f_blocks > 0 &&
	       (st.f_bavail == 0 || st.f_bavail < st.f_blocks / 1000);
}

static char *describe_end(const struct slot_answer *a, const struct thunk *t, int *exit_status)
{
	int status = a->result.wait_status;
	if (a->result.end == JOB_NOT_EXECUTED) {
		*exit_status = 127;
		return xformat(
		        "cannot execute %s: %s%s", t->program, strerror(a->result.error),
		        a->result.error == ENOENT
		                ? " (it, or the interpreter it needs, is not among its inputs)"
		                : "");
	}
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);
		const char *name = sigabbrev_np(number);
		*exit_status = 128 + number;
		return xformat("killed by signal %d (SIG%s)", number, name ? name : "RT");
	}
	*exit_status = WEXITSTATUS(status);
	return xformat("exit status %d", *exit_status);
}

static const struct digest *entry_digest(const struct plan *p, uint64_t index)
{
	const struct manifest_entry *entry = NULL;
	if (index >= p->job.count)
		return NULL;
	const char *path = p->job.entries[index].path;
	entry = manifest_find(&p->inputs, path);
	if (!entry && p->toolchain)
		entry = manifest_find(&p->toolchain->manifest, path);
	return entry && entry->kind == ENTRY_FILE ? &entry->ref.digest : NULL;
}

static void not_laid_out(struct run *run, const struct plan *p, const struct job_result *result)
{
	struct plan_fault fault;
	const char *path = result->entry < p->job.count ? p->job.entries[result->entry].path : "";
	plan_blame_input(&fault, -result->error, entry_digest(p, result->entry));
	const char *what = result->error == EBADMSG ? "the blob has not the size its manifest says"
	                                            : strerror(result->error);
	scoped_free char *reason = xformat("cannot lay out %s: %s", path, what);
	set_fault(run, &fault, reason);
}

static void collect(struct run *run, const struct slot_answer *a)
{
	struct error err = ERROR_INIT;
	int r = collect_outputs(run->context->store, run->job->thunk, a->root, &run->out->memo,
	                        &err);
	if (r == 0)
		run->out->outcome = OUTCOME_DONE;
	else if (r == -ECHILD)
		set_reason(run, OUTCOME_FAILED, err.text);
	else
		set_reason(run, r == -ENOSPC || r == -EDQUOT ? OUTCOME_NO_ROOM : OUTCOME_LOST,
		           error_text(&err));
}

static void judge_end(struct run *run, const struct slot_answer *a)
{
	scoped_free char *reason = describe_end(a, run->job->thunk, &run->out->exit_status);
	bool full = world_is_full(a->root);
	if (run->out->exit_status == 0)
		collect(run, a);
	else
		set_reason(run, OUTCOME_FAILED, reason);
	if (run->out->outcome != OUTCOME_FAILED || !full)
		return;
	scoped_free char *room =
	        xformat("%s; its world of %llu MiB was full (GGFS_WORLD_BYTES)", run->out->reason,
	                (unsigned long long)run->context->slots.world_bytes >> 20);
	set_reason(run, OUTCOME_NO_ROOM, room);
}

static void judge(struct run *run, const struct plan *p, const struct slot_answer *a)
{
	const struct job_result *result = &a->result;
	if (a->cancelled) {
		set_reason(run, OUTCOME_CANCELLED, "cancelled");
	} else if (a->timed_out) {
		scoped_free char *reason =
		        xformat("killed after its timeout of %u s", run->job->thunk->timeout_s);
		run->out->exit_status = 128 + SIGKILL;
		set_reason(run, OUTCOME_TIMED_OUT, reason);
	} else if (result->end == JOB_ENDED || result->end == JOB_NOT_EXECUTED) {
		judge_end(run, a);
	} else if (result->end == JOB_NOT_LAID_OUT) {
		not_laid_out(run, p, result);
	} else {
		scoped_free char *reason =
		        xformat("the sandbox failed: %s", strerror(result->error));
		set_reason(run, result->error == ENOSPC ? OUTCOME_NO_ROOM : OUTCOME_LOST, reason);
	}
}

/* Warnings are kept as a blob; a failure to store them does not spoil the result. */
static void keep_stderr(struct run *run, struct buf *text)
{
	struct error err = ERROR_INIT;
	struct memo *memo = &run->out->memo;
	if (text->len > 0) {
		if (store_put_bytes(run->context->store, text->data, text->len,
		                    &memo->stderr_digest, &err) == 0) {
			memo->has_stderr = true;
			memo->stderr_size_bytes = text->len;
		} else {
			log_warning("cannot keep what a function wrote: %s", error_text(&err));
		}
	}
	size_t skip = text->len > FAILURE_STDERR_MAX ? text->len - FAILURE_STDERR_MAX : 0;
	free(run->out->stderr_tail);
	run->out->stderr_tail =
	        text->len ? xstrndup(text->data + skip, text->len - skip) : xstrdup("");
}

/* --- running ---------------------------------------------------------------------------------- */

/* The same function in a second world of the same kind, watched: what did it look for? */
static void find_missing(struct run *run, struct plan *p)
{
	struct engine_result *out = run->out;
	int64_t took_ms = (int64_t)(out->memo.micros / 1000);
	if (out->outcome != OUTCOME_FAILED || !run->context->trace || run->slot->options->weak ||
	    took_ms > RUN_TRACE_BELOW_MS)
		return;
	struct slot_answer answer = SLOT_ANSWER_INIT;
	struct slot_run again = { .timeout_ms = 1000 + 3 * took_ms, .cancel_fd = run->cancel_fd };
	if (again.timeout_ms > RUN_TRACE_MS_MAX)
		again.timeout_ms = RUN_TRACE_MS_MAX;
	p->job.trace = true;
	if (slot_run(run->slot, &p->job, &again, &answer, NULL) == 0) {
		scoped_free char *named = blame_missing(&answer.missing, RUN_NAMED_MAX);
		if (named) {
			scoped_free char *reason = xformat("%s; %s", out->reason, named);
			set_reason(run, OUTCOME_FAILED, reason);
		}
		slot_release_world(run->slot);
	}
	slot_answer_release(&answer);
}

/* False: not at all; the toolchain has to be laid out file by file instead. */
static bool run_plan(struct run *run, struct plan *p)
{
	struct slot_answer answer = SLOT_ANSWER_INIT;
	struct error err = ERROR_INIT;
	struct slot_run how = { .timeout_ms = (int64_t)run->job->thunk->timeout_s * 1000,
		                .cancel_fd = run->cancel_fd };
	bool overlaid = true;
	int r = slot_run(run->slot, &p->job, &how, &answer, &err);
	run->out->memo.micros = answer.result.micros;
	keep_stderr(run, &answer.stderr_tail);
	if (r == 0 && answer.result.end == JOB_NO_OVERLAY)
		overlaid = false;
	else if (r == 0 || answer.cancelled || answer.timed_out)
		judge(run, p, &answer);
	else
		set_reason(run, r == -EPIPE ? OUTCOME_LOST : OUTCOME_REFUSED, error_text(&err));
	slot_answer_release(&answer); /* closes its root, or the world could not go */
	slot_release_world(run->slot);
	if (overlaid)
		find_missing(run, p);
	return overlaid;
}

/* Where the real root is seen, an output named by its absolute path would go to the real place. */
static const char *absolute_output(const struct thunk *t)
{
	for (size_t i = 0; i < t->output_count; i++) {
		scoped_free char *absolute = xformat("/%s", t->outputs[i].path);
		for (size_t j = 1; j < t->args.count; j++)
			if (strncmp(t->args.items[j], absolute, strlen(absolute)) == 0)
				return t->args.items[j];
	}
	return NULL;
}

static bool refused(struct run *run)
{
	const char *path = run->slot->options->weak ? absolute_output(run->job->thunk) : NULL;
	if (!path)
		return false;
	scoped_free char *reason =
	        xformat("without namespaces a function cannot write to an absolute path: %s", path);
	set_reason(run, OUTCOME_REFUSED, reason);
	return true;
}

static bool plan_and_run(struct run *run)
{
	struct run_context *c = run->context;
	bool mounts = !run->slot->options->weak;
	struct planner planner = { .store = c->store,
		                   .toolchains = c->toolchains,
		                   .mounts = mounts,
		                   .overlay = mounts && !c->no_overlay };
	struct plan plan = PLAN_INIT;
	struct plan_fault fault = { 0 };
	struct error err = ERROR_INIT;
	bool done = true;
	if (job_plan_make(&planner, run->job->thunk, &plan, &fault, &err) < 0)
		set_fault(run, &fault, error_text(&err));
	else
		done = run_plan(run, &plan);
	job_plan_release(&plan);
	return done;
}

void run_thunk(struct run_context *c, struct slot *slot, const struct engine_job *job,
               int cancel_fd, struct engine_result *out)
{
	struct run run = {
		.context = c, .slot = slot, .job = job, .cancel_fd = cancel_fd, .out = out
	};
	out->exit_status = -1;
	out->memo.thunk = job->digest;
	out->memo.engine = xstrdup(ENGINE_NAME);
	out->stderr_tail = xstrdup("");
	if (refused(&run))
		return;
	if (!plan_and_run(&run)) {
		log_info("no overlay file systems in sandboxes here: toolchains cost more");
		c->no_overlay = true;
		if (!plan_and_run(&run))
			set_reason(&run, OUTCOME_LOST, "the sandbox failed");
	}
}
