/*
 * Program: what a file is that is to be executed, as the kernel would see it.
 *
 * Private to engine/worker/. Pure but for reading; threads: any.
 */
#ifndef GGFS_ENGINE_WORKER_PROGRAM_H
#define GGFS_ENGINE_WORKER_PROGRAM_H

#include <stdbool.h>

#include "common/error.h"

enum { PROGRAM_TEXT_MAX = 256 };

enum program_kind {
	PROGRAM_STATIC,  /* this machine's, needs no dynamic linker */
	PROGRAM_DYNAMIC, /* interpreter: its dynamic linker, absolute */
	PROGRAM_SCRIPT,  /* interpreter, absolute; argument, or "" */
	PROGRAM_OTHER,   /* the kernel would not execute it, or it is for another machine */
};

struct program {
	enum program_kind kind;
	char interpreter[PROGRAM_TEXT_MAX];
	char argument[PROGRAM_TEXT_MAX];
};

/* From the descriptor's start. 0 or -errno of reading. */
int program_look(int fd, struct program *out);

/* Whether the dynamic linker can be told all on its command line: a glibc of 2.33 or later. */
int program_linker_is_modern(int fd, bool *out);

#endif
