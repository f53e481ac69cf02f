#include "engine/worker/run.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/digest_map.h"
#include "engine/local/collect.h"
#include "engine/local/plan.h"
#include "engine/worker/keeper.h"
#include "engine/worker/relocate.h"
#include "engine/worker/run_impl.h"

/* Outputs that the cache is found to have broken, one after the other. */
enum { RUN_BROKEN_MAX = 16 };

void run_made_release(struct run_made *m)
{
	free(m->blobs);
	*m = (struct run_made){ 0 };
}

/* Always -1, so that it can be returned. */
int run_end(struct run *run, enum outcome outcome, const char *reason)
{
	free(run->out->reason);
	run->out->outcome = outcome;
	run->out->reason = outcome == OUTCOME_DONE ? NULL : xstrdup(reason);
	return -1;
}

static int end_with_format(struct run *run, enum outcome outcome, char *reason)
{
	run_end(run, outcome, reason);
	free(reason);
	return -1;
}

int run_end_by_code(struct run *run, int code, const struct digest *blob, const char *reason)
{
	struct plan_fault fault;
	plan_blame_input(&fault, code, blob);
	run->out->has_absent = fault.has_absent;
	run->out->absent = fault.absent;
	return run_end(run, fault.outcome, reason);
}

/* --- what a function's end means ---------------------------------------------------------------
 */

static bool is_full(int root)
{
	struct statvfs st;
	return fstatvfs(root, &st) == 0 && st.f_blocks > 0 &&
	       (uint64_t)st.f_bavail * st.f_frsize < RUN_FULL_BELOW;
}

/* What the library loaded into the function could not do as the world would have it. */
static char *read_report(const struct run *run)
{
	scoped_buf struct buf b = BUF_INIT;
	scoped_free char *path = xformat("%s/" RELOCATE_REPORT, stage_job(run->stage));
	if (read_file_at(AT_FDCWD, path, &b, 4096, NULL) < 0 || b.len == 0)
		return NULL;
	b.data[strcspn(b.data, "\n")] = '\0';
	return xformat("without namespaces it cannot be run faithfully: it uses %s", b.data);
}

static int judge_time(struct run *run, const struct keeper_result *k)
{
	uint32_t limit = run->thunk.timeout_s;
	if (k->left)
		return run_end(run, OUTCOME_CANCELLED, "nobody waits for it any more");
	run->out->exit_status = 128 + SIGKILL;
	if (!run->cut_short)
		return end_with_format(run, OUTCOME_TIMED_OUT,
		                       xformat("killed after its timeout of %u s", limit));
	run->out->exit_status = -1;
	if (run->place->first)
		return run_end(run, OUTCOME_REFUSED, "it takes longer than this worker may run");
	return run_end(run, OUTCOME_LOST, "no time was left for it in its request");
}

static int judge_failure(struct run *run, const struct keeper_result *k)
{
	int status = k->wait_status;
	scoped_free char *reason = NULL;
	if (k->error) {
		run->out->exit_status = 127;
		reason = xformat("cannot execute %s: %s", run->thunk.program, strerror(k->error));
	} else if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));
		run->out->exit_status = 128 + WTERMSIG(status);
		reason = xformat("killed by signal %d (SIG%s)", WTERMSIG(status),
		                 name ? name : "RT");
	} else {
		run->out->exit_status = WEXITSTATUS(status);
		reason = xformat("exit status %d", WEXITSTATUS(status));
	}
	if (k->error == ENOMEM || k->error == EAGAIN)
		return run_end(run, OUTCOME_LOST, reason);
	return run_end(run, is_full(stage_root(run->stage)) ? OUTCOME_NO_ROOM : OUTCOME_FAILED,
	               reason);
}

static int judge(struct run *run, const struct keeper_result *k)
{
	scoped_free char *report = read_report(run);
	if (report) {
		run->out->exit_status = -1;
		return run_end(run, OUTCOME_REFUSED, report);
	}
	if (k->killed)
		return judge_time(run, k);
	if (k->error || k->wait_status != 0)
		return judge_failure(run, k);
	run->out->exit_status = 0;
	return 0;
}

/* --- executing ---------------------------------------------------------------------------------
 */

static int look(struct run *run, const char *path, struct program *out)
{
	int root = stage_root(run->stage);
	scoped_fd int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	return faccessat(root, path, X_OK, 0) < 0 ? -errno : program_look(fd, out);
}

static int look_at_linker(struct run *run, const char *interpreter, bool *is_modern)
{
	scoped_fd int fd =
	        openat(stage_root(run->stage), interpreter + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : program_linker_is_modern(fd, is_modern);
}

/* What will be executed in the end, through "#!" lines. */
static int gather_facts(struct run *run, struct relocate_facts *facts)
{
	const char *path = run->thunk.program;
	for (;;) {
		struct program *p = &facts->programs[facts->count];
		int r = look(run, path, p);
		if (r < 0)
			return r;
		facts->count++;
		if (p->kind == PROGRAM_DYNAMIC && p->interpreter[0] == '/')
			return look_at_linker(run, p->interpreter, &facts->linker_is_modern);
		if (p->kind != PROGRAM_SCRIPT)
			return 0;
		if (p->interpreter[0] != '/' || facts->count > RELOCATE_SCRIPTS_MAX)
			return -ENOEXEC;
		path = p->interpreter + 1;
	}
}

static void keep_stderr(struct run *run, struct buf *text)
{
	size_t skip = text->len > REMOTE_STDERR_MAX ? text->len - REMOTE_STDERR_MAX : 0;
	struct memo *memo = &run->out->memo;
	struct error err = ERROR_INIT;
	free(run->out->stderr_tail);
	run->out->stderr_tail = xstrdup("");
	if (text->len == 0)
		return;
	digest_of(&memo->stderr_digest, text->data, text->len);
	if (cache_put(run->place->cache, &memo->stderr_digest, text->data, text->len, &err) == 0) {
		memo->has_stderr = true;
		memo->stderr_size_bytes = text->len;
	} else {
		log_warning("cannot keep what a function wrote: %s", error_text(&err));
	}
	for (size_t i = skip; i < text->len; i++)
		if (text->data[i] == '\0')
			text->data[i] = ' ';
	free(run->out->stderr_tail);
	run->out->stderr_tail = xstrndup(text->data + skip, text->len - skip);
}

static int start(struct run *run, const struct relocation *how)
{
	struct keeper_result k = { 0 };
	struct error err = ERROR_INIT;
	int64_t now = now_ms(), timeout_ms = (int64_t)run->thunk.timeout_s * 1000;
	int64_t until = run->place->deadline_ms - WORKER_DEADLINE_MARGIN_MS;
	run->cut_short = run->place->deadline_ms && until < now + timeout_ms;
	struct keeper_job job = { .execute = how->execute,
		                  .cwd = how->cwd,
		                  .argv = how->argv.items,
		                  .env = how->env.items,
		                  .job = stage_job(run->stage),
		                  .memory_mib = run->thunk.memory_mib,
		                  .asker = run->place->asker,
		                  .until_ms = run->cut_short ? until : now + timeout_ms };
	if (run->cut_short && until <= now)
		return run_end(run, OUTCOME_LOST, "no time was left for it in its request");
	int r = keeper_run(&job, &k, &err);
	run->out->usage.function_micros = k.micros;
	run->out->usage.max_rss_kib = k.max_rss_kib;
	run->out->memo.micros = k.micros;
	keep_stderr(run, &k.stderr_tail);
	buf_release(&k.stderr_tail);
	if (r < 0)
		return run_end(run, OUTCOME_LOST, error_text(&err));
	return judge(run, &k);
}

static int execute(struct run *run)
{
	struct relocate_facts facts = { 0 };
	struct relocation how = { 0 };
	struct error err = ERROR_INIT;
	scoped_strv struct strv libraries = STRV_INIT;
	int r = gather_facts(run, &facts);
	if (r < 0) {
		struct keeper_result k = { .error = -r };
		return judge_failure(run, &k);
	}
	facts.has_local_time = manifest_find(&run->plan.inputs, "etc/localtime");
	relocate_libraries(&run->plan.inputs, &libraries);
	r = relocate(&run->thunk, &facts, stage_job(run->stage), &libraries, &how, &err);
	r = r < 0 ? run_end(run, OUTCOME_REFUSED, error_text(&err)) : start(run, &how);
	relocation_release(&how);
	return r;
}

/* --- collecting --------------------------------------------------------------------------------
 */

/* What was in the cache before was not put there now, and may have been broken by a function:
 * -ESTALE, and the next put heals it. */
static int add_made(struct run *run, const struct digest *d, uint64_t size_bytes, struct error *err)
{
	struct run_made *m = run->made;
	struct cache *cache = run->place->cache;
	if (cache_knows(cache, d) && cache_verify(cache, d) == -EBADMSG)
		return error_set(err, -ESTALE, "the cache breaks the blob %s again and again",
		                 digest_hex(d).text);
	cache_used(cache, d, size_bytes);
	array_grow(m->blobs, m->count, m->capacity);
	m->blobs[m->count++] = (struct sized_blob){ .digest = *d, .size_bytes = size_bytes };
	return 0;
}

static int add_tree(struct run *run, const struct ref *tree, struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	int r = store_get_bytes(cache_store(run->place->cache), &tree->digest, MANIFEST_BYTES_MAX,
	                        &text, err);
	if (r == 0)
		r = manifest_decode(text.data, text.len, &m, err);
	for (size_t i = 0; r == 0 && i < m.count; i++)
		if (m.entries[i].kind == ENTRY_FILE)
			r = add_made(run, &m.entries[i].ref.digest, m.entries[i].ref.size_bytes,
			             err);
	return r;
}

/* The thunks that were yielded: those named by outputs, and those they need. */
static int add_yields(struct run *run, struct error *err)
{
	scoped_free char *path = xformat("%s/root/" PLAN_YIELD, stage_job(run->stage));
	scoped_dir DIR *dir = opendir(path);
	if (!dir)
		return error_errno(err, "cannot list what was yielded");
	int r = 0;
	for (const struct dirent *e; r == 0 && (e = readdir(dir));) {
		struct digest d;
		uint64_t size = 0;
		if (e->d_name[0] == '.' && (!e->d_name[1] || strcmp(e->d_name, "..") == 0))
			continue;
		scoped_fd int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? error_errno(err, "cannot open what was yielded")
		           : digest_of_fd(fd, &d, &size, err);
		if (r == 0)
			r = add_made(run, &d, size, err);
	}
	return r;
}

static int list_made(struct run *run, struct error *err)
{
	const struct memo *memo = &run->out->memo;
	int r = run->thunk.yields ? add_yields(run, err) : 0;
	for (size_t i = 0; r == 0 && i < memo->count; i++) {
		const struct ref *ref = &memo->outputs[i].ref;
		if (ref->kind != REF_THUNK)
			r = add_made(run, &ref->digest, ref->size_bytes, err);
		if (r == 0 && ref->kind == REF_TREE)
			r = add_tree(run, ref, err);
	}
	if (r == 0 && memo->has_stderr)
		r = add_made(run, &memo->stderr_digest, memo->stderr_size_bytes, err);
	return r;
}

static void forget_outputs(struct memo *memo)
{
	struct memo outputs = { .outputs = memo->outputs,
		                .count = memo->count,
		                .capacity = memo->capacity };
	memo->outputs = NULL;
	memo->count = memo->capacity = 0;
	memo_release(&outputs);
}

static int collect_once(struct run *run, struct error *err)
{
	struct store *store = cache_store(run->place->cache);
	struct memo *memo = &run->out->memo;
	int root = stage_root(run->stage);
	int r = collect_outputs(store, &run->thunk, root, memo, err);
	if (r == -ENOSPC || r == -EDQUOT) {
		forget_outputs(memo);
		cache_make_room(run->place->cache, UINT64_MAX);
		r = collect_outputs(store, &run->thunk, root, memo, err);
	}
	return r == 0 ? list_made(run, err) : r;
}

static int collect(struct run *run)
{
	struct error err = ERROR_INIT;
	int r = collect_once(run, &err);
	for (unsigned i = 0; r == -ESTALE && i < RUN_BROKEN_MAX; i++) {
		forget_outputs(&run->out->memo);
		run->made->count = 0;
		r = collect_once(run, &err);
	}
	if (r == 0)
		return 0;
	bool full = r == -ENOSPC || r == -EDQUOT;
	return run_end(run,
	               full           ? OUTCOME_NO_ROOM
	               : r == -ECHILD ? OUTCOME_FAILED
	                              : OUTCOME_LOST,
	               error_text(&err));
}

void run_thunk_at(const struct run_place *place, const struct digest *thunk,
                  struct remote_result *out, struct run_made *made)
{
	struct run run = { .place = place, .out = out, .made = made, .thunk = THUNK_INIT };
	int64_t begin = now_us();
	out->thunk = *thunk;
	out->exit_status = -1;
	out->memo.thunk = *thunk;
	out->stderr_tail = xstrdup("");
	if (run_prepare(&run) == 0 && execute(&run) == 0 && collect(&run) == 0)
		run_end(&run, OUTCOME_DONE, "");
	if (out->outcome != OUTCOME_DONE) {
		forget_outputs(&out->memo);
		made->count = 0;
	}
	job_plan_release(&run.plan);
	thunk_release(&run.thunk);
	out->usage.micros = (uint64_t)(now_us() - begin);
}
