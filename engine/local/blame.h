/*
 * Blame: of the paths that a failed function looked for in vain, those that exist on this
 * machine: so what is missing is their declaration.
 *
 * Threads: any.
 */
#ifndef GGFS_ENGINE_LOCAL_BLAME_H
#define GGFS_ENGINE_LOCAL_BLAME_H

#include "common/buf.h"

/* missing: root-relative, the last looked for last. A clause such as "it tried to read
 * /etc/passwd, which is not among its inputs", naming at most max; NULL when none exists here. */
char *blame_missing(const struct strv *missing, size_t max);

#endif
