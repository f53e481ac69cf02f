/*
 * Work in place: what a lazy file stands for is put into the backing directory, for good. A file
 * that is to be written to gets its object's bytes (copy_up.h); a directory that is looked into
 * gets its entries (expand.h). One does it, on fs->slow; all others who need it wait for that one.
 */
#ifndef GGFS_FS_IN_PLACE_H
#define GGFS_FS_IN_PLACE_H

#include "fs/parked.h"

/* p->object, the file's bytes or the directory's manifest, is in the store. Does the work, or waits
 * for who is at it, then finishes p. May still be interrupted: the work is done all the same. */
void in_place(struct parked *p);

/* If such work on the inode is under way, p waits for it, to be finished with 0 after; else false.
 */
bool in_place_wait(struct parked *p);

#endif
