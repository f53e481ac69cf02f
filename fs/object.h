/* Objects of the local store, as the mount reads them: by path, without the store's own code. */
#ifndef GGFS_FS_OBJECT_H
#define GGFS_FS_OBJECT_H

#include "fs/fs.h"

/* A read-only descriptor of the blob; -ENOENT when the store has it not. */
int object_open(struct fs *fs, const struct digest *d);
int object_stat(struct fs *fs, const struct digest *d, struct stat *st);

#endif
