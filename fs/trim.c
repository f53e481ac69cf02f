#include "fs/trim.h"

#include "common/buf.h"

enum {
	BATCH = 256,
	PASSES_MAX = 4, /* over all inodes: the first only takes marks away */
};

struct victim {
	fuse_ino_t parent;
	char *name;
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
			victims[count++] = (struct victim){ n->parent, xstrdup(n->name) };
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

static void trim_task(void *arg)
{
	struct fs *fs = arg;
	struct victim victims[BATCH];
	size_t walked = 0;
	do {
		size_t count = pick_batch(&fs->table, victims, &walked);
		for (size_t i = 0; i < count; i++) {
			fuse_lowlevel_notify_inval_entry(fs->session, victims[i].parent,
			                                 victims[i].name, strlen(victims[i].name));
			free(victims[i].name);
		}
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
