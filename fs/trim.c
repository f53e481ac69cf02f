#include "fs/trim.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/io.h"

enum {
	BATCH = 256,
	PASSES_MAX = 4, /* over all inodes: the first only takes marks away */
	/* Somebody must be left to hear what the kernel has forgotten. */
	WAITING_MAX = 2,
	WAIT_US = 10000,
	WAIT_BY_NAME_US = 1000,
};

struct victim {
	fuse_ino_t ino, parent;
	char *name;
};

/* FUSE_NOTIFY_PRUNE of Linux 6.18, which libfuse cannot send yet. */
enum { NOTIFY_PRUNE = 9 };
struct notify_prune {
	struct fuse_out_header header;
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
	uint64_t inodes[BATCH];
};

/* Is nobody using it? table.lock is held, which is taken after inode locks: hence no waiting. */
static bool is_idle(struct inode *inode)
{
	if (S_ISDIR(inode->type) || !inode->name || pthread_mutex_trylock(&inode->lock) != 0)
		return false;
	bool idle = inode->opens == 0;
	pthread_mutex_unlock(&inode->lock);
	return idle;
}

/* Picks from one bucket; what was used since is spared, once. table.lock is held. */
static size_t pick(struct inode *bucket, struct victim *victims, size_t count)
{
	for (struct inode *n = bucket; n && count < BATCH; n = n->next) {
		if (!n->used && is_idle(n))
			victims[count++] =
			        (struct victim){ (uintptr_t)n, n->parent, xstrdup(n->name) };
		n->used = false;
	}
	return count;
}

/* The next batch, from where the last ended; *walked counts buckets passed. */
static size_t pick_batch(struct table *t, struct victim *victims, size_t *walked)
{
	size_t count = 0;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->bucket_count && count < BATCH; i++) {
		t->cursor = (t->cursor + 1) % t->bucket_count;
		count = pick(t->buckets[t->cursor], victims, count);
		++*walked;
	}
	pthread_mutex_unlock(&t->lock);
	return count;
}

static bool enough(struct table *t, size_t walked)
{
	pthread_mutex_lock(&t->lock);
	bool done = t->count <= t->limit / 4 * 3 || walked >= PASSES_MAX * t->bucket_count;
	if (done)
		t->trimming = false;
	pthread_mutex_unlock(&t->lock);
	return done;
}

/* False: this kernel does not know the question. A number may be another inode's by now, or
 * nobody's: the kernel only ever forgets what nobody uses. */
static bool ask_by_number(struct fs *fs, const struct victim *victims, size_t count)
{
	struct notify_prune n = { .count = (uint32_t)count };
	for (size_t i = 0; i < count; i++)
		n.inodes[i] = victims[i].ino;
	size_t len = offsetof(struct notify_prune, inodes) + count * sizeof(*n.inodes);
	n.header = (struct fuse_out_header){ .len = (uint32_t)len, .error = NOTIFY_PRUNE };
	return write(fuse_session_fd(fs->session), &n, len) >= 0 || errno != EINVAL;
}

static void ask_by_name(struct fs *fs, const struct victim *victims, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fuse_lowlevel_notify_inval_entry(fs->session, victims[i].parent, victims[i].name,
		                                 strlen(victims[i].name));
}

static void ask(struct fs *fs, const struct victim *victims, size_t count)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	bool by_name = t->asks_by_name;
	pthread_mutex_unlock(&t->lock);
	if (!by_name && ask_by_number(fs, victims, count))
		return;
	pthread_mutex_lock(&t->lock);
	t->asks_by_name = true;
	pthread_mutex_unlock(&t->lock);
	ask_by_name(fs, victims, count);
}

static void trim_task(void *arg)
{
	struct fs *fs = arg;
	struct victim victims[BATCH];
	size_t walked = 0;
	do {
		size_t count = pick_batch(&fs->table, victims, &walked);
		if (count > 0)
			ask(fs, victims, count);
		for (size_t i = 0; i < count; i++)
			free(victims[i].name);
	} while (!enough(&fs->table, walked));
}

void trim_if_needed(struct fs *fs)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	bool needed = t->count > t->limit && !t->trimming;
	if (needed)
		t->trimming = true;
	pthread_mutex_unlock(&t->lock);
	if (needed)
		tasks_push(fs->slow, trim_task, fs);
}

bool trim_wait_for_room(struct fs *fs, bool must)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	bool waits = (must || t->count > t->limit + t->limit / 2) && t->trimming &&
	             t->waiting < WAITING_MAX;
	if (waits) {
		/* Before Linux 6.18 our waiting may be what the kernel waits for. */
		int64_t until_us = now_us() + (t->asks_by_name ? WAIT_BY_NAME_US : WAIT_US);
		struct timespec until = { .tv_sec = until_us / 1000000,
			                  .tv_nsec = until_us % 1000000 * 1000 };
		t->waiting++;
		pthread_cond_clockwait(&t->room, &t->lock, CLOCK_MONOTONIC, &until);
		t->waiting--;
	}
	pthread_mutex_unlock(&t->lock);
	return waits;
}

void trim_made_room(struct table *t)
{
	if (t->waiting > 0)
		pthread_cond_signal(&t->room);
}

bool trim_is_crowded(struct fs *fs)
{
	pthread_mutex_lock(&fs->table.lock);
	bool crowded = fs->table.count > fs->table.limit;
	pthread_mutex_unlock(&fs->table.lock);
	return crowded;
}

size_t trim_limit(size_t descriptors)
{
	return descriptors / 2;
}
