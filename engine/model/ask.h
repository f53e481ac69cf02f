/*
 * Asking a tool about itself: `gcc -print-prog-name=cc1`, `ld --verbose`. These touch no tree of
 * a user: they run in "/" with an environment of ours, within ASK_MS.
 *
 * Private to engine/model/. Threads: any.
 */
#ifndef GGFS_ENGINE_MODEL_ASK_H
#define GGFS_ENGINE_MODEL_ASK_H

#include "engine/model/view.h"

enum { ASK_MS = 20000, ASK_BYTES_MAX = 4 << 20 };

/* The search path every function has, and every tool that is asked. */
#define TOOL_PATH "/usr/local/bin:/usr/bin:/bin"

/* Runs argv (argv[0] an absolute path); out gets standard output and error together. env adds
 * NAME=VALUE to the fixed environment; may be NULL. The exit status, or -errno. */
int ask_run(const struct strv *argv, const struct strv *env, struct buf *out, struct error *err);

/* What a file is now: path, device, inode, size, times. A key for what it answered. */
char *ask_fingerprint(const char *path, const struct stat *st);

/* As ask_run, remembered for as long as the program is the same; lines of out. A status other
 * than 0 is -EPROTO. */
int ask_lines(struct view *v, const struct strv *argv, const struct strv *env, struct strv *lines,
              struct error *err);

#endif
