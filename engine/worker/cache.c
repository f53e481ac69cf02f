#include "engine/worker/cache.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/digest_map.h"
#include "engine/worker/clear.h"

enum { BLOCK_BYTES = 4096 };

struct item {
	struct digest digest;
	uint64_t size_bytes;
	unsigned long used; /* when: the cache's clock */
	struct item *older, *newer;
};

struct kept_stage {
	struct stage *stage; /* NULL: the place is free */
	struct digest toolchain;
	unsigned long used;
};

struct cache {
	char *path;
	int dir, stages_dir, lock;
	struct store *store;
	uint64_t max, blob_bytes;
	struct digest_map items;
	struct item *oldest, *newest;
	struct kept_stage stages[CACHE_STAGES_MAX];
	unsigned long clock, pinned; /* pinned: used at this time or later */
};

/* --- blobs -------------------------------------------------------------------------------------
 */

static void unlink_item(struct cache *c, struct item *item)
{
	*(item->older ? &item->older->newer : &c->oldest) = item->newer;
	*(item->newer ? &item->newer->older : &c->newest) = item->older;
}

static void link_newest(struct cache *c, struct item *item)
{
	item->older = c->newest;
	item->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = item;
	c->newest = item;
}

/* On the disk, where small files take a block each. */
static uint64_t on_disk(uint64_t size_bytes)
{
	return (size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

bool cache_knows(const struct cache *c, const struct digest *d)
{
	return digest_map_get(&c->items, d);
}

void cache_used(struct cache *c, const struct digest *d, uint64_t size_bytes)
{
	struct item *item = digest_map_get(&c->items, d);
	if (item) {
		unlink_item(c, item);
	} else {
		item = xcalloc(1, sizeof(*item));
		item->digest = *d;
		item->size_bytes = on_disk(size_bytes);
		c->blob_bytes += item->size_bytes;
		digest_map_put(&c->items, d, item);
	}
	item->used = ++c->clock;
	link_newest(c, item);
}

static void drop_item(struct cache *c, struct item *item)
{
	store_delete(c->store, &item->digest, NULL);
	unlink_item(c, item);
	digest_map_remove(&c->items, &item->digest);
	c->blob_bytes -= item->size_bytes;
	free(item);
}

void cache_forget(struct cache *c, const struct digest *d)
{
	struct item *item = digest_map_get(&c->items, d);
	if (item)
		drop_item(c, item);
}

int cache_verify(struct cache *c, const struct digest *d)
{
	int r = store_verify(c->store, d, NULL);
	if (r != -EBADMSG)
		return r;
	/* Nobody will look at what was put aside, and it would not count. */
	char aside[sizeof("quarantine/") + DIGEST_HEX_SIZE];
	snprintf(aside, sizeof(aside), "quarantine/%s", digest_hex(d).text);
	unlinkat(store_local_dirfd(c->store), aside, 0);
	log_warning("the cache's blob %s was broken", digest_hex(d).text);
	cache_forget(c, d);
	return r;
}

static int find_blob(void *arg, const struct digest *d, uint64_t size_bytes)
{
	cache_used(arg, d, size_bytes);
	return 0;
}

/* --- room --------------------------------------------------------------------------------------
 */

uint64_t cache_bytes(const struct cache *c)
{
	uint64_t bytes = c->blob_bytes;
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++)
		bytes += c->stages[i].stage ? stage_bytes(c->stages[i].stage) : 0;
	return bytes;
}

static bool is_over(const struct cache *c, uint64_t more)
{
	return more > c->max || cache_bytes(c) > c->max - more;
}

static void drop_stage(struct kept_stage *kept)
{
	stage_free(kept->stage);
	*kept = (struct kept_stage){ 0 };
}

static struct kept_stage *oldest_stage(struct cache *c)
{
	struct kept_stage *oldest = NULL;
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++) {
		struct kept_stage *s = &c->stages[i];
		if (s->stage && s->used < c->pinned && (!oldest || s->used < oldest->used))
			oldest = s;
	}
	return oldest;
}

void cache_make_room(struct cache *c, uint64_t more)
{
	/* Blobs first: those of an unpacked toolchain are needed no more. */
	while (is_over(c, more) && c->oldest && c->oldest->used < c->pinned)
		drop_item(c, c->oldest);
	for (struct kept_stage *s; is_over(c, more) && (s = oldest_stage(c));)
		drop_stage(s);
}

void cache_unpin(struct cache *c)
{
	c->pinned = ++c->clock;
}

int cache_put(struct cache *c, const struct digest *d, const void *bytes, size_t len,
              struct error *err)
{
	struct digest put;
	int r = 0;
	if (digest_map_get(&c->items, d) && cache_verify(c, d) == 0) {
		cache_used(c, d, len);
		return 0;
	}
	cache_make_room(c, len);
	r = store_put_bytes(c->store, bytes, len, &put, err);
	if (r == -ENOSPC || r == -EDQUOT) {
		cache_make_room(c, UINT64_MAX);
		r = store_put_bytes(c->store, bytes, len, &put, err);
	}
	if (r == 0)
		cache_used(c, &put, len);
	return r;
}

/* --- stages ------------------------------------------------------------------------------------
 */

static struct kept_stage *free_place(struct cache *c)
{
	struct kept_stage *oldest = NULL;
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++) {
		if (!c->stages[i].stage)
			return &c->stages[i];
		if (!oldest || c->stages[i].used < oldest->used)
			oldest = &c->stages[i];
	}
	drop_stage(oldest);
	return oldest;
}

int cache_stage(struct cache *c, const struct digest *toolchain, struct stage **out,
                struct error *err)
{
	static const struct digest none;
	const struct digest *d = toolchain ? toolchain : &none;
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++) {
		struct kept_stage *s = &c->stages[i];
		if (s->stage && digest_equal(&s->toolchain, d)) {
			s->used = ++c->clock;
			*out = s->stage;
			return 0;
		}
	}
	struct kept_stage *place = free_place(c);
	char name[16];
	snprintf(name, sizeof(name), "%d", (int)(place - c->stages));
	scoped_free char *path = xformat("%s/w", c->path);
	int r = stage_new(c->stages_dir, path, name, &place->stage, err);
	if (r < 0)
		return r;
	place->toolchain = *d;
	place->used = ++c->clock;
	*out = place->stage;
	return 0;
}

void cache_drop_stage(struct cache *c, struct stage *s)
{
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++)
		if (c->stages[i].stage == s)
			drop_stage(&c->stages[i]);
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int open_dirs(struct cache *c, const char *path, struct error *err)
{
	int r = make_dirs_at(AT_FDCWD, path, 0700, err);
	if (r < 0)
		return r;
	c->path = realpath(path, NULL);
	if (!c->path)
		return error_errno(err, "cannot find %s", path);
	if (strchr(c->path, ':'))
		return error_set(err, -EINVAL, "%s: a cache's path may not have a colon", c->path);
	c->dir = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		return error_errno(err, "cannot open %s", c->path);
	c->lock = openat(c->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock < 0)
		return error_errno(err, "cannot open %s/lock", c->path);
	if (flock(c->lock, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, -EBUSY, "another worker has the cache %s", c->path);
	r = clear_tree(c->dir, "w", err);
	if (r < 0)
		return r;
	if (mkdirat(c->dir, "w", 0700) < 0)
		return error_errno(err, "cannot make %s/w", c->path);
	c->stages_dir = openat(c->dir, "w", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return c->stages_dir < 0 ? error_errno(err, "cannot open %s/w", c->path) : 0;
}

static int open_store(struct cache *c, struct error *err)
{
	scoped_free char *path = xformat("%s/store", c->path);
	int r = store_open_local(path, true, STORE_SYNC_NONE, &c->store, err);
	if (r < 0)
		return r;
	store_distrust(c->store);
	return store_iterate(c->store, find_blob, c, err);
}

int cache_new(const char *path, uint64_t max, struct cache **out, struct error *err)
{
	struct cache *c = xcalloc(1, sizeof(*c));
	struct statvfs st;
	c->dir = c->stages_dir = c->lock = -1;
	c->max = max;
	int r = open_dirs(c, path, err);
	if (r == 0 && max == 0) {
		if (fstatvfs(c->dir, &st) < 0)
			r = error_errno(err, "cannot tell the size of %s", path);
		else
			c->max = (uint64_t)st.f_blocks * st.f_frsize / 4 * 3;
	}
	if (r == 0)
		r = open_store(c, err);
	if (r < 0) {
		cache_free(c);
		return r;
	}
	cache_unpin(c);
	*out = c;
	return 0;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CACHE_STAGES_MAX; i++)
		drop_stage(&c->stages[i]);
	while (c->oldest) {
		struct item *item = c->oldest;
		c->oldest = item->newer;
		free(item);
	}
	digest_map_release(&c->items);
	store_free(c->store);
	if (c->stages_dir >= 0)
		close(c->stages_dir);
	if (c->dir >= 0)
		close(c->dir);
	if (c->lock >= 0)
		close(c->lock);
	free(c->path);
	free(c);
}

struct store *cache_store(struct cache *c)
{
	return c->store;
}
