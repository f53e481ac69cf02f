/*
 * Real tools: which program a stand-in stands for, and PATH without stand-ins. A stand-in is known
 * by what it is (this executable, or one named ggfs-stub), not by where it lies: so one whose
 * path was written into a Makefile finds the real tool as well. Of a tool that a stand-in covers
 * (cover.h) the model gets the path, and the uncovered file is run.
 *
 * Threads: pure but for looking at files.
 */
#ifndef GGFS_TOOLS_REAL_TOOL_H
#define GGFS_TOOLS_REAL_TOOL_H

#include <stdbool.h>

#include "common/buf.h"

struct real_tool {
	char *run;   /* what runs for real: a wrapper such as ccache, if one comes first; or NULL */
	char *model; /* the tool itself, behind wrappers */
};

void real_tool_find(const char *name, const char *path, struct real_tool *out);
/* For a program that was called as argv0: a covered tool named by its path is that very tool; for
 * the rest its name is looked up. */
void real_tool_of_call(const char *argv0, const char *path, struct real_tool *out);
void real_tool_release(struct real_tool *t);

/* PATH without the directories whose `name` is a stand-in, and without `skip` (may be NULL). */
char *real_tool_path(const char *path, const char *name, const char *skip);

/* Whether the file is a stand-in: a link to one, or a real tool that one covers (cover.h). */
bool real_tool_is_standin(const char *file);

/* Whether it lies in a directory of stand-ins, rather than over a real tool. */
bool real_tool_is_link(const char *file);

/* Whether the file is ccache or the like: a program that runs the compiler of its own name which
 * comes later on PATH. */
bool real_tool_is_wrapper(const char *file);

#endif
