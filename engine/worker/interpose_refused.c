/* Functions that look at the machine where this library cannot look over their shoulder. */
#include "engine/worker/interpose.h"

/* With a relative path they are harmless; with an absolute one they are not done. */
#define RELATIVE_ONLY(type, fail, name, path, params, args)                                        \
	SLOT(name);                                                                                \
	PUBLIC type name params;                                                                   \
	PUBLIC type name params                                                                    \
	{                                                                                          \
		if (interpose()->root_len && path && path[0] == '/') {                             \
			refuse(#name);                                                             \
			return fail;                                                               \
		}                                                                                  \
		return ((type(*) params)next_function(&next_##name, #name))args;                   \
	}
#define NEVER(type, fail, name, params, args)                                                      \
	SLOT(name);                                                                                \
	PUBLIC type name params;                                                                   \
	PUBLIC type name params                                                                    \
	{                                                                                          \
		if (interpose()->root_len) {                                                       \
			refuse(#name);                                                             \
			return fail;                                                               \
		}                                                                                  \
		return ((type(*) params)next_function(&next_##name, #name))args;                   \
	}

/* --- walks and patterns ------------------------------------------------------------------------
 */

#define GLOB(name)                                                                                 \
	RELATIVE_ONLY(int, 1, name, pattern,                                                       \
	              (const char *pattern, int flags, void *error, void *out),                    \
	              (pattern, flags, error, out))
GLOB(glob)
GLOB(glob64)
#define WALK(name)                                                                                 \
	RELATIVE_ONLY(int, -1, name, path, (const char *path, void *fn, int fds, int flags),       \
	              (path, fn, fds, flags))
WALK(ftw)
WALK(ftw64)
WALK(nftw)
WALK(nftw64)
NEVER(void *, NULL, fts_open, (char *const *paths, int options, void *order),
      (paths, options, order))
NEVER(void *, NULL, fts64_open, (char *const *paths, int options, void *order),
      (paths, options, order))
NEVER(int, 1, wordexp, (const char *words, void *out, int flags), (words, out, flags))
#define SCANDIRAT(name)                                                                            \
	RELATIVE_ONLY(int, -1, name, path,                                                         \
	              (int dir, const char *path, void *list, void *filter, void *order),          \
	              (dir, path, list, filter, order))
SCANDIRAT(scandirat)
SCANDIRAT(scandirat64)

/* --- programs ----------------------------------------------------------------------------------
 */

NEVER(int, -1, system, (const char *command), (command))
NEVER(void *, NULL, popen, (const char *command, const char *mode), (command, mode))
NEVER(void *, NULL, _IO_popen, (const char *command, const char *mode), (command, mode))
NEVER(int, -1, fexecve, (int fd, char *const *argv, char *const *env), (fd, argv, env))
NEVER(int, -1, execveat,
      (int dir, const char *path, char *const *argv, char *const *env, int flags),
      (dir, path, argv, env, flags))

/* --- names of files ----------------------------------------------------------------------------
 */

NEVER(char *, NULL, tempnam, (const char *dir, const char *prefix), (dir, prefix))
NEVER(char *, NULL, tmpnam, (char *out), (out))
NEVER(char *, NULL, tmpnam_r, (char *out), (out))
NEVER(int, -1, shm_open, (const char *name, int flags, unsigned mode), (name, flags, mode))
NEVER(int, -1, shm_unlink, (const char *name), (name))
NEVER(void *, NULL, sem_open, (const char *name, int flags, unsigned mode, unsigned value),
      (name, flags, mode, value))
NEVER(int, -1, chroot, (const char *path), (path))
NEVER(void *, (void *)-1l, catopen, (const char *name, int flags), (name, flags))
RELATIVE_ONLY(int, -1, inotify_add_watch, path, (int fd, const char *path, unsigned mask),
              (fd, path, mask))
RELATIVE_ONLY(int, -1, name_to_handle_at, path,
              (int dir, const char *path, void *handle, int *mount, int flags),
              (dir, path, handle, mount, flags))
RELATIVE_ONLY(int, -1, removexattr, path, (const char *path, const char *name), (path, name))
RELATIVE_ONLY(int, -1, lremovexattr, path, (const char *path, const char *name), (path, name))

/* --- users, in a world that has none -----------------------------------------------------------
 */

/* As without /etc/passwd: nobody is found. */
#define NOBODY(name, params)                                                                       \
	PUBLIC void *name params;                                                                  \
	PUBLIC void *name params                                                                   \
	{                                                                                          \
		char lies[PATH_BYTES];                                                             \
		const char *p = world_path("/etc/passwd", lies);                                   \
		(void)key;                                                                         \
		if (p && raw3(__NR_faccessat, AT_FDCWD_, p, 0) == 0)                               \
			refuse(#name);                                                             \
		else                                                                               \
			*__errno_location() = ENOENT_;                                             \
		return NULL;                                                                       \
	}
NOBODY(getpwnam, (const char *key))
NOBODY(getpwuid, (unsigned key))
NOBODY(getgrnam, (const char *key))
NOBODY(getgrgid, (unsigned key))
#define NOBODY_R(name, type)                                                                       \
	NEVER(int, ENOSYS_, name, (type key, void *out, char *room, size_t size, void **found),    \
	      (key, out, room, size, found))
NOBODY_R(getpwnam_r, const char *)
NOBODY_R(getpwuid_r, unsigned)
NOBODY_R(getgrnam_r, const char *)
NOBODY_R(getgrgid_r, unsigned)
NEVER(char *, NULL, getlogin, (void), ())
NEVER(void *, NULL, getpwent, (void), ())
NEVER(void *, NULL, getgrent, (void), ())

/* --- sockets and bare system calls -------------------------------------------------------------
 */

struct local_address {
	unsigned short family;
	char path[];
};

#define SOCKET_FUNCTION(name)                                                                      \
	SLOT(name);                                                                                \
	PUBLIC int name(int fd, const struct local_address *a, unsigned len);                      \
	PUBLIC int name(int fd, const struct local_address *a, unsigned len)                       \
	{                                                                                          \
		const unsigned short local = 1; /* AF_UNIX */                                      \
		if (interpose()->root_len && a && len > 2 && a->family == local &&                 \
		    a->path[0] == '/') {                                                           \
			refuse(#name);                                                             \
			return -1;                                                                 \
		}                                                                                  \
		return ((int (*)(int, const struct local_address *, unsigned))next_function(       \
		        &next_##name, #name))(fd, a, len);                                         \
	}
SOCKET_FUNCTION(bind)
SOCKET_FUNCTION(connect)

static bool takes_path(long n)
{
	static const long numbers[] = {
#ifdef __NR_open
		__NR_open,     __NR_stat,       __NR_lstat,      __NR_access,    __NR_readlink,
		__NR_unlink,   __NR_rename,     __NR_mkdir,      __NR_rmdir,     __NR_link,
		__NR_symlink,  __NR_chmod,      __NR_creat,      __NR_chown,     __NR_lchown,
		__NR_utime,    __NR_utimes,     __NR_mknod,      __NR_futimesat,
#endif
		__NR_openat,   __NR_openat2,    __NR_statx,      __NR_faccessat, __NR_readlinkat,
		__NR_unlinkat, __NR_renameat2,  __NR_mkdirat,    __NR_linkat,    __NR_symlinkat,
		__NR_fchmodat, __NR_fchownat,   __NR_utimensat,  __NR_mknodat,   __NR_execve,
		__NR_execveat, __NR_truncate,   __NR_statfs,     __NR_chdir,     __NR_getcwd,
		__NR_renameat, __NR_newfstatat, __NR_faccessat2,
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (numbers[i] == n)
			return true;
	return false;
}

PUBLIC long syscall(long n, long a, long b, long c, long d, long e, long f);
PUBLIC long syscall(long n, long a, long b, long c, long d, long e, long f)
{
	if (interpose()->root_len && takes_path(n)) {
		refuse("a system call with a path");
		return -1;
	}
	return outcome_of(raw(n, a, b, c, d, e, f));
}
