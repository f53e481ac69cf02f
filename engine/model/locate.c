#include "engine/model/locate.h"

#include <fcntl.h>

void locator_init(struct locator *l, struct mount_table *table, struct store *store)
{
	*l = (struct locator){ .table = table, .store = store };
	mount_table_snapshot(table, &l->mounts, &l->mount_count);
}

void locator_release(struct locator *l)
{
	for (size_t i = 0; i < l->mount_count; i++)
		mount_unref(l->mounts[i]);
	free(l->mounts);
	mountpoints_free(l->mountpoints, l->mountpoint_count);
}

int locator_check(const struct locator *l, struct error *err)
{
	return l->code < 0 ? error_set(err, l->code, "%s", error_text(&l->why)) : 0;
}

static const struct mount *deepest_mount(const struct locator *l, const char *real)
{
	const struct mount *best = NULL;
	for (size_t i = 0; i < l->mount_count; i++)
		if (mount_has(l->mounts[i], real) && (!best || l->mounts[i]->len > best->len))
			best = l->mounts[i];
	return best;
}

static struct mountpoint *deepest_mountpoint(struct locator *l, const char *real)
{
	struct mountpoint *best = NULL;
	for (size_t i = 0; i < l->mountpoint_count; i++) {
		struct mountpoint *m = &l->mountpoints[i];
		if (path_has(m->path, m->len, real) && (!best || m->len > best->len))
			best = m;
	}
	return best;
}

/* The mountpoint above the path whose mount is ours and not known; or NULL. */
static const struct mountpoint *unknown_mount(struct locator *l, const char *real)
{
	const struct mount *known = deepest_mount(l, real);
	struct mountpoint *m;
	while ((m = deepest_mountpoint(l, real)) && (!known || m->len > known->len)) {
		if (mountpoint_is_of(m, l->store))
			return m;
		struct mountpoint other = *m; /* never ours: not asked again */
		*m = l->mountpoints[--l->mountpoint_count];
		free(other.path);
		free(other.store);
	}
	return NULL;
}

static int list_mountpoints(struct locator *l)
{
	if (l->listed)
		return 0;
	int r = mount_table_mountpoints(l->table, &l->mountpoints, &l->mountpoint_count, &l->why);
	l->listed = r == 0;
	return r;
}

static int await_mount(struct locator *l, const char *mountpoint)
{
	struct mount *m;
	int r = mount_table_await(l->table, mountpoint, &m, &l->why);
	if (r < 0)
		return r;
	l->mounts = xrealloc(l->mounts, (l->mount_count + 1) * sizeof(struct mount *));
	l->mounts[l->mount_count++] = m;
	return 0;
}

int locate(struct locator *l, const char *real, int *fd, const char **rest)
{
	if (l->code == 0)
		l->code = list_mountpoints(l);
	const struct mountpoint *unknown = l->code == 0 ? unknown_mount(l, real) : NULL;
	if (unknown)
		l->code = await_mount(l, unknown->path);
	if (l->code < 0)
		return l->code;
	const struct mount *best = deepest_mount(l, real);
	*fd = best ? best->fd : AT_FDCWD;
	*rest = best ? real + best->len : *real ? real : "/";
	while (best && **rest == '/')
		++*rest;
	return 0;
}
