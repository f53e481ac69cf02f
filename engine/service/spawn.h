/*
 * Starting a service process that belongs to nobody: its own session, no descriptor, no working
 * directory and no variable of whoever happened to need it first (it must keep neither a build's
 * pipes open nor a mount busy).
 *
 * Threads: any.
 */
#ifndef GGFS_ENGINE_SERVICE_SPAWN_H
#define GGFS_ENGINE_SERVICE_SPAWN_H

#include "common/error.h"

/* program: the ggfs binary; NULL: $GGFS_BIN, else "ggfs" beside this executable, else on PATH.
 * Returns 0 when a service listens, be it this one or another that was quicker; SPAWN_SILENT when
 * it ended without a word, with err naming it: another was quicker to come and to go, or the
 * program is no service; else why not. */
enum { SPAWN_SILENT = 1 };
int spawn_service(const char *program, const char *store, struct error *err);

#endif
