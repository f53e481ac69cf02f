/* A kind of store under the contract suite, and how its files are got at behind its back. */
#ifndef GGFS_TESTS_CONTRACT_STORE_BACKEND_H
#define GGFS_TESTS_CONTRACT_STORE_BACKEND_H

#include "objstore/store.h"

struct backend {
	const char *name;
	bool trusted;
	int (*open)(const char *directory, struct store **out, struct error *err);
	/* Where the bytes are; allocated. */
	char *(*object_path)(const char *directory, const struct digest *d);
	char *(*memo_path)(const char *directory, const struct digest *thunk);
};

extern const struct backend local_backend;
extern const struct backend fake_backend;

/* Faults of the fake store, for all that are open; set them back to zero. */
struct fake_faults {
	uint64_t room_bytes;        /* if not 0: a put that grows past it is -ENOSPC */
	void (*after_clone)(int fd); /* if set: reflink works, and this is called when it is done */
};

extern struct fake_faults fake_faults;

#endif
