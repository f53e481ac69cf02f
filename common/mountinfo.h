/*
 * What /proc/self/mountinfo says, line by line; nothing here touches a mount.
 *
 * Threads: any.
 */
#ifndef GGFS_COMMON_MOUNTINFO_H
#define GGFS_COMMON_MOUNTINFO_H

#include "common/buf.h"
#include "common/error.h"

enum { MOUNTINFO_BYTES_MAX = 64 << 20 };

struct mountinfo_entry {
	char *directory;
	char *store;  /* NULL: not a mount of ours */
	char *device; /* "MAJOR:MINOR" */
};

void mountinfo_entry_release(struct mountinfo_entry *e);

/* Decodes one line; false when it is malformed. */
bool mountinfo_parse(const char *line, size_t len, struct mountinfo_entry *out);

/* Calls fn for each line of the file that is well formed. Later lines are mounted over earlier
 * ones. */
typedef void mountinfo_fn(void *arg, struct mountinfo_entry *e); /* may take what e owns */
int mountinfo_each(const char *path, mountinfo_fn *fn, void *arg, struct error *err);

#endif
