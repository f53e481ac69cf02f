#include "fs/inode.h"

#include <fcntl.h>

#include "common/buf.h"
#include "fs/file.h"
#include "fs/lazy.h"
#include "fs/passthrough.h"
#include "fs/trim.h"

enum {
	TABLE_BUCKETS_MIN = 1024,
	ROOM_TRIES_MAX = 100,
	LOOKUPS_MAX = 8, /* of a name whose file is exchanged every time */
};

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
	pthread_cond_init(&t->room, NULL);
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
	if (inode->was_fd >= 0)
		close(inode->was_fd);
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
	pthread_cond_destroy(&t->room);
	pthread_mutex_destroy(&t->lock);
}

/* table.lock is held, as for the next three. */
static struct inode *table_find(struct table *t, dev_t dev, ino_t ino)
{
	struct inode *n = t->buckets[bucket_of(t, dev, ino)];
	while (n && (n->dev != dev || n->ino != ino))
		n = n->next;
	return n;
}

static void table_link(struct table *t, struct inode *n)
{
	size_t b = bucket_of(t, n->dev, n->ino);
	n->next = t->buckets[b];
	t->buckets[b] = n;
	t->count++;
}

static struct inode *table_add(struct table *t, int fd, dev_t dev, ino_t ino, mode_t type)
{
	if (t->count >= t->bucket_count)
		table_grow(t);
	struct inode *n = xcalloc(1, sizeof(*n));
	*n = (struct inode){
		.dev = dev, .ino = ino, .refs = 1, .fd = fd, .type = type, .was_fd = -1
	};
	pthread_mutex_init(&n->lock, NULL);
	table_link(t, n);
	return n;
}

/* Takes it out of the list it is in. */
static void table_remove(struct table *t, struct inode *inode)
{
	struct inode **p =
	        inode->detached ? &t->detached : &t->buckets[bucket_of(t, inode->dev, inode->ino)];
	while (*p != inode)
		p = &(*p)->next;
	*p = inode->next;
	if (!inode->detached)
		t->count--;
	trim_made_room(t);
}

/* Takes fd over. Two lookups of one file at once agree here. *fresh: nobody else knows it. */
static struct inode *table_get(struct table *t, int fd, const struct stat *st, bool *fresh)
{
	pthread_mutex_lock(&t->lock);
	struct inode *n = table_find(t, st->st_dev, st->st_ino);
	*fresh = !n;
	if (n)
		n->refs++;
	else
		n = table_add(t, fd, st->st_dev, st->st_ino, st->st_mode & S_IFMT);
	pthread_mutex_unlock(&t->lock);
	if (!*fresh)
		close(fd);
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

static void set_detached(struct table *t, struct inode *inode)
{
	table_remove(t, inode);
	inode->detached = true;
	inode->next = t->detached;
	t->detached = inode;
}

/*
 * A file that has turned out to stand for a directory: gives the inode that is one, in exchange for
 * the hold on inode. To the kernel a file stays a file, so where it may know it as one, that one is
 * parted from it (inode_detach()).
 */
static struct inode *table_directory(struct fs *fs, struct inode *inode)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	if (inode->refs == 1 && !inode->detached) {
		inode->type = S_IFDIR;
		pthread_mutex_unlock(&t->lock);
		return inode;
	}
	if (!inode->detached)
		set_detached(t, inode);
	struct inode *n = table_find(t, inode->dev, inode->ino);
	if (n)
		n->refs++;
	else
		n = table_add(t, fcntl(inode->fd, F_DUPFD_CLOEXEC, 0), inode->dev, inode->ino,
		              S_IFDIR);
	pthread_mutex_unlock(&t->lock);
	inode_put(fs, inode, 1, NULL);
	return n;
}

/* One look at the name; *fresh as in table_get(). */
static int look_up(struct fs *fs, struct inode *parent, const char *name, struct inode **out,
                   struct stat *st, bool *fresh)
{
	scoped_fd int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	*out = table_get(&fs->table, steal_fd(&fd), st, fresh);
	if (!S_ISREG(st->st_mode))
		return 0;
	lazy_detect(fs, *out, st);
	if (lazy_is_tree(*out) && !S_ISDIR((*out)->type)) {
		*out = table_directory(fs, *out);
		lazy_detect(fs, *out, st);
	}
	return 0;
}

/* A placeholder that was opened just before its directory took its place, and taken into the table
 * after that, is not the one to be found by this name. */
static bool was_replaced(const struct inode *parent, const char *name, const struct inode *inode)
{
	struct stat st;
	return fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (st.st_ino != inode->ino || st.st_dev != inode->dev);
}

int inode_lookup(struct fs *fs, struct inode *parent, const char *name, struct inode **out,
                 struct stat *st)
{
	bool fresh = true;
	if (name_is_hidden(fs, parent, name))
		return -ENOENT;
	trim_wait_for_room(fs, false);
	int r = look_up(fs, parent, name, out, st, &fresh);
	for (int i = 0; r == -EMFILE && i < ROOM_TRIES_MAX; i++) {
		trim_if_needed(fs);
		if (!trim_wait_for_room(fs, true))
			break;
		r = look_up(fs, parent, name, out, st, &fresh);
	}
	for (int i = 0; r == 0 && fresh && i < LOOKUPS_MAX && lazy_is_tree(*out) &&
	                was_replaced(parent, name, *out);
	     i++) {
		inode_put(fs, *out, 1, NULL);
		r = look_up(fs, parent, name, out, st, &fresh);
	}
	if (r < 0)
		return r;
	if ((*out)->was_fd >= 0)
		st->st_ino = (*out)->was_ino;
	set_name(fs, *out, parent, name);
	trim_if_needed(fs);
	return 0;
}

void inode_renamed(struct fs *fs, struct inode *parent, const char *name)
{
	struct stat st;
	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	pthread_mutex_lock(&fs->table.lock);
	struct inode *inode = table_find(&fs->table, st.st_dev, st.st_ino);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&fs->table.lock);
	if (!inode)
		return;
	set_name(fs, inode, parent, name);
	inode_put(fs, inode, 1, NULL);
}

void inode_forget_name(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&fs->table.lock);
	scoped_free char *name = inode->name ? xstrdup(inode->name) : NULL;
	fuse_ino_t parent = inode->parent;
	pthread_mutex_unlock(&fs->table.lock);
	if (name)
		fuse_lowlevel_notify_inval_entry(fs->session, parent, name, strlen(name));
}

int inode_from_fd(struct fs *fs, int from, struct inode **out, struct stat *st)
{
	scoped_fd int fd = open(proc_path(from).text, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	bool fresh;
	*out = table_get(&fs->table, steal_fd(&fd), st, &fresh);
	return 0;
}

void inode_hold(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&fs->table.lock);
	inode->refs++;
	pthread_mutex_unlock(&fs->table.lock);
}

void inode_detach(struct fs *fs, struct inode *inode)
{
	struct table *t = &fs->table;
	pthread_mutex_lock(&t->lock);
	if (!inode->detached && inode != &fs->root)
		set_detached(t, inode);
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

int inode_become(struct fs *fs, struct inode *inode, int fd, inode_swap_fn *swap, void *arg)
{
	struct table *t = &fs->table;
	struct stat st;
	scoped_fd int taken = fd;
	scoped_fd int was = fcntl(inode->fd, F_DUPFD_CLOEXEC, 0);
	if (was < 0 || fstat(fd, &st) < 0)
		return -errno;
	pthread_mutex_lock(&t->lock);
	int r = swap(arg);
	/* The number stays, under which others may be about to use it. */
	if (r == 0 && dup3(taken, inode->fd, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0) {
		table_remove(t, inode);
		inode->was_ino = inode->ino;
		inode->was_fd = steal_fd(&was);
		inode->dev = st.st_dev;
		inode->ino = st.st_ino;
		table_link(t, inode);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

int inode_stat(const struct inode *inode, struct stat *st)
{
	if (fstatat(inode->fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (inode->was_fd >= 0)
		st->st_ino = inode->was_ino;
	return 0;
}

int inode_open(const struct inode *inode, int flags)
{
	int fd = open(proc_path(inode->fd).text, (flags & ~(O_NOFOLLOW | O_CREAT)) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
