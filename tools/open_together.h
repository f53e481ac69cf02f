/*
 * Opens files for reading, many at once, and closes them: those that are lazy in a mount are made
 * in parallel, by its rules for whoever reads. Returns when all were tried, or with the first that
 * cannot be opened when those under way are done; the tool that comes next says what is wrong.
 */
#ifndef GGFS_TOOLS_OPEN_TOGETHER_H
#define GGFS_TOOLS_OPEN_TOGETHER_H

#include "common/buf.h"

void open_together(const struct strv *paths);

#endif
