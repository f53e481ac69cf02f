/* A kind of store under the contract suite, and how its files are got at behind its back. */
#ifndef GGFS_TESTS_CONTRACT_STORE_BACKEND_H
#define GGFS_TESTS_CONTRACT_STORE_BACKEND_H

#include "objstore/store.h"

struct backend {
	const char *name;
	bool trusted;
	int (*open)(const char *directory, struct store **out, struct error *err);
	/* Replaces the bytes of a blob or memo that is there, behind the store's back. */
	int (*damage_blob)(const char *directory, const struct digest *d, const void *bytes,
	                   size_t len, struct error *err);
	int (*damage_memo)(const char *directory, const struct digest *thunk, const void *bytes,
	                   size_t len, struct error *err);
	const char *(*missing)(void); /* what it needs and is not here, or NULL; may be NULL itself */
	void (*finish)(void);         /* after the last test; may be NULL */
};

extern const struct backend local_backend;
extern const struct backend fake_backend;
extern const struct backend s3_backend;
extern const struct backend near_far_backend; /* local over fake */
extern const struct backend near_s3_backend;  /* local over s3 */

/* Faults of the fake store, for all that are open; set them back to zero. */
struct fake_faults {
	uint64_t room_bytes;        /* if not 0: a put that grows past it is -ENOSPC */
	void (*after_clone)(int fd); /* if set: reflink works, and this is called when it is done */
};

extern struct fake_faults fake_faults;

#endif
