/* Healing: what a crashed mount process left on a directory is taken away before it is mounted
 * anew.
 */
#ifndef GGFS_FS_HEAL_H
#define GGFS_FS_HEAL_H

#include "common/error.h"

/* 0: nothing of ours is mounted on directory any more, and what others mounted there is untouched.
 * -EBUSY: a live ggfs has it, or one that does not answer. */
int heal(const char *directory, struct error *err);

#endif
