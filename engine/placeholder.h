/*
 * Placeholder: the small text file that stands for a lazy file in a backing directory
 * (docs/format-placeholder.md). Exactly PLACEHOLDER_SIZE bytes, an uncommon size, so that only
 * files of just that size are ever looked into:
 *
 *     #!/usr/bin/env ggfs-force
 *     ggfs-placeholder 1
 *     REF                        as in objstore/ref.h
 *     (spaces up to the size, the last byte a newline)
 *
 * Threads: pure functions.
 */
#ifndef GGFS_ENGINE_PLACEHOLDER_H
#define GGFS_ENGINE_PLACEHOLDER_H

#include <sys/stat.h>

#include "objstore/ref.h"

enum { PLACEHOLDER_SIZE = 2029 };
#define PLACEHOLDER_FIRST_LINE "#!/usr/bin/env ggfs-force\n"

/* -ENAMETOOLONG when the ref does not fit; the caller then does the work eagerly. */
int placeholder_encode(const struct ref *ref, char out[PLACEHOLDER_SIZE], struct error *err);

/* -ENOENT: not a placeholder at all (other size or first line): an ordinary file.
 * -EBADMSG: it begins as one but is damaged; the reason says how. Else 0 and *out. */
int placeholder_decode(const char *bytes, size_t len, struct ref *out, struct error *err);

/* The same for an open file; st (may be NULL) spares an fstat. Reads nothing of files of another
 * size. */
int placeholder_read_fd(int fd, const struct stat *st, struct ref *out, struct error *err);

#endif
