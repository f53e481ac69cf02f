/* The local directory store, for the two files that make it. */
#ifndef GGFS_OBJSTORE_LOCAL_H
#define GGFS_OBJSTORE_LOCAL_H

#include "objstore/store.h"

struct local {
	int dirfd;
	enum store_sync sync;
};

extern const struct store_ops local_store_ops;

#endif
