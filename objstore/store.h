/*
 * Store: blobs by digest, and memos by thunk digest.
 *
 * One table of functions, many backends (STYLE: the user's half is above the line, the
 * implementer's below). What backends share stands in store.c, once: hashing while a put
 * streams, verifying what a store that is not this disk's own hands out.
 *
 * Absent is different from broken: -ENOENT means the blob is not there, and only that;
 * -EBADMSG that its bytes do not have its digest; -ENOSPC no room; anything else is the
 * backend's trouble. A blob that is there twice is no error. Objects are read-only.
 *
 * Threads: all functions may be called from any thread on one store.
 */
#ifndef GGFS_OBJSTORE_STORE_H
#define GGFS_OBJSTORE_STORE_H

#include <sys/types.h>

#include "common/buf.h"
#include "objstore/digest.h"
#include "objstore/memo.h"

struct store;
struct store_put; /* a put under way */

/* Closes; NULL is fine. */
void store_free(struct store *s);

/* --- blobs ------------------------------------------------------------------------------- */

/* Streaming put: bytes are hashed as they are written to a temporary object, which finish()
 * renames into place. If expect is given, other bytes are -EBADMSG and nothing is stored. */
int store_put_begin(struct store *s, struct store_put **out, struct error *err);
int store_put_write(struct store_put *p, const void *bytes, size_t len, struct error *err);
/* Ends the put either way: *out is the digest on success. p is gone in any case. */
int store_put_finish(struct store_put *p, const struct digest *expect, struct digest *out,
		     struct error *err);
void store_put_abort(struct store_put *p); /* NULL is fine */

int store_put_bytes(struct store *s, const void *bytes, size_t len, struct digest *out,
		    struct error *err);
/* The whole of a regular file, from offset 0; reflinked where that is safe. The bytes stored are
 * the bytes hashed, also when the file changes meanwhile. size_bytes may be NULL. */
int store_put_fd(struct store *s, int fd, struct digest *out, uint64_t *size_bytes,
		 struct error *err);

/* A read-only descriptor, at offset 0, of the whole blob, the caller's to close; or -errno. */
int store_get(struct store *s, const struct digest *d, struct error *err);
/* Appends the blob's bytes to b; -EFBIG when larger than max. */
int store_get_bytes(struct store *s, const struct digest *d, size_t max, struct buf *b,
		    struct error *err);
/* Others may write in this store's directory: store_get_bytes compares digests from now on, as of a
 * store that is not this disk's own. Before the store is used by several threads. */
void store_distrust(struct store *s);
/* 0 if there, -ENOENT if absent. size_bytes may be NULL. */
int store_has(struct store *s, const struct digest *d, uint64_t *size_bytes, struct error *err);
int store_delete(struct store *s, const struct digest *d, struct error *err); /* -ENOENT absent */
/* Reads the blob and compares: 0, -ENOENT, or -EBADMSG (the broken object is moved aside into
 * the store's quarantine, so that the next put heals it). */
int store_verify(struct store *s, const struct digest *d, struct error *err);

typedef int store_visit_fn(void *arg, const struct digest *d, uint64_t size_bytes);
/* Calls visit for each blob, in no order; a non-zero return ends the walk and is returned. */
int store_iterate(struct store *s, store_visit_fn *visit, void *arg, struct error *err);

/* --- memos: small mutable texts; the last writer wins -------------------------------------- */

int store_memo_put(struct store *s, const struct memo *memo, struct error *err);
int store_memo_get(struct store *s, const struct digest *thunk, struct memo *out,
		   struct error *err); /* -ENOENT absent; -EBADMSG unreadable */
int store_memo_delete(struct store *s, const struct digest *thunk, struct error *err);
int store_memo_iterate(struct store *s, store_visit_fn *visit, void *arg, struct error *err);

/* --- the local directory store ------------------------------------------------------------- */

enum store_sync {
	STORE_SYNC_NONE, /* survives kill -9; after a power loss: fsck */
	STORE_SYNC_DATA, /* fdatasync before each rename */
};

/*
 * Layout (docs/format-store.md): format ("ggfs-store 1"), objects/ab/cd... (mode 0444),
 * memo/ab/cd..., tmp/, quarantine/, service/ (the service's lock, socket, log), index.sqlite.
 *
 * Opens, creating when create is set (directory 0700). Refuses, with -EPERM, a directory owned by
 * somebody else (root may not use another's either) or that others may write in, with -EPROTO one
 * whose format is newer than ours, with -ENOTEMPTY to create in a directory that holds other things.
 * -ENOENT: there is no store there and create is not set.
 * Leftovers in tmp/ of dead processes are removed on open.
 */
int store_open_local(const char *path, bool create, enum store_sync sync, struct store **out,
		     struct error *err);

/* The directory of a local store, for openat(); borrowed. -1 for other kinds. */
int store_local_dirfd(const struct store *s);

/* "objects/ab/cdef...": where a local store keeps a blob, relative to its directory. For those
 * who read objects without opening the store (the mount, a sandbox). */
struct store_object_path {
	char text[sizeof("objects/ab/") + DIGEST_HEX_SIZE];
};
struct store_object_path store_object_path(const struct digest *d);

/* --- for backends ---------------------------------------------------------------------------- */

struct store_ops {
	const char *name; /* "local", "s3" */
	bool trusted; /* this disk's own: what comes out need not be hashed again */
	void (*free)(void *impl);
	/* A temporary object: write appends; commit makes it the blob d; discard drops it. hint: the
	 * d there will be, where that is known; else NULL. */
	int (*put_begin)(void *impl, const struct digest *hint, void **put, struct error *err);
	int (*put_write)(void *put, const void *bytes, size_t len, struct error *err);
	int (*put_commit)(void *put, const struct digest *d, struct error *err); /* ends put */
	void (*put_discard)(void *put); /* ends put */
	/* Clones fd's bytes into the empty temporary object by reflink: 0, or -EOPNOTSUPP. */
	int (*put_clone)(void *put, int fd, struct error *err);
	int (*put_fd)(void *put); /* readable descriptor of the temporary object, borrowed; or -1 */
	int (*get)(void *impl, const struct digest *d, struct error *err);
	int (*has)(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err);
	/* As has, where a put asks whether it may be left out; NULL: has serves. */
	int (*put_has)(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err);
	int (*remove)(void *impl, const struct digest *d, struct error *err);
	int (*quarantine)(void *impl, const struct digest *d, struct error *err);
	int (*iterate)(void *impl, store_visit_fn *visit, void *arg, struct error *err);
	int (*memo_put)(void *impl, const struct digest *thunk, const char *text, size_t len,
			struct error *err);
	int (*memo_get)(void *impl, const struct digest *thunk, struct buf *text, struct error *err);
	int (*memo_remove)(void *impl, const struct digest *thunk, struct error *err);
	int (*memo_iterate)(void *impl, store_visit_fn *visit, void *arg, struct error *err);
};

/* Wraps an implementation; impl is the store's from now on. */
struct store *store_new(const struct store_ops *ops, void *impl);

#endif
