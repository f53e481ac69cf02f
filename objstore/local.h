/* The local directory store, for the three files that make it. */
#ifndef GGFS_OBJSTORE_LOCAL_H
#define GGFS_OBJSTORE_LOCAL_H

#include <stdatomic.h>

#include "objstore/store.h"

struct local {
	int dirfd;
	enum store_sync sync;
	/* Found out, and only ever set: */
	atomic_bool named;    /* this filesystem has no unnamed files: temporary ones have names */
	atomic_bool via_proc; /* this kernel lets us name an unnamed file only through /proc */
};

extern const struct store_ops local_store_ops;

struct local_path {
	char text[sizeof("objects/ab/") + DIGEST_HEX_SIZE];
};

/* "KIND/ab/cdef...": two levels, so that no directory grows too large to list. */
struct local_path local_path(const char *kind, const struct digest *d);

/* errno as an error. ENOENT is the store's trouble here (its directory went away), and must not
 * be taken for an absent blob. */
int local_trouble(struct error *err, const char *doing, const char *path);

/* Of the table of functions (objstore/store.h), in local_put.c. */
int local_put_begin(void *impl, const struct digest *hint, void **out, struct error *err);
int local_put_write(void *impl, const void *bytes, size_t len, struct error *err);
int local_put_commit(void *impl, const struct digest *d, struct error *err);
void local_put_discard(void *impl);
int local_put_clone(void *impl, int fd, struct error *err);
int local_put_fd(void *impl);
int local_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
                   struct error *err);

#endif
