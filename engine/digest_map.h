/*
 * Digest map: digests to pointers, open addressing. The digests are hashes already, so their
 * first bytes are the hash.
 *
 * The values are the caller's. Threads: one owner at a time.
 */
#ifndef GGFS_ENGINE_DIGEST_MAP_H
#define GGFS_ENGINE_DIGEST_MAP_H

#include "objstore/digest.h"

struct digest_map_slot {
	struct digest key;
	void *value; /* NULL: the slot is free */
};

struct digest_map {
	struct digest_map_slot *slots;
	size_t count;
	size_t capacity; /* 0 or a power of two */
};

#define DIGEST_MAP_INIT ((struct digest_map){ 0 })

void digest_map_release(struct digest_map *m);
/* value may not be NULL. Returns the value it replaces, or NULL. */
void *digest_map_put(struct digest_map *m, const struct digest *key, void *value);
void *digest_map_get(const struct digest_map *m, const struct digest *key); /* or NULL */
void *digest_map_remove(struct digest_map *m, const struct digest *key);    /* or NULL */
/* The next value at or after *position, which starts at 0; NULL at the end. The map may not be
 * changed meanwhile. */
void *digest_map_next(const struct digest_map *m, size_t *position);

#endif
