#include "engine/local/plan.h"

#include <string.h>

static const struct digest no_digest;

void job_plan_release(struct plan *p)
{
	if (p->toolchain)
		toolchains_put(p->toolchains, p->toolchain);
	job_release(&p->job);
	manifest_release(&p->inputs);
	buf_release(&p->thunk_text);
	strv_release(&p->directories);
	*p = PLAN_INIT;
}

void plan_blame_input(struct plan_fault *fault, int code, const struct digest *d)
{
	*fault = (struct plan_fault){ .outcome = OUTCOME_LOST };
	if (code == -ENOSPC || code == -EDQUOT)
		fault->outcome = OUTCOME_NO_ROOM;
	else if (code == -EINVAL || code == -EFBIG || code == -EEXIST || code == -ENOTDIR ||
	         code == -ELOOP)
		fault->outcome = OUTCOME_REFUSED;
	else if ((code == -ENOENT || code == -EBADMSG) && d && !digest_equal(d, &no_digest))
		*fault = (struct plan_fault){ .outcome = OUTCOME_BAD_INPUT,
			                      .has_absent = true,
			                      .absent = *d };
}

/* --- merging ---------------------------------------------------------------------------------- */

static int add_single(const struct planner *planner, const struct thunk *t, struct manifest *to,
                      struct digest *absent, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->inputs.count; i++)
		r = manifest_add_flat(planner->store, to, &t->inputs.entries[i], absent, err);
	return r;
}

/* All of a set but what the single inputs override. */
static void add_set(const struct thunk *t, struct manifest *to, const struct manifest *set)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct manifest_entry *entry = &set->entries[i];
		if (manifest_find(&t->inputs, entry->path))
			continue;
		if (entry->kind == ENTRY_FILE)
			manifest_add_file(to, entry->path, entry->mode, &entry->ref);
		else if (entry->kind == ENTRY_LINK)
			manifest_add_link(to, entry->path, entry->target);
		else
			manifest_add_dir(to, entry->path);
	}
}

static int merge(const struct planner *planner, const struct thunk *t, struct plan *p,
                 struct digest *absent, struct error *err)
{
	int r = add_single(planner, t, &p->inputs, absent, err);
	for (size_t i = 0; r == 0 && i < t->set_count; i++) {
		scoped_manifest struct manifest set = MANIFEST_INIT;
		r = manifest_load_flat(planner->store, &t->sets[i].digest, &set, absent, err);
		if (r == 0)
			add_set(t, &p->inputs, &set);
	}
	if (r == 0 && p->toolchain && !planner->overlay)
		add_set(t, &p->inputs, &p->toolchain->manifest);
	if (r == 0)
		r = manifest_finish(&p->inputs, err);
	return r < 0 ? error_prefix(err, r, "inputs") : 0;
}

/* --- a world over a toolchain ----------------------------------------------------------------- */

static bool same_fact(const struct manifest_entry *a, const struct manifest_entry *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ENTRY_FILE)
		return a->mode == b->mode && ref_equal(&a->ref, &b->ref);
	return a->kind == ENTRY_DIR || strcmp(a->target, b->target) == 0;
}

/* Whether an entry of the (sorted) manifest lies beneath path. */
static bool has_beneath(const struct manifest *m, const char *path)
{
	scoped_free char *prefix = xformat("%s/", path);
	size_t len = strlen(prefix), low = 0, high = m->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(m->entries[middle].path, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->count && strncmp(m->entries[low].path, prefix, len) == 0;
}

/* In an overlay an upper file would hide a lower directory, and an upper directory a lower link,
 * without a word; that would not be the world the thunk describes. */
static int check_over(const struct manifest *lower, const char *path, bool is_dir,
                      struct error *err)
{
	char parent[PATH_MAX];
	snprintf(parent, sizeof(parent), "%s", path);
	for (char *slash; (slash = strrchr(parent, '/'));) {
		*slash = '\0';
		const struct manifest_entry *entry = manifest_find(lower, parent);
		if (entry && entry->kind != ENTRY_DIR)
			return error_set(
			        err, -EINVAL,
			        "%s lies beneath %s, which is no directory in the toolchain", path,
			        parent);
	}
	if (!is_dir && has_beneath(lower, path))
		return error_set(err, -EINVAL, "%s is a directory in the toolchain", path);
	return 0;
}

static int check_inputs_over(const struct thunk *t, const struct plan *p, struct error *err)
{
	const struct manifest *lower = &p->toolchain->manifest;
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->inputs.count; i++) {
		const struct manifest_entry *entry = &p->inputs.entries[i];
		const struct manifest_entry *below = manifest_find(lower, entry->path);
		if (below && !same_fact(entry, below) && !manifest_find(&t->inputs, entry->path))
			r = error_set(err, -EINVAL, "%s: an input set and the toolchain disagree",
			              entry->path);
		if (r == 0)
			r = check_over(lower, entry->path, entry->kind == ENTRY_DIR, err);
	}
	for (size_t i = 0; r == 0 && i < p->directories.count; i++) {
		const char *path = p->directories.items[i];
		const struct manifest_entry *below = manifest_find(lower, path);
		r = check_over(lower, path, true, err);
		if (r == 0 && below && below->kind != ENTRY_DIR)
			r = error_set(err, -EINVAL, "%s is no directory in the toolchain", path);
	}
	return r;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* Whether path is an output, or lies in one: then it starts as a copy that can be written. */
static bool is_output(const struct thunk *t, const char *path)
{
	for (size_t i = 0; i < t->output_count; i++) {
		size_t len = strlen(t->outputs[i].path);
		if (strncmp(path, t->outputs[i].path, len) == 0 &&
		    (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

static struct job_entry *add_entry(struct plan *p, enum job_entry_kind kind, const char *path)
{
	array_grow(p->job.entries, p->job.count, p->job.capacity);
	struct job_entry *entry = &p->job.entries[p->job.count++];
	*entry = (struct job_entry){ .kind = kind, .path = path };
	return entry;
}

static int add_file(const struct planner *planner, struct plan *p,
                    const struct manifest_entry *from, bool writable, struct digest *absent,
                    struct error *err)
{
	bool executable = from->mode & 0100;
	bool bound = !writable && planner->mounts && from->ref.size_bytes > PLAN_COPY_MAX;
	struct job_entry *entry = add_entry(p, bound ? JOB_ENTRY_BIND : JOB_ENTRY_COPY, from->path);
	entry->mode = (executable ? 0555 : 0444) | (writable ? 0200 : 0);
	entry->size_bytes = from->ref.size_bytes;
	if (bound && executable)
		return executable_copy(planner->store, &from->ref, entry->source, absent, err);
	snprintf(entry->source, sizeof(entry->source), "%s",
	         store_object_path(&from->ref.digest).text);
	return 0;
}

static int add_input(const struct planner *planner, struct plan *p, const struct thunk *t,
                     const struct manifest_entry *from, struct digest *absent, struct error *err)
{
	if (from->kind == ENTRY_FILE)
		return add_file(planner, p, from, is_output(t, from->path), absent, err);
	struct job_entry *entry =
	        add_entry(p, from->kind == ENTRY_LINK ? JOB_ENTRY_LINK : JOB_ENTRY_DIR, from->path);
	if (from->kind == ENTRY_LINK) {
		entry->bytes = from->target;
		entry->size_bytes = strlen(from->target);
	}
	return 0;
}

/* A file of the toolchain that is also an output must not be taken for one that was made. */
static int add_outputs_of_toolchain(const struct planner *planner, struct plan *p,
                                    const struct thunk *t, struct digest *absent, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->output_count; i++) {
		const char *path = t->outputs[i].path;
		const struct manifest_entry *entry = manifest_find(&p->toolchain->manifest, path);
		if (has_beneath(&p->toolchain->manifest, path))
			r = error_set(err, -EINVAL, "the output %s is a directory in the toolchain",
			              path);
		else if (entry && !manifest_find(&p->inputs, path))
			r = add_input(planner, p, t, entry, absent, err);
	}
	return r;
}

static void add_parent_directories(const struct thunk *t, struct plan *p)
{
	for (size_t i = 0; i < t->output_count; i++) {
		const char *path = t->outputs[i].path, *slash = strrchr(path, '/');
		if (slash)
			strv_add_take(&p->directories, xstrndup(path, (size_t)(slash - path)));
	}
	if (t->cwd)
		strv_add(&p->directories, t->cwd);
	if (t->yields)
		strv_add(&p->directories, PLAN_YIELD);
}

static int compare_entries(const void *a, const void *b)
{
	const struct job_entry *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static int add_entries(const struct planner *planner, const struct thunk *t, struct plan *p,
                       struct digest *absent, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->inputs.count; i++)
		r = add_input(planner, p, t, &p->inputs.entries[i], absent, err);
	if (r == 0 && p->toolchain && planner->overlay)
		r = add_outputs_of_toolchain(planner, p, t, absent, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->directories.count; i++)
		add_entry(p, JOB_ENTRY_DIR, p->directories.items[i]);
	if (t->yields) {
		thunk_encode(t, &p->thunk_text);
		struct job_entry *entry = add_entry(p, JOB_ENTRY_BYTES, PLAN_THUNK);
		entry->mode = 0444;
		entry->bytes = p->thunk_text.data;
		entry->size_bytes = p->thunk_text.len;
	}
	if (p->job.count > 1)
		qsort(p->job.entries, p->job.count, sizeof(*p->job.entries), compare_entries);
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_command(const struct thunk *t, struct plan *p)
{
	struct job *job = &p->job;
	job->program = t->program;
	job->cwd = t->cwd ? t->cwd : "";
	job->memory_mib = t->memory_mib;
	job->argv = xcalloc(t->args.count + 1, sizeof(char *));
	job->envp = xcalloc(t->env.count + 3, sizeof(char *));
	for (size_t i = 0; i < t->args.count; i++)
		job->argv[i] = t->args.items[i];
	for (size_t i = 0; i < t->env.count; i++)
		job->envp[i] = t->env.items[i];
	if (t->yields) {
		job->envp[t->env.count] = "GGFS_THUNK=/" PLAN_THUNK;
		job->envp[t->env.count + 1] = "GGFS_YIELD=/" PLAN_YIELD;
	}
}

static int make(const struct planner *planner, const struct thunk *t, struct plan *p,
                struct digest *absent, struct error *err)
{
	int r = 0;
	p->toolchains = planner->toolchains;
	if (t->has_toolchain)
		r = toolchains_get(planner->toolchains, &t->toolchain, planner->overlay,
		                   &p->toolchain, absent, err);
	if (r == 0)
		r = merge(planner, t, p, absent, err);
	if (r < 0)
		return r;
	add_parent_directories(t, p);
	if (p->toolchain && planner->overlay)
		r = check_inputs_over(t, p, err);
	if (r == 0)
		r = add_entries(planner, t, p, absent, err);
	if (r == 0)
		add_command(t, p);
	/* Without overlays it is among the entries, though it may have been unpacked before. */
	if (p->toolchain && planner->overlay)
		memcpy(p->job.toolchain, p->toolchain->directory, sizeof(p->job.toolchain));
	return r;
}

int job_plan_make(const struct planner *planner, const struct thunk *t, struct plan *out,
                  struct plan_fault *fault, struct error *err)
{
	struct digest absent = no_digest;
	int r = make(planner, t, out, &absent, err);
	if (r < 0)
		plan_blame_input(fault, r, &absent);
	return r;
}
