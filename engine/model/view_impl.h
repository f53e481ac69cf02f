/*
 * What the rest of engine/model/ needs of a view beyond view.h. Private to engine/model/.
 */
#ifndef GGFS_ENGINE_MODEL_VIEW_IMPL_H
#define GGFS_ENGINE_MODEL_VIEW_IMPL_H

#include "engine/model/memory.h"
#include "engine/model/view.h"

struct memory *view_memory(struct view *v);
struct store *view_store(struct view *v);
struct mount_table *view_mounts(struct view *v);

/* Whether any look was answered with -ENODATA: what was found elsewhere may not be what is meant.
 */
bool view_passed_unmade(const struct view *v);

/* lstat of a path that has no symbolic link before its last component; 0 or -errno. */
int view_lstat(struct view *v, const char *real_path, struct stat *st);

/* Appends the contents of an ordinary file; -ENODATA when lazy, -EFBIG past max. */
int view_read(struct view *v, const char *path, size_t max, struct buf *b, struct error *err);

/* The blob of an ordinary file that view_look found; its bytes are then in the store. */
int view_blob(struct view *v, const struct view_file *f, struct ref *out, struct error *err);

/* view_input for a file that was looked at already. */
int view_input_file(struct view *v, const struct view_file *f, struct manifest *into,
                    struct error *err);

#endif
