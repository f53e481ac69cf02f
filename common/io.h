/*
 * Whole reads and writes, files replaced atomically, directories made with their
 * parents. All paths are taken relative to a directory descriptor (AT_FDCWD allowed).
 *
 * Errors: negative errno; -ENOENT only when the named thing is absent.
 * Threads: all functions may be called from any thread.
 */
#ifndef GGFS_COMMON_IO_H
#define GGFS_COMMON_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

/* For the start of a program: takes the numbers of standard streams that it was started without, so
 * that no file it opens becomes one of them and is printed into. Reading and writing there fail as
 * before, and programs it runs find them closed. */
void reserve_standard_streams(void);

/* Reads until len bytes or end of file; returns the count or -errno. Restarts on EINTR. */
ssize_t read_full(int fd, void *bytes, size_t len);
ssize_t pread_full(int fd, void *bytes, size_t len, off_t offset);

/* Writes everything; 0 or -errno. */
int write_full(int fd, const void *bytes, size_t len);

/* Appends the rest of fd to b; -EFBIG past max bytes (b then holds max bytes). */
int read_all(int fd, struct buf *b, size_t max);

/* Appends the file's contents to b; as read_all. O_NOFOLLOW is the caller's affair via flags. */
int read_file_at(int dirfd, const char *path, struct buf *b, size_t max, struct error *err);

/* Replaces path by a new file with these bytes: temporary file beside it, then rename. */
int replace_file_at(int dirfd, const char *path, const void *bytes, size_t len, mode_t mode,
		    struct error *err);

/* mkdir -p; existing directories are fine. */
int make_dirs_at(int dirfd, const char *path, mode_t mode, struct error *err);

/* rm -rf of path, never following a symbolic link; absent is fine. */
int remove_tree_at(int dirfd, const char *path, struct error *err);

/* Copies len bytes (all that is there if len is UINT64_MAX) from one descriptor's start to the
 * end of another: reflink, copy_file_range or read/write, whichever the filesystems allow. */
int copy_fd(int from, int to, struct error *err);

/* Sets or clears O_NONBLOCK / FD_CLOEXEC. */
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

/* Milliseconds and microseconds on the monotonic clock; nanoseconds since 1970. */
int64_t now_ms(void);
int64_t now_us(void);
int64_t wall_ns(void);

#endif
