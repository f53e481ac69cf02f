/*
 * Covering the real tools: in a mount namespace of its own, each modelled tool of PATH is
 * bind-mounted over by the stand-in, so that a build that names /usr/bin/cc outright is inferred
 * like one that asks PATH, and what a configure script writes down is the same path as ever. The
 * directories of the tools are seen, uncovered, below a directory of the store.
 *
 * An ordinary user gets the namespace through a user namespace in which they are themselves; where
 * that is not to be had, infer falls back to stand-ins on PATH.
 *
 * Threads: cover_enter for a process with one thread.
 */
#ifndef GGFS_TOOLS_COVER_H
#define GGFS_TOOLS_COVER_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"

/* Names, in the environment, the directory below which the uncovered tools are. */
#define COVER_DIRECTORY "GGFS_COVER"

/* Enters such a namespace and covers these programs (absolute paths; links are followed) with stub.
 * directory is made; it is empty for everybody outside. On failure the process may be in a
 * namespace of its own already, with nothing covered or everything that was covered so far:
 * only to be called in a child that then gives up. */
int cover_enter(const char *directory, const char *stub, const struct strv *programs,
                struct error *err);

/* Whether cover_enter can work here, tried out in a child. */
bool cover_possible(void);

/* The uncovered file behind a covered one: file's real path below the cover directory; yours to
 * free. NULL when nothing is covered here. Also works in an environment that was emptied. */
char *cover_real(const char *file);

#endif
