#include "engine/model/mount_table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mountinfo.h"
#include "engine/model/memory.h"

/* A mount that was missed, and since when. */
struct awaited {
	char *path;
	int64_t since_ms;
	bool told;
};

struct mount_table {
	pthread_mutex_t lock; /* guards mounts, awaited, hurried */
	pthread_cond_t added;
	struct mount **mounts;
	size_t count, capacity;
	struct awaited *awaited;
	size_t awaited_count, awaited_capacity;
	bool hurried; /* nothing is waited for any more */
	char *mountinfo;
	struct memory *memory;
};

struct mount_table *mount_table_of(const char *mountinfo)
{
	struct mount_table *t = xcalloc(1, sizeof(*t));
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->added, &monotonic);
	pthread_condattr_destroy(&monotonic);
	t->mountinfo = xstrdup(mountinfo);
	t->memory = memory_new();
	return t;
}

struct mount_table *mount_table_new(void)
{
	return mount_table_of("/proc/self/mountinfo");
}

void mount_unref(struct mount *m)
{
	if (atomic_fetch_sub(&m->references, 1) > 1)
		return;
	close(m->fd);
	free(m->path);
	free(m);
}

void mount_table_free(struct mount_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		mount_unref(t->mounts[i]);
	free(t->mounts);
	for (size_t i = 0; i < t->awaited_count; i++)
		free(t->awaited[i].path);
	free(t->awaited);
	free(t->mountinfo);
	memory_free(t->memory);
	pthread_cond_destroy(&t->added);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct memory *mount_table_memory(struct mount_table *t)
{
	return t->memory;
}

static struct mount *take_out(struct mount_table *t, const char *mountpoint)
{
	for (size_t i = 0; i < t->count; i++) {
		struct mount *m = t->mounts[i];
		if (strcmp(m->path, mountpoint) != 0)
			continue;
		t->mounts[i] = t->mounts[--t->count];
		return m;
	}
	return NULL;
}

static struct awaited *find_awaited(struct mount_table *t, const char *path)
{
	for (size_t i = 0; i < t->awaited_count; i++)
		if (strcmp(t->awaited[i].path, path) == 0)
			return &t->awaited[i];
	return NULL;
}

static void await_no_more(struct mount_table *t, const char *path)
{
	struct awaited *a = find_awaited(t, path);
	if (!a)
		return;
	free(a->path);
	*a = t->awaited[--t->awaited_count];
}

void mount_table_add(struct mount_table *t, const char *mountpoint, int backing_fd)
{
	assert(mountpoint[0] == '/');
	struct mount *m = xcalloc(1, sizeof(*m));
	m->path = xstrdup(mountpoint);
	m->len = strlen(mountpoint);
	while (m->len > 0 && m->path[m->len - 1] == '/')
		m->path[--m->len] = '\0'; /* "/" is the empty path: a prefix of all */
	m->fd = backing_fd;
	m->references = 1;
	pthread_mutex_lock(&t->lock);
	struct mount *old = take_out(t, m->path);
	array_grow(t->mounts, t->count, t->capacity);
	t->mounts[t->count++] = m;
	await_no_more(t, m->path);
	pthread_cond_broadcast(&t->added);
	pthread_mutex_unlock(&t->lock);
	if (old)
		mount_unref(old);
}

void mount_table_remove(struct mount_table *t, const char *mountpoint)
{
	scoped_free char *path = xstrdup(mountpoint);
	for (size_t len = strlen(path); len > 0 && path[len - 1] == '/';)
		path[--len] = '\0';
	pthread_mutex_lock(&t->lock);
	struct mount *old = take_out(t, path);
	pthread_mutex_unlock(&t->lock);
	if (old)
		mount_unref(old);
}

bool path_has(const char *above, size_t len, const char *path)
{
	return strncmp(path, above, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

bool mount_has(const struct mount *m, const char *path)
{
	return path_has(m->path, m->len, path);
}

bool mount_table_covers(struct mount_table *t, const char *path)
{
	bool covers = false;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->count && !covers; i++)
		covers = mount_has(t->mounts[i], path);
	pthread_mutex_unlock(&t->lock);
	return covers;
}

void mount_table_snapshot(struct mount_table *t, struct mount ***out, size_t *count)
{
	pthread_mutex_lock(&t->lock);
	struct mount **list = xcalloc(t->count, sizeof(struct mount *));
	for (size_t i = 0; i < t->count; i++) {
		list[i] = t->mounts[i];
		atomic_fetch_add(&list[i]->references, 1);
	}
	*count = t->count;
	pthread_mutex_unlock(&t->lock);
	*out = list;
}

/* --- mounts that have not told us yet ----------------------------------------------------------
 */

struct listing {
	struct mountpoint *items;
	size_t count, capacity;
};

static void list_mountpoint(void *arg, struct mountinfo_entry *e)
{
	struct listing *l = arg;
	if (!e->store)
		return;
	array_grow(l->items, l->count, l->capacity);
	struct mountpoint *m = &l->items[l->count++];
	m->store = steal(&e->store);
	m->path = steal(&e->directory);
	m->len = strlen(m->path);
	while (m->len > 0 && m->path[m->len - 1] == '/')
		m->path[--m->len] = '\0';
}

int mount_table_mountpoints(struct mount_table *t, struct mountpoint **out, size_t *count,
                            struct error *err)
{
	struct listing l = { 0 };
	int r = mountinfo_each(t->mountinfo, list_mountpoint, &l, err);
	if (r < 0) {
		mountpoints_free(l.items, l.count);
		return r;
	}
	*out = l.items;
	*count = l.count;
	return 0;
}

bool mountpoint_is_of(const struct mountpoint *m, struct store *store)
{
	struct stat theirs, ours;
	return stat(m->store, &theirs) == 0 && fstat(store_local_dirfd(store), &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

void mountpoints_free(struct mountpoint *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].path);
		free(list[i].store);
	}
	free(list);
}

static struct mount *find_mount(struct mount_table *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->mounts[i]->path, path) == 0)
			return t->mounts[i];
	return NULL;
}

/* Since when it is missed: now, if it was not. */
static int64_t missed_since_ms(struct mount_table *t, const char *path)
{
	struct awaited *a = find_awaited(t, path);
	if (a)
		return a->since_ms;
	while (t->awaited_count >= MOUNT_AWAITED_MAX)
		await_no_more(t, t->awaited[0].path);
	array_grow(t->awaited, t->awaited_count, t->awaited_capacity);
	a = &t->awaited[t->awaited_count++];
	*a = (struct awaited){ .path = xstrdup(path), .since_ms = now_ms() };
	return a->since_ms;
}

static bool tell_missed(struct mount_table *t, const char *path)
{
	struct awaited *a = find_awaited(t, path);
	bool tell = a && !a->told;
	if (a)
		a->told = true;
	return tell;
}

int mount_table_await(struct mount_table *t, const char *mountpoint, struct mount **out,
                      struct error *err)
{
	struct mount *m;
	bool tell = false;
	pthread_mutex_lock(&t->lock);
	while (!(m = find_mount(t, mountpoint)) && !t->hurried) {
		int64_t end_ms = missed_since_ms(t, mountpoint) + MOUNT_AWAIT_MS;
		struct timespec end = { .tv_sec = end_ms / 1000,
			                .tv_nsec = end_ms % 1000 * 1000000 };
		if (pthread_cond_timedwait(&t->added, &t->lock, &end) == ETIMEDOUT) {
			tell = tell_missed(t, mountpoint);
			break;
		}
	}
	if (m)
		atomic_fetch_add(&m->references, 1);
	pthread_mutex_unlock(&t->lock);
	if (tell)
		log_warning("the mount on %s has told nothing of itself: what lies there is not "
		            "looked at",
		            mountpoint);
	if (!m)
		return error_set(err, -ESTALE, "the mount on %s is not known to this service",
		                 mountpoint);
	*out = m;
	return 0;
}

void mount_table_hurry(struct mount_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->hurried = true;
	pthread_cond_broadcast(&t->added);
	pthread_mutex_unlock(&t->lock);
}
