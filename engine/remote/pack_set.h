/*
 * The pack of a toolchain: made once, in near, and remembered there. Private to engine/remote/.
 *
 * Threads: any; blocking.
 */
#ifndef GGFS_ENGINE_REMOTE_PACK_SET_H
#define GGFS_ENGINE_REMOTE_PACK_SET_H

#include "engine/remote/inputs.h"
#include "engine/remote/wire.h"

enum { PACK_SET_BLOBS_MIN = 8 }; /* fewer travel one by one */

/* What to push for the set whose manifest is of and which consists of these blobs: *out is filled
 * in, and blobs become the manifest and the pack; or 1, and all stays as it is, since it is too
 * small a set. anew: the pack is made again even if it is believed to be far. */
int pack_set(struct store *near, struct far *far, const struct digest *of, bool anew,
             struct inputs *blobs, struct remote_pack *out, struct digest *absent,
             struct error *err);
/* It is there now: near needs to keep the pack no longer. */
void pack_set_pushed(struct store *near, const struct remote_pack *pack);

#endif
