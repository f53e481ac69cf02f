/*
 * Pack: many blobs as one, itself a blob (docs/format-pack.md), so that who needs all of them asks
 * for one. The same blobs give the same pack. Compression is the far store's affair.
 *
 * Threads: any; blocking. Errors: as store.h; -EBADMSG: the bytes are no pack, or a blob in it
 * has another digest.
 */
#ifndef GGFS_OBJSTORE_PACK_H
#define GGFS_OBJSTORE_PACK_H

#include "objstore/store.h"

enum { PACK_BLOBS_MAX = 1000000 };

/* Makes the pack of these blobs, which the store must have; sorts them, drops twins. absent says
 * which one was missing, for -ENOENT. */
int pack_make(struct store *s, struct digest *blobs, size_t count, struct digest *out,
              uint64_t *size_bytes, struct digest *absent, struct error *err);

/* Puts all blobs of the pack into the store; put (may be NULL) is called for each. */
int pack_unpack(struct store *s, const struct digest *pack, store_visit_fn *put, void *arg,
                struct error *err);

#endif
