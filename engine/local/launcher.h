/*
 * Launcher: the runner's child that starts functions. It is process 1 of the runner's pid
 * namespace, so that whatever a function leaves behind is its child, within reach of one
 * kill(-1), and gone with it. A function is never process 1 itself: signals act on it as anywhere.
 *
 * Without namespaces (weak) it is a child subreaper instead.
 *
 * Threads: a process of its own, with one.
 */
#ifndef GGFS_ENGINE_LOCAL_LAUNCHER_H
#define GGFS_ENGINE_LOCAL_LAUNCHER_H

#include "engine/local/job.h"

enum {
	FUNCTION_PROCESSES_MAX = 4096,
	FUNCTION_FILES_MAX = 1024,
	FUNCTION_MEMORY_FACTOR = 4, /* a thunk's memory is a hint: this many times it is a bound */
};

/* From the launcher, while a traced function starts: carries its listener. */
enum { LAUNCHER_LISTENER = 100 };

struct launcher_options {
	const char *world; /* absolute; what becomes the function's root */
	bool weak;
	int runner_end; /* of control: closed in the launcher, or it would not see the runner's end
	                 */
	int control; /* the launcher's end of a socket pair: JOB_RUN (without entries) and JOB_KILL
	                in, LAUNCHER_LISTENER and JOB_RESULT out */
};

/* Forks it; its stderr, the functions', is RUNNER_STDERR. Returns its pid. */
pid_t launcher_start(const struct launcher_options *options, struct error *err);

#endif
