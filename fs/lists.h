/* The store's lists of who may force: texts of one line each, to be edited. What they mean stands
 * in fs/policy.h and in each list's own head; adding to them, in fs/mount.h. */
#ifndef GGFS_FS_LISTS_H
#define GGFS_FS_LISTS_H

#define LIST_NOFORCE "noforce"
#define LIST_CGROUPS "cgroups"
#define LIST_ALLOW "allow"

enum { LIST_BYTES_MAX = 1 << 16 };

/* Writes those that are not there, with what is usual. */
void lists_make(int store_fd);

#endif
