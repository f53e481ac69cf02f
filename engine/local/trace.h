/*
 * Trace: a failed function is run once more with its look-ups handed here, to find out which
 * files it looked for in vain. It is told nothing and denied nothing: each call goes on as it
 * would.
 *
 * Threads: for the runner, which has one.
 */
#ifndef GGFS_ENGINE_LOCAL_TRACE_H
#define GGFS_ENGINE_LOCAL_TRACE_H

#include "common/buf.h"

struct trace {
	int listener;        /* owned; -1: nothing is traced */
	int root;            /* of the world; owned */
	char *cwd;           /* "" or root-relative */
	struct strv missing; /* root-relative, normal; the last looked for is last */
};

#define TRACE_INIT ((struct trace){ .listener = -1, .root = -1 })

void trace_release(struct trace *t);
/* Answers one call that waits at the listener. Drops the listener when it is at its end. */
void trace_serve(struct trace *t);

#endif
