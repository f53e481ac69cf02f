/*
 * Thunks and manifests as the service has them.
 *
 * Errors: -ENOENT absent from the store, -EBADMSG there but not what was asked for.
 */
#ifndef GGFS_TOOLS_THUNK_SOURCE_H
#define GGFS_TOOLS_THUNK_SOURCE_H

#include "engine/service/client.h"
#include "engine/thunk.h"
#include "tools/target.h"

/* The contents of a blob of at most max bytes, appended to b. */
int fetch_bytes(struct client *c, const struct digest *d, size_t max, struct buf *b,
                struct error *err);
int fetch_thunk(struct client *c, const struct digest *d, struct thunk *out, struct error *err);
int fetch_manifest(struct client *c, const struct digest *d, struct manifest *out,
                   struct error *err);

/* What most verbs begin with: all targets that the operands name (none: the working directory's), and
 * the service of the first one's store. Both are the caller's to release. */
int targets_open(const char *store, int argc, char **argv, struct target_list *list,
                 struct client **out, struct error *err);
/* Replaces targets that are a thunk's digest by one target for each of its outputs. */
int targets_expand(struct client *c, struct target_list *list, struct error *err);

/* Appends a command as a shell would take it. */
void quote_add(struct buf *b, const char *word);
void command_add(struct buf *b, const struct thunk *t);

#endif
