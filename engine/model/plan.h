/*
 * Plan: what a model makes of one call of a tool. Private to engine/model/.
 *
 * A model is a pure function of a struct call: the argument vector (response files already
 * expanded), the environment, and a read-only look at files. It never opens anything itself,
 * so every model is tested with tables. What costs I/O (headers, libraries, the tool's own
 * files) a plan only asks for; infer.c and its helpers carry it out.
 *
 * Paths in a plan are as the tool would open them: absolute, or relative to the caller's
 * directory, not necessarily normal.
 *
 * Threads: values; one owner at a time.
 */
#ifndef GGFS_ENGINE_MODEL_PLAN_H
#define GGFS_ENGINE_MODEL_PLAN_H

#include <sys/types.h>

#include "common/buf.h"
#include "engine/model/view.h"

enum { PLAN_SMALL_FILE_MAX = 1 << 20, PLAN_ARGS_MAX = 200000, PLAN_OUTPUTS_MAX = 1024 };

/* The files as the caller sees them; paths as in a plan. */
struct files {
	void *arg;
	enum view_kind (*kind)(void *arg, const char *path);
	mode_t (*mode)(void *arg, const char *path); /* permission bits; 0 when absent */
	/* Appends the contents of an ordinary file of at most PLAN_SMALL_FILE_MAX bytes; 0, or
	 * negative when it cannot be had without forcing something. */
	int (*read)(void *arg, const char *path, struct buf *b);
};

struct call {
	const struct strv *argv;
	const struct strv *env;
	const struct files *files;
	const char *tool; /* absolute path of the real program */
};

/* Which parts of a toolchain the function needs beside the program itself. */
enum {
	TOOLS_C = 1 << 0,
	TOOLS_CXX = 1 << 1,
	TOOLS_ASSEMBLE = 1 << 2,
	TOOLS_LINK = 1 << 3,
	TOOLS_LTO = 1 << 5,     /* beside TOOLS_LINK: what it runs when it meets LTO objects */
	TOOLS_PLUGINS = 1 << 4, /* what ar, strip and their like load to look into LTO objects */
};

struct plan_output {
	char *path;
	mode_t mode;
	bool exact_mode; /* mode is final; else the umask is still to be taken off */
};

/* A dependency file, as gcc would write it for one source. */
struct plan_depfile {
	char *path;
	struct strv targets; /* already quoted for make */
	bool user_only;      /* -MMD: no headers of the system */
	bool phony;          /* -MP */
};

struct plan_source {
	char *path;
	unsigned language;        /* enum gcc_language, of a driver's sources */
	bool preprocessed_by_cpp; /* its headers are to be discovered */
	bool assembler;           /* may hold .include and .incbin of the assembler */
	bool has_depfile;
	struct plan_depfile depfile;
};

struct plan {
	bool real; /* not lazy: reason says why */
	char *reason;
	bool copy; /* each output stands for just what the read of the same place stands for */

	struct strv args;           /* the function's argument vector */
	struct strv reads;          /* files that must be there */
	struct strv reads_if_there; /* files the tool looks for */
	struct strv dirs;           /* directories that are to be there if they are here */
	struct plan_output *outputs;
	size_t output_count, output_capacity;
	unsigned tools;

	struct plan_source *sources;
	size_t source_count, source_capacity;
	struct strv discover; /* driver arguments for header discovery, sources not among them */
	struct strv discover_sources; /* the sources with their -x, in order */
	bool discover_text;           /* by preprocessing: see discovery.h */
	bool macro_files;             /* -imacros */
	bool native;                  /* -march=native and its like are to be spelled out */

	bool link;
	struct strv search_dirs;  /* -L, which the driver puts before all else */
	struct strv ld_args;      /* the caller's own part of the linker's arguments, in order */
	struct strv driver_flags; /* what decides the rest of them; empty for ld itself */
	bool direct_ld;           /* ld_args is all there is */
	char *linker;             /* "ld", "ld.gold", ... */

	bool archive_members;  /* archives among reads may be thin: their members too */
	bool if_deterministic; /* lazy only if the tool writes no times and owners by default */
};

#define PLAN_INIT ((struct plan){ 0 })

void model_plan_release(struct plan *p);

static inline void scoped_plan_(struct plan *p)
{
	model_plan_release(p);
}
#define scoped_plan scoped(scoped_plan_)

/* Makes the plan "run it for real"; the first reason stays. */
void plan_real(struct plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct plan_output *plan_add_output(struct plan *p, const char *path, mode_t mode);
struct plan_source *plan_add_source(struct plan *p, const char *path);

typedef void model_fn(const struct call *call, struct plan *out);
model_fn gcc_plan, as_plan, ld_plan, ar_plan, ranlib_plan, strip_plan, objcopy_plan, cp_plan,
        install_plan;

/* The model for a program of this name, or NULL. base (may be NULL) is set to the plain name:
 * "gcc" for x86_64-linux-gnu-gcc-12. */
model_fn *model_find(const char *program_name, const char **base);

/* --- helpers that models share --------------------------------------------------------------- */

/* The value of an environment variable, or NULL. */
const char *env_get(const struct strv *env, const char *name);

/* Replaces each @FILE by the arguments in FILE, as libiberty does; -ENODATA when one cannot be
 * read without forcing it, -E2BIG past PLAN_ARGS_MAX. */
int response_expand(const struct strv *argv, const struct files *files, struct strv *out);

/* The rest of text if it begins with prefix, else NULL. */
const char *after(const char *text, const char *prefix);

/* The last component of a path, borrowed. */
const char *path_base(const char *path);
/* Its directory part with the slash, or "", the caller's to free. */
char *path_dir_prefix(const char *path);

/*
 * The linker's arguments, one after another. Shared by ld and by gcc's -Wl.
 */
enum ld_kind {
	LD_FILE,    /* an object, archive, shared library or script, by path */
	LD_LIBRARY, /* -lNAME; text is NAME (":file" for an exact name) */
	LD_SEARCH_DIR,
	LD_SCRIPT, /* -T and its like: searched for along the search directories as well */
	LD_TEXT,   /* version script, symbol list: a file that names no others */
	LD_STATIC, /* from here on -l looks for archives only */
	LD_DYNAMIC,
	LD_RPATH,
	LD_RPATH_LINK,
	LD_EMULATION,
	LD_OUTPUT,
	LD_MAP,     /* a further output */
	LD_FLAG,    /* nothing that names a file */
	LD_REFUSED, /* not understood, or answers on standard output: text says which */
};

struct ld_arg {
	enum ld_kind kind;
	const char *text; /* borrowed from args */
};

/* Reads the argument at *at and steps past it and its value. */
struct ld_arg ld_next(const struct strv *args, size_t *at);

/* The assembler's option at *at: makes the plan real unless it is understood; include
 * directories go to p->dirs. Steps over a value that is the next argument. */
void as_option_check(struct plan *p, const struct strv *args, size_t *at);

#endif
