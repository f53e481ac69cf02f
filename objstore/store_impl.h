/* For the backends in this folder that need their own state back from a store. */
#ifndef GGFS_OBJSTORE_STORE_IMPL_H
#define GGFS_OBJSTORE_STORE_IMPL_H

#include "objstore/store.h"

/* The table and the state that store_new() was given; both borrowed. */
const struct store_ops *store_ops_of(const struct store *s, void **impl);

#endif
