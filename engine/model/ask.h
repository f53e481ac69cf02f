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

/* What a file is now: path, device, inode, size, times. A key for what it answered. */
char *ask_fingerprint(const char *path, const struct stat *st);

/* Runs argv (argv[0] the path of an ordinary file in no mount), with input on its standard input;
 * what it says on standard output goes to out, on standard error to said. A status other than 0
 * is -EPROTO. */
int ask_text(struct view *v, const struct strv *argv, const struct buf *input, struct buf *out,
             struct buf *said, struct error *err);

/* What tells this argv of the program as it is now from all others; -EPROTO when the program lies
 * in a mount: running it would open it through the mount. */
int ask_key(struct view *v, const struct strv *argv, char **out, struct error *err);

/* Standard output and error as lines, remembered for as long as the program is the same; env adds
 * NAME=VALUE to the fixed environment; may be NULL. A status other than 0 is -EPROTO. */
int ask_lines(struct view *v, const struct strv *argv, const struct strv *env, struct strv *lines,
              struct error *err);

#endif
