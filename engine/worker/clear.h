/*
 * Clear: removes what a function has left, whatever it has done to it: directories without
 * permission, trees deeper than descriptors go. Follows no link.
 *
 * Private to engine/worker/. Threads: any; one tree by one thread.
 */
#ifndef GGFS_ENGINE_WORKER_CLEAR_H
#define GGFS_ENGINE_WORKER_CLEAR_H

#include "common/error.h"

/* Removes dir's entry name and all beneath it; absent is fine. For directories that lie too deep,
 * names starting with ".deep" in dir are used for a while. 0 or -errno. */
int clear_tree(int dir, const char *name, struct error *err);

#endif
