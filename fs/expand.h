/*
 * Expanding a lazy directory: a directory takes its placeholder's place in the backing directory.
 * What its manifest lists becomes placeholders in it, and directories and links, all with the time
 * that the placeholder had. Of the bytes of files nothing is fetched.
 *
 * It is made in INTENT_DIRECTORY/tree.INODE and exchanged with the placeholder in one step, so
 * whatever is killed, there is the one or the other. The inode number shown stays what it
 * was for as long as the kernel knows the directory.
 */
#ifndef GGFS_FS_EXPAND_H
#define GGFS_FS_EXPAND_H

#include "fs/fs.h"
#include "objstore/manifest.h"

/* A directory with more than this is unpacked by `ggfs force`, outside of the mount. */
enum { EXPAND_ENTRIES_MAX = 200000, EXPAND_BYTES_MAX = 64 << 20 };

/* The object, which is in the store, is the manifest of the directory that the inode is, and ref
 * what its placeholder says; an in_place_fn. The reason of a failure is remembered. */
int expand(struct fs *fs, struct inode *inode, const struct ref *ref, const struct digest *object);

/* Before serving: true when this name in the intent directory is what a crash left of a directory
 * being made; it is removed then. */
bool expand_drop_half_made(int intents, const char *name);

/* Pure: what stands for an entry of the directory that ref is. A file of a thunk's output is
 * selected from it, so that it can be made again when the store has lost it. */
void expand_entry_ref(const struct ref *directory, const struct manifest_entry *e, struct ref *out);

#endif
