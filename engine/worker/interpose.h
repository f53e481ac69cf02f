/*
 * Interpose: a library loaded before all others into each process of a relocated function. It puts
 * itself in the place of the C library's functions that take or tell paths, so that the function
 * sees the world's root as "/" where there is no chroot (docs/worker.md). The function is
 * therefore given the very arguments of the thunk, and writes down the very paths.
 *
 * It stands alone: no start-up code, no C library of its own, symbols without versions, so that it
 * goes with whatever C library the toolchain brings. What it cannot do it says in a report, and the
 * worker then refuses the thunk instead of trusting what was made.
 *
 * Private to the library. Threads: any; what is written here is written the same by all.
 */
#ifndef GGFS_ENGINE_WORKER_INTERPOSE_H
#define GGFS_ENGINE_WORKER_INTERPOSE_H

#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PATH_BYTES = 4096,
	/* The kernel's, the same on the machines there are. */
	EINVAL_ = 22,
	ENOENT_ = 2,
	ENOEXEC_ = 8,
	EACCES_ = 13,
	ENOTDIR_ = 20,
	ERANGE_ = 34,
	ENAMETOOLONG_ = 36,
	ENOSYS_ = 38,
	ELOOP_ = 40,
	E2BIG_ = 7,
	AT_FDCWD_ = -100,
};

#define PUBLIC __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

/* The C library's, whichever that is. */
extern char **environ;
int *__errno_location(void);
void *dlsym(void *handle, const char *name) __attribute__((weak));
void *malloc(size_t size);
void free(void *p);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
int strncasecmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);

/* A system call; the result, or -errno. */
HIDDEN long raw(long n, long a, long b, long c, long d, long e, long f);
#define raw1(n, a) raw(n, (long)(a), 0, 0, 0, 0, 0)
#define raw2(n, a, b) raw(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define raw3(n, a, b, c) raw(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define raw4(n, a, b, c, d) raw(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
/* -errno to -1 and errno. */
HIDDEN long outcome_of(long result);

/* What the variable that relocates said. root is "" where there was none. */
struct interpose {
	bool ready;
	char root[PATH_BYTES]; /* no slash at its end */
	size_t root_len;
	const char *library_path; /* within variable */
	char preload[PATH_BYTES];
	char report[PATH_BYTES];
	char variable[4 * PATH_BYTES];
};
HIDDEN const struct interpose *interpose(void);

/* Where the world's path lies: path itself, or out. NULL with errno: too long. */
HIDDEN const char *world_path(const char *path, char out[PATH_BYTES]);
/* From a real path to the world's, in place. */
HIDDEN void world_strip(char *path);
/* Writes into the report what cannot be done faithfully, sets errno to ENOSYS. */
HIDDEN void refuse(const char *what);

/* The function that this one stands in front of. */
HIDDEN void *next_function(void **slot, const char *name);

/* Where next_function() keeps what it found. All threads find the same. */
#define SLOT(name) static void *next_##name

/* A function that takes a path: NAME(PARAMS), which calls what it stands before with ARGS, in
 * which p is where the path lies. FAIL is returned when the path is too long. */
#define PATH_FUNCTION(type, fail, name, path, params, args)                                        \
	SLOT(name);                                                                                \
	PUBLIC type name params;                                                                   \
	PUBLIC type name params                                                                    \
	{                                                                                          \
		char lies_[PATH_BYTES];                                                            \
		const char *p = world_path(path, lies_);                                           \
		if (!p && path)                                                                    \
			return fail;                                                               \
		return ((type(*) params)next_function(&next_##name, #name))args;                   \
	}

/* The same with two paths, p and q. */
#define TWO_PATHS_FUNCTION(name, path, other, params, args)                                        \
	SLOT(name);                                                                                \
	PUBLIC int name params;                                                                    \
	PUBLIC int name params                                                                     \
	{                                                                                          \
		char lies_[PATH_BYTES], other_lies_[PATH_BYTES];                                   \
		const char *p = world_path(path, lies_), *q = world_path(other, other_lies_);      \
		if (!p || !q)                                                                      \
			return -1;                                                                 \
		return ((int(*) params)next_function(&next_##name, #name))args;                    \
	}

#endif
