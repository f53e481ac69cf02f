/*
 * Toolchains: the files of a tool itself, as one set that all its thunks share; and what a
 * compiler driver or linker knows and tells when asked.
 *
 * Private to engine/model/. Threads: any; what was learnt is kept in the mount table's memory.
 * Errors: any; the caller then runs the tool for real.
 */
#ifndef GGFS_ENGINE_MODEL_TOOLCHAIN_H
#define GGFS_ENGINE_MODEL_TOOLCHAIN_H

#include "engine/model/plan.h"
#include "engine/thunk.h"

struct toolchain {
	struct view *v;
	const char *tool;       /* absolute path of the real program */
	const struct strv *env; /* the caller's */
};

/* The set of files for this plan; its blob is in the store. */
int toolchain_set(const struct toolchain *t, const struct plan *p, struct sized_digest *out,
                  struct error *err);

/* The linker's arguments that the driver puts before and behind the caller's. */
int toolchain_link_args(const struct toolchain *t, const struct plan *p, struct strv *before,
                        struct strv *behind, struct error *err);

/* Directories that a linker searches by itself. emulation may be NULL. */
int toolchain_search_dirs(const struct toolchain *t, const char *linker, const char *emulation,
                          struct strv *dirs, struct error *err);

/* Directories that the driver searches for headers by itself, C's and C++'s. */
int toolchain_include_dirs(const struct toolchain *t, struct strv *dirs, struct error *err);

/* The path of the assembler or linker that a driver would run. */
int toolchain_program(const struct toolchain *t, const char *name, char **out, struct error *err);

/* Puts what -march=native and its like mean on this machine in their place. */
int toolchain_spell_native(const struct toolchain *t, const struct strv *args, struct strv *out,
                           struct error *err);

/* Whether ar, ranlib or strip writes no times and owners unless told to. */
int toolchain_is_deterministic(const struct toolchain *t, bool *out, struct error *err);

#endif
