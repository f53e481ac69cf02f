/*
 * `ggfs-force PLACEHOLDER [ARGUMENT]...`: what the first line of every placeholder calls. Forces
 * it and runs the result in its place, with the same arguments and standing as it.
 */
#ifndef GGFS_TOOLS_RUN_PLACEHOLDER_H
#define GGFS_TOOLS_RUN_PLACEHOLDER_H

/* Returns only on failure: 2 wrong usage, 126 it could not be made or run. */
int run_placeholder(int argc, char **argv);

#endif
