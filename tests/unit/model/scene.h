/* A store, an index, a mount table and a directory that counts as mounted. */
#ifndef GGFS_TESTS_UNIT_MODEL_SCENE_H
#define GGFS_TESTS_UNIT_MODEL_SCENE_H

#include <string.h>

#include "engine/model/infer.h"
#include "engine/placeholder.h"
#include "engine/thunk.h"
#include "tests/lib/test.h"

struct scene {
	char *top;     /* real path */
	char *tree;    /* the mountpoint: nothing is ever there */
	char *backing; /* where its files are */
	struct store *store;
	struct index *index;
	struct mount_table *mounts;
};

/* The mountpoint and its backing directory are two places, so that whoever looks at the mountpoint
 * itself finds nothing. */
static inline void scene_begin(struct scene *s)
{
	struct error err = ERROR_INIT;
	scoped_free char *made = test_directory();
	s->top = realpath(made, NULL);
	s->tree = xformat("%s/tree", s->top);
	s->backing = xformat("%s/backing", s->top);
	scoped_free char *store = xformat("%s/store", s->top);
	assert_ok(make_dirs_at(AT_FDCWD, s->tree, 0755, &err));
	assert_ok(make_dirs_at(AT_FDCWD, s->backing, 0755, &err));
	assert_ok(store_open_local(store, true, STORE_SYNC_NONE, &s->store, &err));
	assert_ok(index_open(s->store, &s->index, NULL, &err));
	s->mounts = mount_table_new();
	mount_table_add(s->mounts, s->tree, open(s->backing, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static inline void scene_end(struct scene *s)
{
	mount_table_free(s->mounts);
	index_free(s->index);
	store_free(s->store);
	free(s->tree);
	free(s->backing);
	test_directory_remove(s->top);
}

static inline void scene_file(struct scene *s, const char *path, const void *bytes, size_t len)
{
	struct error err = ERROR_INIT;
	scoped_free char *full = xformat("%s/%s", s->backing, path);
	scoped_free char *dir = xstrndup(full, (size_t)(strrchr(full, '/') - full));
	assert_ok(make_dirs_at(AT_FDCWD, dir, 0755, &err));
	assert_ok(replace_file_at(AT_FDCWD, full, bytes, len, 0644, &err));
}

static inline void scene_text(struct scene *s, const char *path, const char *text)
{
	scene_file(s, path, text, strlen(text));
}

static inline void scene_link(struct scene *s, const char *path, const char *target)
{
	scoped_free char *full = xformat("%s/%s", s->backing, path);
	assert_int_equal(symlink(target, full), 0);
}

static inline void scene_lazy(struct scene *s, const char *path, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	char bytes[PLACEHOLDER_SIZE];
	assert_ok(placeholder_encode(ref, bytes, &err));
	scene_file(s, path, bytes, sizeof(bytes));
}

static inline char *in_tree(const struct scene *s, const char *path)
{
	return xformat("%s/%s", s->tree, path);
}

#endif
