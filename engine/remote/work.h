/*
 * Work: a thread for what may block on this disk (reading inputs, storing results) or takes the
 * processor for long (JSON, base64, zstd), so that the net's thread need not. In order, one
 * thing after another. Private to engine/remote/.
 *
 * Threads: work_add from any. What is added is done before work_free returns.
 */
#ifndef GGFS_ENGINE_REMOTE_WORK_H
#define GGFS_ENGINE_REMOTE_WORK_H

#include "common/error.h"

struct work;
typedef void work_fn(void *arg);

/* name: of the thread, at most 15 bytes. */
int work_new(const char *name, struct work **out, struct error *err);
void work_free(struct work *w); /* NULL is fine */
void work_add(struct work *w, work_fn *fn, void *arg);
/* Waits until what was added before is done. Not from the thread itself. */
void work_flush(struct work *w);

#endif
