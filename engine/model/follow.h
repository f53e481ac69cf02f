/*
 * Following: files that name further files which a linker or archiver opens: thin archives,
 * linker scripts, shared libraries. Private to engine/model/. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_FOLLOW_H
#define GGFS_ENGINE_MODEL_FOLLOW_H

#include "engine/model/inputs.h"
#include "engine/model/plan.h"
#include "engine/model/toolchain.h"

enum {
	THIN_BYTES_MAX = 64 << 20,
	THIN_DEPTH_MAX = 64,
	SCRIPT_BYTES_MAX = 16 << 20,
	LINK_FOLLOW_MAX = 100
};

/* Adds the members of an archive at path (absolute; looked at: f) when it is a thin one, lazy
 * or not. -ENODATA when that cannot be told. */
int archive_follow(struct inputs *in, const struct view_file *f, struct error *err);

/* Whether a lazy file was made under an object's name: it names no further files. */
bool follow_is_object(const struct view_file *f);

/* Adds all that the plan's link reads beside what the plan lists. */
int link_follow(struct inputs *in, const struct toolchain *t, const struct plan *p,
                struct error *err);

#endif
