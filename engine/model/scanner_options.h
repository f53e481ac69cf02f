/*
 * What a compile's options mean to the scanner. Private to the scanner. Threads: pure functions.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_OPTIONS_H
#define GGFS_ENGINE_MODEL_SCANNER_OPTIONS_H

#include "engine/model/plan.h"

struct scanner_options {
	struct strv flags;                             /* that predefined macros may hang on */
	struct buf macros;                             /* -D and -U, as directives */
	struct strv includes;                          /* -include */
	struct strv macro_files;                       /* -imacros */
	struct strv quote, bracket, system, after_all; /* directories */
	bool no_canonical;                             /* -fno-canonical-system-headers */
	bool no_standard;                              /* -nostdinc */
};

void scanner_options_release(struct scanner_options *o);

/* From a plan's arguments for discovery and the environment. -ENODATA when one of them is none of
 * the scanner's. */
int scanner_options_read(const struct strv *discover, const struct strv *env, bool cxx,
                         struct scanner_options *out, struct error *err);

#endif
