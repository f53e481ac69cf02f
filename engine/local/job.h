/*
 * Job: what the engine tells its runner (docs/sandbox.md): which files to lay out, what to
 * execute there; and what the runner answers. Both ends are one build on one machine, so
 * numbers travel as they lie in memory; every length is checked all the same.
 *
 * A frame is struct job_frame followed by its payload. Descriptors ride with a frame's header.
 *
 * Threads: pure functions, and blocking I/O on a socket that one thread owns at each end.
 */
#ifndef GGFS_ENGINE_LOCAL_JOB_H
#define GGFS_ENGINE_LOCAL_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

enum {
	JOB_FRAME_BYTES_MAX = 512 << 20,
	JOB_SOURCE_MAX = 96,   /* a path inside the store: "objects/ab/..." */
	JOB_TEXT_MAX = 1024,   /* of a runner's sentence */
	JOB_MISSING_MAX = 256, /* paths a traced function may report */
};

/* Descriptors a runner starts with. */
enum { RUNNER_SOCKET = 3, RUNNER_STDERR = 4, RUNNER_STORE = 5 };

enum job_frame_type {
	JOB_RUN = 1, /* engine: lay out and run; payload from job_encode */
	JOB_KILL,    /* engine: end the running function, if one runs */
	JOB_RELEASE, /* engine: outputs are collected, the world can go */
	JOB_HELLO,   /* runner, once: ready (code 0), or why not; struct job_hello */
	JOB_RESULT,  /* runner: struct job_result, then the missing paths; carries the world's root
	              */
};

struct job_frame {
	uint32_t type;
	uint32_t length;
};

struct job_hello {
	int32_t code; /* 0, or the negative errno of what could not be had */
	char text[JOB_TEXT_MAX];
};

enum job_entry_kind {
	JOB_ENTRY_COPY,  /* a file, copied from source; size_bytes must fit */
	JOB_ENTRY_BIND,  /* likewise, but the file itself, read-only, where mounts can be had */
	JOB_ENTRY_BYTES, /* a file with these bytes */
	JOB_ENTRY_LINK,  /* a symbolic link to the C string in bytes */
	JOB_ENTRY_DIR,
};

struct job_entry {
	enum job_entry_kind kind;
	mode_t mode;
	uint64_t size_bytes;
	const char *path;            /* path_is_normal, relative to the world's root; borrowed */
	const void *bytes;           /* BYTES, LINK; borrowed */
	char source[JOB_SOURCE_MAX]; /* COPY, BIND: relative to the store's directory */
};

struct job {
	bool trace;                     /* report paths looked for in vain */
	char toolchain[JOB_SOURCE_MAX]; /* unpacked, inside the store; "" when there is none */
	uint32_t memory_mib;            /* 0: no bound */
	const char *program, *cwd;      /* relative to the root; "" is the root itself */
	const char **argv, **envp;      /* NULL-terminated */
	struct job_entry *entries;      /* sorted by path */
	size_t count, capacity;
};

#define JOB_INIT ((struct job){ 0 })

/* Frees the arrays; what they point to is borrowed. */
void job_release(struct job *job);
void job_encode(const struct job *job, struct buf *b);
/* Everything decoded points into bytes. -EBADMSG when malformed. out must be JOB_INIT. */
int job_decode(const char *bytes, size_t len, struct job *out);

enum job_end {
	JOB_ENDED,        /* the function ran: wait_status */
	JOB_NOT_EXECUTED, /* execve failed: error */
	JOB_NOT_LAID_OUT, /* error, at entry (or SIZE_MAX: elsewhere) */
	JOB_NO_OVERLAY,   /* this machine cannot lay a toolchain under a world: send its entries */
	JOB_BROKEN,       /* the sandbox failed: error */
};

struct job_result {
	int32_t end;
	int32_t wait_status;
	int32_t error; /* positive errno */
	uint32_t missing_count;
	uint64_t entry;
	uint64_t micros; /* from execve to the end of the main process */
};

/* Sends a whole frame; fd -1: none rides along. 0 or -errno (-EPIPE: the other end is gone). */
int job_send(int socket, uint32_t type, const void *payload, size_t len, int fd);
/* Receives one into b (emptied first). *fd (may be NULL) is -1 when none came. -EPIPE at the
 * end of the stream. */
int job_receive(int socket, uint32_t *type, struct buf *b, int *fd);

#endif
