#include "engine/worker/run_impl.h"

#include <string.h>

#include "common/io.h"
#include "engine/digest_map.h"
#include "objstore/pack.h"

/* --- fetching ----------------------------------------------------------------------------------
 */

/* Blobs that are wanted and not here. */
struct wanted {
	struct sized_blob *blobs;
	size_t count, capacity;
	struct digest_map seen;
	uint64_t bytes;
};

static void wanted_release(struct wanted *w)
{
	free(w->blobs);
	digest_map_release(&w->seen);
}

/* Notes a blob: as used when it is here, as wanted otherwise. */
static void want(const struct run *run, struct wanted *w, const struct digest *d, uint64_t size)
{
	uint64_t actual = 0;
	if (digest_map_put(&w->seen, d, w))
		return;
	if (store_has(cache_store(run->place->cache), d, &actual, NULL) == 0) {
		cache_used(run->place->cache, d, actual);
		return;
	}
	array_grow(w->blobs, w->count, w->capacity);
	w->blobs[w->count++] = (struct sized_blob){ .digest = *d, .size_bytes = size };
	if (size != UINT64_MAX)
		w->bytes += size;
}

/* Of those wanted, the ones that have come by themselves. */
static void drop_what_came(const struct run *run, struct wanted *w)
{
	size_t kept = 0;
	for (size_t i = 0; i < w->count; i++)
		if (store_has(cache_store(run->place->cache), &w->blobs[i].digest, NULL, NULL) < 0)
			w->blobs[kept++] = w->blobs[i];
	w->count = kept;
}

static int64_t fetch_until(const struct run *run)
{
	int64_t deadline = run->place->deadline_ms;
	return deadline ? deadline - WORKER_DEADLINE_MARGIN_MS : 0;
}

/* Which of them is broken: the far store does not say. One after the other, then. */
static void find_broken(struct run *run, const struct wanted *w, struct digest *broken)
{
	struct store *store = cache_store(run->place->cache);
	for (size_t i = 0; i < w->count; i++) {
		struct digest absent;
		*broken = w->blobs[i].digest;
		if (store_has(store, broken, NULL, NULL) == -ENOENT &&
		    fetch_pull(run->place->fetch, &w->blobs[i], 1, fetch_until(run), &absent,
		               NULL) == -EBADMSG)
			return;
	}
}

static int pull(struct run *run, const struct wanted *w)
{
	struct digest absent;
	struct error err = ERROR_INIT;
	struct cache *cache = run->place->cache;
	if (w->count == 0)
		return 0;
	cache_make_room(cache, w->bytes);
	int r = fetch_pull(run->place->fetch, w->blobs, w->count, fetch_until(run), &absent, &err);
	if (r == -ENOSPC || r == -EDQUOT) {
		cache_make_room(cache, UINT64_MAX);
		r = fetch_pull(run->place->fetch, w->blobs, w->count, fetch_until(run), &absent,
		               &err);
	}
	if (r == -EBADMSG)
		find_broken(run, w, &absent);
	for (size_t i = 0; i < w->count; i++) {
		uint64_t size = 0;
		if (store_has(cache_store(cache), &w->blobs[i].digest, &size, NULL) == 0)
			cache_used(cache, &w->blobs[i].digest, size);
	}
	if (r == -ENOENT && run->place->full)
		return run_end(run, OUTCOME_NO_ROOM, "the request's blobs found no room here");
	/* Only an absent or broken blob is the input's fault; all else is the far store's. */
	bool is_input = r == -ENOENT || r == -EBADMSG || r == -ENOSPC || r == -EDQUOT;
	if (r < 0 && !is_input)
		return run_end(run, OUTCOME_LOST, error_text(&err));
	return r < 0 ? run_end_by_code(run, r, &absent, error_text(&err)) : 0;
}

static int pull_one(struct run *run, const struct digest *d, uint64_t size)
{
	struct wanted w = { 0 };
	want(run, &w, d, size);
	int r = pull(run, &w);
	wanted_release(&w);
	return r;
}

/* --- the thunk and what it names ---------------------------------------------------------------
 */

static int load_thunk(struct run *run)
{
	struct error err = ERROR_INIT;
	struct store *store = cache_store(run->place->cache);
	int r = pull_one(run, &run->out->thunk, UINT64_MAX);
	if (r < 0)
		return r;
	r = thunk_load(store, &run->out->thunk, &run->thunk, &err);
	/* Broken here, and not where it comes from? */
	if (r == -EBADMSG && cache_verify(run->place->cache, &run->out->thunk) == -EBADMSG) {
		if (pull_one(run, &run->out->thunk, UINT64_MAX) < 0)
			return -1;
		r = thunk_load(store, &run->out->thunk, &run->thunk, &err);
	}
	if (r == -ENOENT)
		return run_end_by_code(run, r, &run->out->thunk, error_text(&err));
	return r < 0 ? run_end(run, OUTCOME_REFUSED, error_text(&err)) : 0;
}

static int pull_manifests(struct run *run)
{
	struct wanted w = { 0 };
	const struct thunk *t = &run->thunk;
	for (size_t i = 0; i < t->set_count; i++)
		want(run, &w, &t->sets[i].digest, t->sets[i].size_bytes);
	if (t->has_toolchain)
		want(run, &w, &t->toolchain.digest, t->toolchain.size_bytes);
	for (size_t i = 0; i < t->inputs.count; i++) {
		const struct manifest_entry *entry = &t->inputs.entries[i];
		if (entry->kind == ENTRY_FILE && entry->ref.kind == REF_TREE)
			want(run, &w, &entry->ref.digest, entry->ref.size_bytes);
	}
	int r = pull(run, &w);
	wanted_release(&w);
	return r;
}

/* Trees may name further trees: each that is found absent, or broken, is fetched. */
static int make_plan(struct run *run)
{
	const struct planner planner = { .store = cache_store(run->place->cache),
		                         .toolchains = run->place->toolchains };
	for (unsigned i = 0; i < RUN_TREES_MAX; i++) {
		struct plan_fault fault = { 0 };
		struct error err = ERROR_INIT;
		if (job_plan_make(&planner, &run->thunk, &run->plan, &fault, &err) == 0)
			return 0;
		job_plan_release(&run->plan);
		int there = fault.has_absent ? cache_verify(run->place->cache, &fault.absent) : 0;
		if (there != -ENOENT && there != -EBADMSG) {
			run->out->has_absent = fault.has_absent;
			run->out->absent = fault.absent;
			return run_end(run, fault.outcome, error_text(&err));
		}
		if (pull_one(run, &fault.absent, UINT64_MAX) < 0)
			return -1;
	}
	return run_end(run, OUTCOME_REFUSED, "its inputs are too many trees");
}

/* --- the world ---------------------------------------------------------------------------------
 */

/* --- packs --------------------------------------------------------------------------------------
 */

static int unpacked_one(void *arg, const struct digest *d, uint64_t size_bytes)
{
	cache_used(arg, d, size_bytes);
	return 0;
}

/* What is missing of the toolchain comes in one piece, if there is a pack of it. */
static int pull_pack(struct run *run, const struct remote_pack *pack)
{
	struct error err = ERROR_INIT;
	struct cache *cache = run->place->cache;
	struct store *store = cache_store(cache);
	cache_make_room(cache, 2 * pack->size_bytes);
	if (pull_one(run, &pack->pack, pack->size_bytes) < 0)
		return -1;
	int r = pack_unpack(store, &pack->pack, unpacked_one, cache, &err);
	cache_forget(cache, &pack->pack);
	return r < 0 ? run_end_by_code(run, r, &pack->pack, error_text(&err)) : 0;
}

static const struct remote_pack *pack_of_toolchain(const struct run *run)
{
	for (size_t i = 0; run->thunk.has_toolchain && i < run->place->pack_count; i++)
		if (digest_equal(&run->place->packs[i].of, &run->thunk.toolchain.digest))
			return &run->place->packs[i];
	return NULL;
}

/* Whether anything wanted is the toolchain's: that is in the pack and nowhere else. */
static bool wants_of_toolchain(const struct run *run, const struct wanted *w)
{
	struct digest absent;
	const struct toolchain *toolchain;
	struct digest_map missing = DIGEST_MAP_INIT;
	bool found = false;
	if (toolchains_get(run->place->toolchains, &run->thunk.toolchain, false, &toolchain,
	                   &absent, NULL) < 0)
		return false;
	for (size_t i = 0; i < w->count; i++)
		digest_map_put(&missing, &w->blobs[i].digest, &w->blobs[i]);
	const struct manifest *m = &toolchain->manifest;
	for (size_t i = 0; i < m->count && !found; i++)
		found = m->entries[i].kind == ENTRY_FILE &&
		        digest_map_get(&missing, &m->entries[i].ref.digest);
	digest_map_release(&missing);
	toolchains_put(run->place->toolchains, toolchain);
	return found;
}

static int pull_files(struct run *run, const bool *kept)
{
	struct wanted w = { 0 };
	for (size_t i = 0; i < run->plan.job.count; i++) {
		const struct job_entry *entry = &run->plan.job.entries[i];
		struct digest d;
		if (entry->kind == JOB_ENTRY_COPY && !kept[i] && stage_source_digest(entry, &d))
			want(run, &w, &d, entry->size_bytes);
	}
	const struct remote_pack *pack = pack_of_toolchain(run);
	int r = 0;
	if (pack && w.count && !run->unpacked && wants_of_toolchain(run, &w)) {
		run->unpacked = true;
		r = pull_pack(run, pack);
		drop_what_came(run, &w);
	}
	if (r == 0)
		r = pull(run, &w);
	wanted_release(&w);
	return r;
}

/* Whether it is worth another try. */
static bool mend(struct run *run, int code, size_t failed)
{
	struct digest d;
	struct cache *cache = run->place->cache;
	if (code == -ENOSPC || code == -EDQUOT) {
		cache_make_room(cache, UINT64_MAX);
		return true;
	}
	if (failed >= run->plan.job.count ||
	    !stage_source_digest(&run->plan.job.entries[failed], &d))
		return false;
	/* A broken blob is put aside by looking, so that it is fetched again. */
	if (code == -EBADMSG)
		return cache_verify(cache, &d) == -EBADMSG;
	return code == -ENOENT;
}

static int end_unlaid(struct run *run, int code, size_t failed, const char *reason)
{
	struct digest d;
	bool known = failed < run->plan.job.count &&
	             stage_source_digest(&run->plan.job.entries[failed], &d);
	return run_end_by_code(run, code, known ? &d : NULL, reason);
}

static int lay_out(struct run *run)
{
	struct job *job = &run->plan.job;
	struct cache *cache = run->place->cache;
	scoped_free bool *kept = xcalloc(job->count + 1, sizeof(*kept));
	const struct digest *toolchain =
	        run->thunk.has_toolchain ? &run->thunk.toolchain.digest : NULL;
	int store = store_local_dirfd(cache_store(cache));
	for (unsigned i = 1;; i++) {
		struct error err = ERROR_INIT;
		size_t failed = SIZE_MAX;
		int r = cache_stage(cache, toolchain, &run->stage, &err);
		if (r == 0)
			r = stage_clear(run->stage, job->entries, job->count, kept, &err);
		bool cleared = r == 0;
		if (cleared && pull_files(run, kept) < 0)
			return -1;
		if (cleared)
			r = stage_fill(run->stage, store, job->entries, job->count, kept, &failed,
			               &err);
		if (r == 0)
			return 0;
		bool again = mend(run, r, failed);
		if (run->stage && !cleared) {
			cache_drop_stage(cache, run->stage);
			run->stage = NULL;
			again = true;
		}
		if (!again || i == RUN_TRIES_MAX)
			return end_unlaid(run, r, failed, error_text(&err));
	}
}

int run_prepare(struct run *run)
{
	if (load_thunk(run) < 0 || pull_manifests(run) < 0 || make_plan(run) < 0)
		return -1;
	return lay_out(run);
}
