/*
 * Scoped cleanup: a local that owns something says so where it is declared.
 *
 *     scoped_fd int fd = openat(...);      closed when the scope ends
 *     return steal_fd(&fd);                handed over instead
 *
 * Every helper tolerates the empty value (NULL, -1). errno survives all of them.
 */
#ifndef GGFS_COMMON_CLEANUP_H
#define GGFS_COMMON_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Declares void NAME(T **) that frees *p with FREE; for use in scoped(NAME). */
#define DEFINE_SCOPED(name, type, free_fn)                                                         \
	static inline void name(type **p)                                                          \
	{                                                                                          \
		int saved_errno_ = errno;                                                          \
		free_fn(*p);                                                                       \
		errno = saved_errno_;                                                              \
	}

/* "unused": clang does not count the cleanup as a use. */
#define scoped(fn) __attribute__((cleanup(fn), unused))

static inline void scoped_free_(void *p)
{
	int saved = errno;
	free(*(void **)p);
	errno = saved;
}

static inline void scoped_close_(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void scoped_fclose_(FILE **f)
{
	int saved = errno;
	if (*f)
		fclose(*f);
	errno = saved;
}

static inline void scoped_closedir_(DIR **d)
{
	int saved = errno;
	if (*d)
		closedir(*d);
	errno = saved;
}

#define scoped_free scoped(scoped_free_)
#define scoped_fd scoped(scoped_close_)
#define scoped_file scoped(scoped_fclose_)
#define scoped_dir scoped(scoped_closedir_)

/* Hands over what *p owns and leaves NULL behind. */
#define steal(p)                                                                                   \
	({                                                                                         \
		__typeof__(*(p)) stolen_ = *(p);                                                   \
		*(p) = NULL;                                                                       \
		stolen_;                                                                           \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;
	*fd = -1;
	return stolen;
}

#endif
