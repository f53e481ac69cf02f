/*
 * gcc's options, sorted by what a model has to do about them. Private to gcc.c and its table.
 * Threads: pure functions.
 */
#ifndef GGFS_ENGINE_MODEL_GCC_OPTIONS_H
#define GGFS_ENGINE_MODEL_GCC_OPTIONS_H

#include "engine/model/plan.h"

enum gcc_kind {
	GCC_REAL,     /* not understood, or wanted at once */
	GCC_PLAIN,    /* changes the code, names no file */
	GCC_INPUT,    /* not an option */
	GCC_COMPILE,  /* -c */
	GCC_ASSEMBLY, /* -S */
	GCC_OUTPUT,
	GCC_LANGUAGE, /* -x */
	GCC_INCLUDE_DIR,
	GCC_INCLUDE_FILE,
	GCC_MACRO_FILE,  /* -imacros */
	GCC_NATIVE,      /* -march=native */
	GCC_DRIVER_LINK, /* decides the linker's arguments; harmless to a compile */
	GCC_LINKER,      /* value goes to the linker: -Wl, -Xlinker */
	GCC_LINK_OPTION, /* goes to the linker as it is */
	GCC_LINK_DIR,    /* -L */
	GCC_LIBRARY,     /* -l */
	GCC_LINK_SCRIPT, /* -T */
	GCC_FOR_AS,      /* -Wa, -Xassembler */
	GCC_FOR_CPP,     /* -Wp, -Xpreprocessor */
	GCC_MD,
	GCC_MMD,
	GCC_MP,
	GCC_MF,
	GCC_MT,
	GCC_MQ,
};

struct gcc_option {
	enum gcc_kind kind;
	const char *arg;   /* as written */
	const char *value; /* the joined or next argument, when the option takes one; borrowed */
	bool separate;     /* the value was the next argument */
};

/* Reads the option at *at and steps past it and its value. */
struct gcc_option gcc_next(const struct strv *argv, size_t *at);

enum gcc_language {
	LANGUAGE_NONE, /* for the linker */
	LANGUAGE_C,
	LANGUAGE_CXX,
	LANGUAGE_C_PLAIN,
	LANGUAGE_CXX_PLAIN, /* preprocessed already */
	LANGUAGE_ASM,
	LANGUAGE_ASM_CPP,
	LANGUAGE_OTHER, /* not modelled */
};

/* What the driver takes path for; x is the -x in force, or NULL. */
enum gcc_language gcc_language(const char *path, const char *x, bool cxx_driver);
bool gcc_is_preprocessed(enum gcc_language l);

#endif
