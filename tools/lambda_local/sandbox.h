/*
 * Sandbox: starts a function's bootstrap where all is as in Lambda: its package read-only at
 * /var/task, the system's programs and libraries read-only, nothing else but a /tmp of its own of
 * bounded size; an ordinary user; no namespaces, chroot or mounts to be had inside; processes that
 * see none but their own and that end with it. It takes mount and process namespaces (as root, or
 * within a user namespace). Where there are none the function sees the machine's files, its package
 * where that was unpacked, and a TMPDIR of its own.
 *
 * Threads: the process that calls must have one only: it forks and goes on working in the child.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_SANDBOX_H
#define GGFS_TOOLS_LAMBDA_LOCAL_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

enum {
	SANDBOX_DESCRIPTORS = 1024,     /* as in Lambda */
	SANDBOX_EXIT_NOT_STARTED = 125, /* bootstrap could not be started; the output says why */
};

struct sandbox_mode {
	bool namespaces;
	bool user_namespace; /* with namespaces: we are not root */
};

struct sandbox_spec {
	struct sandbox_mode mode;
	const char *mount_point; /* an empty directory; may be used by all at once */
	const char *task;        /* the unpacked package */
	const char *opt;         /* NULL: an empty /opt */
	const char *tmp;         /* directory, without namespaces */
	char *const *env;
	unsigned tmp_mib, memory_mib;
	uid_t uid; /* when we are root */
};

struct sandbox_process {
	pid_t pid;  /* 0: none */
	int fd;     /* pidfd: readable when it has ended */
	int output; /* what it prints */
};

/* What can be had here; why not is a sentence, the caller's to free, or NULL. */
struct sandbox_mode sandbox_probe(const char *mount_point, char **why_not);

/* Paths in it: with namespaces /var/task and so on. */
int sandbox_start(const struct sandbox_spec *spec, struct sandbox_process *out, struct error *err);
/* Kills all its processes. They are gone when fd is readable; without namespaces those that it
 * started in other sessions may live on until then. */
void sandbox_kill(struct sandbox_process *p);
/* Waits (blocks until it has ended) and closes. Returns its exit status, or 128 and the signal. */
int sandbox_wait(struct sandbox_process *p);

#endif
