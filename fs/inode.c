#include "fs/inode.h"

#include <fcntl.h>

#include "common/buf.h"
#include "fs/file.h"
#include "fs/lazy.h"
#include "fs/passthrough.h"
#include "fs/trim.h"

enum { TABLE_BUCKETS_MIN = 1024 };

struct proc_path proc_path(int fd)
{
	struct proc_path p;
	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}

static size_t bucket_of(const struct table *t, dev_t dev, ino_t ino)
{
	uint64_t h = ((uint64_t)ino ^ ((uint64_t)dev << 40)) * 0x9e3779b97f4a7c15u;
	return (h >> 32) & (t->bucket_count - 1);
}

int table_init(struct table *t)
{
	t->bucket_count = TABLE_BUCKETS_MIN;
	t->buckets = xcalloc(t->bucket_count, sizeof(struct inode *));
	t->count = 0;
	return -pthread_mutex_init(&t->lock, NULL);
}

static void table_grow(struct table *t)
{
	struct table bigger = { .bucket_count = 2 * t->bucket_count };
	bigger.buckets = xcalloc(bigger.bucket_count, sizeof(struct inode *));
	for (size_t i = 0; i < t->bucket_count; i++) {
		struct inode *next;
		for (struct inode *n = t->buckets[i]; n; n = next) {
			next = n->next;
			size_t b = bucket_of(&bigger, n->dev, n->ino);
			n->next = bigger.buckets[b];
			bigger.buckets[b] = n;
		}
	}
	free(t->buckets);
	t->buckets = bigger.buckets;
	t->bucket_count = bigger.bucket_count;
}

static void inode_free(struct inode *inode)
{
	/* Unmounting may be quicker than the last releases. */
	while (inode->files)
		file_free(inode->files);
	close(inode->fd);
	lazy_free(inode->lazy);
	free(inode->name);
	pthread_mutex_destroy(&inode->lock);
	free(inode);
}

static void free_all(struct inode *n)
{
	for (struct inode *next; n; n = next) {
		next = n->next;
		inode_free(n);
	}
}

void table_release(struct fs *fs)
{
	struct table *t = &fs->table;
	for (size_t i = 0; i < t->bucket_count; i++)
		free_all(t->buckets[i]);
	free_all(t->detached);
	free(t->buckets);
	pthread_mutex_destroy(&t->lock);
}

/* Takes fd over. Two lookups of one file at once agree here. */
static struct inode *table_get(struct table *t, int fd, const struct stat *st)
{
	pthread_mutex_lock(&t->lock);
	struct inode *n = t->buckets[bucket_of(t, st->st_dev, st->st_ino)];
	while (n && (n->dev != st->st_dev || n->ino != st->st_ino))
		n = n->next;
	if (n) {
		n->refs++;
		pthread_mutex_unlock(&t->lock);
		close(fd);
		return n;
	}
	if (t->count >= t->bucket_count)
		table_grow(t);
	n = xcalloc(1, sizeof(*n));
	*n = (struct inode){ .dev = st->st_dev,
		             .ino = st->st_ino,
		             .refs = 1,
		             .fd = fd,
		             .type = st->st_mode & S_IFMT };
	pthread_mutex_init(&n->lock, NULL);
	size_t b = bucket_of(t, st->st_dev, st->st_ino);
	n->next = t->buckets[b];
	t->buckets[b] = n;
	t->count++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

bool name_is_hidden(struct fs *fs, const struct inode *parent, const char *name)
{
	return parent == &fs->root && strcmp(name, INTENT_DIRECTORY) == 0;
}

/* Remembers by which name it was found last. */
static void set_name(struct fs *fs, struct inode *inode, struct inode *parent, const char *name)
{
	pthread_mutex_lock(&fs->table.lock);
	inode->used = true;
	inode->parent = ino_of(fs, parent);
	if (!inode->name || strcmp(inode->name, name) != 0) {
		free(inode->name);
		inode->name = xstrdup(name);
	}
	pthread_mutex_unlock(&fs->table.lock);
}

int inode_lookup(struct fs *fs, struct inode *parent, const char *name, struct inode **out,
                 struct stat *st)
{
	if (name_is_hidden(fs, parent, name))
		return -ENOENT;
	scoped_fd int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	*out = table_get(&fs->table, steal_fd(&fd), st);
	set_name(fs, *out, parent, name);
	trim_if_needed(fs);
	return 0;
}

int inode_from_fd(struct fs *fs, int from, struct inode **out, struct stat *st)
{
	scoped_fd int fd = open(proc_path(from).text, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	*out = table_get(&fs->table, steal_fd(&fd), st);
	return 0;
}

void inode_hold(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&fs->table.lock);
	inode->refs++;
	pthread_mutex_unlock(&fs->table.lock);
}

/* Takes it out of the list it is in; table.lock is held. */
static void table_remove(struct table *t, struct inode *inode)
{
	struct inode **p =
	        inode->detached ? &t->detached : &t->buckets[bucket_of(t, inode->dev, inode->ino)];
	while (*p != inode)
		p = &(*p)->next;
	*p = inode->next;
	if (!inode->detached)
		t->count--;
}

void inode_detach(struct fs *fs, struct inode *inode)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	if (!inode->detached && inode != &fs->root) {
		table_remove(t, inode);
		inode->detached = true;
		inode->next = t->detached;
		t->detached = inode;
	}
	pthread_mutex_unlock(&t->lock);
}

bool inode_is_detached(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&fs->table.lock);
	bool detached = inode->detached;
	pthread_mutex_unlock(&fs->table.lock);
	return detached;
}

void inode_put(struct fs *fs, struct inode *inode, uint64_t count, fuse_req_t req)
{
	if (inode == &fs->root)
		return;
	pthread_mutex_lock(&fs->table.lock);
	inode->refs -= count;
	bool last = inode->refs == 0;
	if (last)
		table_remove(&fs->table, inode);
	pthread_mutex_unlock(&fs->table.lock);
	if (!last)
		return;
	if (req)
		passthrough_drop(req, inode);
	inode_free(inode);
}

int inode_stat(const struct inode *inode, struct stat *st)
{
	return fstatat(inode->fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int inode_open(const struct inode *inode, int flags)
{
	int fd = open(proc_path(inode->fd).text, (flags & ~(O_NOFOLLOW | O_CREAT)) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
