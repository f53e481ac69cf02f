/*
 * Filter: the system calls that a function does not have. Two seccomp programs: one for all
 * functions, installed once by the launcher and inherited (installing it for each job costs more
 * than starting the function does); and one for a traced function, which hands the looking up of
 * paths to a listener.
 *
 * Threads: for a process with one.
 */
#ifndef GGFS_ENGINE_LOCAL_FILTER_H
#define GGFS_ENGINE_LOCAL_FILTER_H

#include <linux/filter.h>

#include "common/error.h"

/* Needs no_new_privs set. Cannot be undone. */
int filter_install(struct error *err);

/* The program that hands open, stat, execve and their like to a listener; free .filter. */
int filter_trace_program(struct sock_fprog *out, struct error *err);
/* Installs it: the listener's descriptor, or -errno. Async-signal-safe. */
int filter_trace_listen(const struct sock_fprog *program);

#endif
