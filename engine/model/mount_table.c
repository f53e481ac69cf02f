#include "engine/model/mount_table.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "engine/model/memory.h"

struct mount_table {
	pthread_mutex_t lock; /* guards mounts */
	struct mount **mounts;
	size_t count, capacity;
	struct memory *memory;
};

struct mount_table *mount_table_new(void)
{
	struct mount_table *t = xcalloc(1, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->memory = memory_new();
	return t;
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
	memory_free(t->memory);
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

bool mount_has(const struct mount *m, const char *path)
{
	return strncmp(path, m->path, m->len) == 0 && (path[m->len] == '/' || path[m->len] == '\0');
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
