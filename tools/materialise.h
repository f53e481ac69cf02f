/*
 * Materialise: outside a mount, a placeholder that was forced becomes the real file, or the
 * real directory. The replacement is atomic (temporary beside it, then rename); a file keeps its
 * mode, time of change and, for root, its owner.
 *
 * Errors: -ENOENT the blob is gone from the store; -EEXIST path changed meanwhile.
 */
#ifndef GGFS_TOOLS_MATERIALISE_H
#define GGFS_TOOLS_MATERIALISE_H

#include "engine/service/client.h"
#include "tools/target.h"

/* ref is a blob or a tree. Files of a tree that are themselves unmade become placeholders. */
int materialise(struct client *c, const struct target *t, const struct ref *ref, struct error *err);

#endif
