/*
 * For programs that are functions and answer with further thunks (a thunk that "yields").
 *
 * The world of a function has, in its environment, GGFS_THUNK: the path of a file with the
 * text of the thunk being run; and GGFS_YIELD: a directory. A file put there under any name that
 * holds a thunk's canonical text becomes a blob of the store when the function succeeds. An
 * output that is a placeholder (engine/placeholder.h) naming such a thunk, or any other that the
 * store has, makes the output "again a thunk", which the force follows.
 *
 * Links with engine/thunk.c and placeholder.c only: no service, no store.
 */
#ifndef GGFS_ENGINE_YIELD_H
#define GGFS_ENGINE_YIELD_H

#include "engine/thunk.h"

/* The thunk being run, from $GGFS_THUNK. -ENOENT when this is no function's world. */
int yield_self(struct thunk *out, struct error *err);
/* Writes a finished thunk into $GGFS_YIELD; *out is its digest. Twice the same is fine. */
int yield_thunk(const struct thunk *t, struct digest *out, struct error *err);
/* Makes the file at path (relative to the working directory) a placeholder for ref. */
int yield_output(const char *path, const struct ref *ref, struct error *err);

#endif
