/*
 * Which placeholders stand for directories. A tree's ref says so itself. Of a thunk's output the
 * thunk's text says so, which the store has; nothing is forced, and nobody is asked. What
 * turns out to be a directory only when it is forced (a selection, an answer of another kind than
 * was declared, a text that was not here) is remembered until the mount ends.
 */
#ifndef GGFS_FS_TREE_H
#define GGFS_FS_TREE_H

#include "fs/fs.h"

bool tree_is(struct fs *fs, const struct ref *ref);
/* ref is one, as its result has shown. */
void tree_remember(struct fs *fs, const struct ref *ref);

/* Is the regular file name in dirfd, of which nothing is known, a placeholder for a directory? For
 * listings that tell only types. */
bool tree_is_name(struct fs *fs, int dirfd, const char *name);

/* Turns the attributes of the placeholder into those of the directory that it stands for. */
void tree_present(struct stat *st);

/* Pure: has a thunk's text (len bytes) a directory output of this name? */
bool tree_is_output(const char *text, size_t len, const char *output);

#endif
