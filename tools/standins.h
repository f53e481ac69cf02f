/*
 * The directory of stand-ins: a symbolic link to ggfs-stub for each program on a PATH that has a
 * model. It lies in the store, under a name that follows from what is in it, and stays: a path
 * to one that a configure script wrote down goes on working, as the real tool.
 *
 * Threads and processes: several may make the same one at once.
 */
#ifndef GGFS_TOOLS_STANDINS_H
#define GGFS_TOOLS_STANDINS_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"

struct standins {
	char *directory;      /* of links, one a name */
	char *stub;           /* what they link to */
	bool wrapped;         /* wrappers come before some of them on PATH */
	struct strv programs; /* the real tools they stand for; wrappers such as ccache left out */
};

/* -ENOENT when ggfs-stub is not installed. */
int standins_make(const char *store, const char *path, struct standins *out, struct error *err);
void standins_release(struct standins *s);

#endif
