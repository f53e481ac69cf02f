/*
 * Tasks: calls to be made soon, in order of arrival, by threads of their own. For what may not be
 * done where it arises: answers out of an interrupt's handler, notices to the kernel, work that
 * waits for a disk and would hold up a thread that serves requests.
 *
 * Threads: any. A task runs with no lock held.
 */
#ifndef GGFS_FS_TASKS_H
#define GGFS_FS_TASKS_H

#include "common/error.h"

struct tasks;
typedef void task_fn(void *arg);

/* name is shown as the threads' name (at most 15 characters). */
int tasks_new(const char *name, unsigned threads, struct tasks **out, struct error *err);
void tasks_push(struct tasks *t, task_fn *fn, void *arg);
/* The same TASKS_LATER_MS from now, for what only has to happen if nothing else does first. */
enum { TASKS_LATER_MS = 2000 };
void tasks_push_later(struct tasks *t, task_fn *fn, void *arg);
/* Waits until all that was pushed before has run; not what is for later. Not from a task. */
void tasks_settle(struct tasks *t);
/* Runs what is queued, also what was for later and what that adds; then ends the threads. NULL is
 * fine. */
void tasks_free(struct tasks *t);

#endif
