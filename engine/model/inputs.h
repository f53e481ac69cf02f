/*
 * Inputs: what a thunk will read, gathered from the files as seen. Blobs that many thunks share
 * (headers, system libraries) go into a set of their own, so that it is stored once; what is
 * particular, and all that is lazy, goes among the single inputs.
 *
 * Private to engine/model/. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_INPUTS_H
#define GGFS_ENGINE_MODEL_INPUTS_H

#include "engine/model/view_impl.h"

struct inputs {
	struct view *v;
	const char *cwd; /* absolute */
	struct manifest single, shared;
	struct strv seen; /* real paths looked into by those who follow references */
};

void inputs_release(struct inputs *in);

/* Where a path of a plan is: absolute, the caller's to free. */
char *inputs_path(const struct inputs *in, const char *path);

/* Errors as view_input: -ENOENT absent, -EISDIR, -EINVAL. */
int inputs_add_single(struct inputs *in, const char *path, struct error *err);
int inputs_add_shared(struct inputs *in, const char *path, struct error *err);
/* Shared unless it lies in a mount. */
int inputs_add(struct inputs *in, const char *path, struct error *err);
/* The directory, if there is one, must be there for the function too; -ENODATA: it is lazy. */
int inputs_add_dir(struct inputs *in, const char *path, struct error *err);
/* Adds path for the first time? Then true, and it is noted. */
bool inputs_first_look(struct inputs *in, const char *real_path);

#endif
