/* Functions that take paths and tell none. */
#include <stdarg.h>

#include "engine/worker/interpose.h"

struct stream;
struct directory;

/* --- opening -----------------------------------------------------------------------------------
 */

static int open_at(int dir, const char *path, int flags, unsigned mode)
{
	char lies[PATH_BYTES];
	const char *p = world_path(path, lies);
	if (!p)
		return -1;
	return (int)outcome_of(raw4(__NR_openat, dir, p, flags, mode));
}

/* O_CREAT, or O_TMPFILE without O_DIRECTORY: only then is there a mode. */
static bool has_mode(int flags)
{
	return flags & (0100 | 020000000);
}

static unsigned mode_of(int flags, va_list *args)
{
	return has_mode(flags) ? va_arg(*args, unsigned) : 0;
}

#define OPEN_FUNCTION(name)                                                                        \
	PUBLIC int name(const char *path, int flags, ...);                                         \
	PUBLIC int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, flags);                                                             \
		unsigned mode = mode_of(flags, &args);                                             \
		va_end(args);                                                                      \
		return open_at(AT_FDCWD_, path, flags, mode);                                      \
	}
OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)
OPEN_FUNCTION(__open)
OPEN_FUNCTION(__open64)

#define OPENAT_FUNCTION(name)                                                                      \
	PUBLIC int name(int dir, const char *path, int flags, ...);                                \
	PUBLIC int name(int dir, const char *path, int flags, ...)                                 \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, flags);                                                             \
		unsigned mode = mode_of(flags, &args);                                             \
		va_end(args);                                                                      \
		return open_at(dir, path, flags, mode);                                            \
	}
OPENAT_FUNCTION(openat)
OPENAT_FUNCTION(openat64)

/* _FORTIFY_SOURCE's, where there is no mode. */
#define OPEN_2_FUNCTION(name)                                                                      \
	PUBLIC int name(const char *path, int flags);                                              \
	PUBLIC int name(const char *path, int flags)                                               \
	{                                                                                          \
		return open_at(AT_FDCWD_, path, flags, 0);                                         \
	}
OPEN_2_FUNCTION(__open_2)
OPEN_2_FUNCTION(__open64_2)

#define OPENAT_2_FUNCTION(name)                                                                    \
	PUBLIC int name(int dir, const char *path, int flags);                                     \
	PUBLIC int name(int dir, const char *path, int flags)                                      \
	{                                                                                          \
		return open_at(dir, path, flags, 0);                                               \
	}
OPENAT_2_FUNCTION(__openat_2)
OPENAT_2_FUNCTION(__openat64_2)

#define CREAT_FUNCTION(name)                                                                       \
	PUBLIC int name(const char *path, unsigned mode);                                          \
	PUBLIC int name(const char *path, unsigned mode)                                           \
	{                                                                                          \
		return open_at(AT_FDCWD_, path, 0100 | 01000 | 01, mode);                          \
	}
CREAT_FUNCTION(creat)
CREAT_FUNCTION(creat64)

#define STREAM_FUNCTION(name)                                                                      \
	PATH_FUNCTION(struct stream *, NULL, name, path, (const char *path, const char *mode),     \
	              (p, mode))
STREAM_FUNCTION(fopen)
STREAM_FUNCTION(fopen64)
STREAM_FUNCTION(_IO_fopen)
#define AGAIN_FUNCTION(name)                                                                       \
	PATH_FUNCTION(struct stream *, NULL, name, path,                                           \
	              (const char *path, const char *mode, struct stream *s), (p, mode, s))
AGAIN_FUNCTION(freopen)
AGAIN_FUNCTION(freopen64)

PATH_FUNCTION(struct directory *, NULL, opendir, path, (const char *path), (p))
typedef int filter_fn(const void *entry);
typedef int order_fn(const void *a, const void *b);
#define SCANDIR_FUNCTION(name)                                                                     \
	PATH_FUNCTION(int, -1, name, path,                                                         \
	              (const char *path, void *list, filter_fn *filter, order_fn *order),          \
	              (p, list, filter, order))
SCANDIR_FUNCTION(scandir)
SCANDIR_FUNCTION(scandir64)

/* --- looking -----------------------------------------------------------------------------------
 */

#define STAT_FUNCTION(name)                                                                        \
	PATH_FUNCTION(int, -1, name, path, (const char *path, void *st), (p, st))
STAT_FUNCTION(stat)
STAT_FUNCTION(stat64)
STAT_FUNCTION(lstat)
STAT_FUNCTION(lstat64)
STAT_FUNCTION(statfs)
STAT_FUNCTION(statfs64)
STAT_FUNCTION(statvfs)
STAT_FUNCTION(statvfs64)
#define FSTATAT_FUNCTION(name)                                                                     \
	PATH_FUNCTION(int, -1, name, path, (int dir, const char *path, void *st, int flags),       \
	              (dir, p, st, flags))
FSTATAT_FUNCTION(fstatat)
FSTATAT_FUNCTION(fstatat64)
/* What stat was before glibc 2.33. */
#define XSTAT_FUNCTION(name)                                                                       \
	PATH_FUNCTION(int, -1, name, path, (int version, const char *path, void *st),              \
	              (version, p, st))
XSTAT_FUNCTION(__xstat)
XSTAT_FUNCTION(__xstat64)
XSTAT_FUNCTION(__lxstat)
XSTAT_FUNCTION(__lxstat64)
#define FXSTATAT_FUNCTION(name)                                                                    \
	PATH_FUNCTION(int, -1, name, path,                                                         \
	              (int version, int dir, const char *path, void *st, int flags),               \
	              (version, dir, p, st, flags))
FXSTATAT_FUNCTION(__fxstatat)
FXSTATAT_FUNCTION(__fxstatat64)
PATH_FUNCTION(int, -1, statx, path, (int dir, const char *path, int flags, unsigned mask, void *st),
              (dir, p, flags, mask, st))
PATH_FUNCTION(int, -1, access, path, (const char *path, int mode), (p, mode))
PATH_FUNCTION(int, -1, eaccess, path, (const char *path, int mode), (p, mode))
PATH_FUNCTION(int, -1, euidaccess, path, (const char *path, int mode), (p, mode))
PATH_FUNCTION(int, -1, faccessat, path, (int dir, const char *path, int mode, int flags),
              (dir, p, mode, flags))
PATH_FUNCTION(long, -1, pathconf, path, (const char *path, int name), (p, name))
PATH_FUNCTION(long, -1, getxattr, path,
              (const char *path, const char *name, void *value, size_t size),
              (p, name, value, size))
PATH_FUNCTION(long, -1, lgetxattr, path,
              (const char *path, const char *name, void *value, size_t size),
              (p, name, value, size))
PATH_FUNCTION(long, -1, listxattr, path, (const char *path, void *list, size_t size),
              (p, list, size))
PATH_FUNCTION(long, -1, llistxattr, path, (const char *path, void *list, size_t size),
              (p, list, size))
PATH_FUNCTION(int, -1, setxattr, path,
              (const char *path, const char *name, const void *value, size_t size, int flags),
              (p, name, value, size, flags))
PATH_FUNCTION(int, -1, lsetxattr, path,
              (const char *path, const char *name, const void *value, size_t size, int flags),
              (p, name, value, size, flags))

/* --- changing ----------------------------------------------------------------------------------
 */

PATH_FUNCTION(int, -1, chdir, path, (const char *path), (p))
PATH_FUNCTION(int, -1, mkdir, path, (const char *path, unsigned mode), (p, mode))
PATH_FUNCTION(int, -1, mkdirat, path, (int dir, const char *path, unsigned mode), (dir, p, mode))
PATH_FUNCTION(int, -1, rmdir, path, (const char *path), (p))
PATH_FUNCTION(int, -1, unlink, path, (const char *path), (p))
PATH_FUNCTION(int, -1, unlinkat, path, (int dir, const char *path, int flags), (dir, p, flags))
PATH_FUNCTION(int, -1, remove, path, (const char *path), (p))
TWO_PATHS_FUNCTION(rename, path, to, (const char *path, const char *to), (p, q))
TWO_PATHS_FUNCTION(renameat, path, to, (int from_dir, const char *path, int to_dir, const char *to),
                   (from_dir, p, to_dir, q))
TWO_PATHS_FUNCTION(renameat2, path, to,
                   (int from_dir, const char *path, int to_dir, const char *to, unsigned flags),
                   (from_dir, p, to_dir, q, flags))
TWO_PATHS_FUNCTION(link, path, to, (const char *path, const char *to), (p, q))
TWO_PATHS_FUNCTION(linkat, path, to,
                   (int from_dir, const char *path, int to_dir, const char *to, int flags),
                   (from_dir, p, to_dir, q, flags))
PATH_FUNCTION(int, -1, chmod, path, (const char *path, unsigned mode), (p, mode))
PATH_FUNCTION(int, -1, lchmod, path, (const char *path, unsigned mode), (p, mode))
PATH_FUNCTION(int, -1, fchmodat, path, (int dir, const char *path, unsigned mode, int flags),
              (dir, p, mode, flags))
PATH_FUNCTION(int, -1, chown, path, (const char *path, unsigned uid, unsigned gid), (p, uid, gid))
PATH_FUNCTION(int, -1, lchown, path, (const char *path, unsigned uid, unsigned gid), (p, uid, gid))
PATH_FUNCTION(int, -1, fchownat, path,
              (int dir, const char *path, unsigned uid, unsigned gid, int flags),
              (dir, p, uid, gid, flags))
PATH_FUNCTION(int, -1, utime, path, (const char *path, const void *times), (p, times))
PATH_FUNCTION(int, -1, utimes, path, (const char *path, const void *times), (p, times))
PATH_FUNCTION(int, -1, lutimes, path, (const char *path, const void *times), (p, times))
PATH_FUNCTION(int, -1, futimesat, path, (int dir, const char *path, const void *times),
              (dir, p, times))
PATH_FUNCTION(int, -1, utimensat, path, (int dir, const char *path, const void *times, int flags),
              (dir, p, times, flags))
PATH_FUNCTION(int, -1, truncate, path, (const char *path, long length), (p, length))
PATH_FUNCTION(int, -1, truncate64, path, (const char *path, long length), (p, length))
PATH_FUNCTION(int, -1, mkfifo, path, (const char *path, unsigned mode), (p, mode))
PATH_FUNCTION(int, -1, mkfifoat, path, (int dir, const char *path, unsigned mode), (dir, p, mode))
PATH_FUNCTION(int, -1, mknod, path, (const char *path, unsigned mode, unsigned long device),
              (p, mode, device))
PATH_FUNCTION(int, -1, mknodat, path,
              (int dir, const char *path, unsigned mode, unsigned long device),
              (dir, p, mode, device))

/* --- libraries ---------------------------------------------------------------------------------
 */

/* A name without a slash is searched for, in the world's directories. */
PATH_FUNCTION(void *, NULL, dlopen, path, (const char *path, int mode), (p, mode))
PATH_FUNCTION(void *, NULL, dlmopen, path, (long space, const char *path, int mode),
              (space, p, mode))
