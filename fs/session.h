/* The FUSE session of a mount: the table of operations, what is negotiated, the threads. */
#ifndef GGFS_FS_SESSION_H
#define GGFS_FS_SESSION_H

#include "fs/fs.h"

/* Mounts fs over options->directory. */
int session_mount(struct fs *fs, const char *store, struct error *err);
/* Serves until it is unmounted or a signal ends it; unmounts then. */
int session_serve(struct fs *fs, struct error *err);
void session_free(struct fs *fs); /* NULL session is fine */

#endif
