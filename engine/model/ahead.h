/*
 * Ahead: what a call that runs for real is about to read of lazy files. A tool opens one after
 * another, and each open would make one file; opened together they are made in parallel.
 *
 * It is about time only: what is left out the tool opens itself, and what is named and not read
 * is made a little earlier than it would have been.
 *
 * Private to engine/model/. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_AHEAD_H
#define GGFS_ENGINE_MODEL_AHEAD_H

#include "engine/model/inputs.h"

/* Appends the absolute paths of the lazy files that argv, response files expanded, names to be
 * read; nothing if that is only one. */
void ahead_list(const struct inputs *in, const char *tool, const struct strv *argv,
                struct strv *out);

#endif
