/*
 * ggfs-runner MODE STORE WORLD-BYTES [DIRECTORY]: runs the local engine's jobs, one at a time, for
 * as long as the engine holds the other end of RUNNER_SOCKET. MODE: "namespaces", or "weak" with
 * the directory that worlds are laid out in. docs/sandbox.md says how and why.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "engine/local/isolate.h"
#include "engine/local/launcher.h"
#include "engine/local/trace.h"
#include "engine/local/weak.h"
#include "engine/local/world.h"

struct runner {
	bool weak;
	const char *world; /* absolute */
	uint64_t world_bytes;
	int store;
	int control; /* to the launcher */
	pid_t launcher;
	bool clean;   /* the world holds nothing, and no mounts but dev */
	bool used;    /* something was laid out and not removed */
	bool mounted; /* the last job had mounts of its own */
};

static int open_directory(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Small worlds are emptied and used again: dropping a mount waits for a grace period. */
static int make_ready(struct runner *r, const char *toolchain, struct error *err)
{
	if (r->clean && !toolchain[0])
		return 0;
	r->clean = false;
	int n = isolate_fresh_job(toolchain, r->world_bytes, err);
	if (n == 0 && !toolchain[0])
		n = isolate_dev(err);
	return n;
}

static int release(struct runner *r)
{
	r->clean = false;
	if (!r->used)
		return 0;
	r->used = false;
	struct error err = ERROR_INIT;
	scoped_fd int root = open_directory(r->world, O_RDONLY);
	if (r->weak)
		return root < 0 ? root : world_empty(root, NULL);
	if (!r->mounted && root >= 0 && world_empty(root, "dev") == 0 &&
	    mkdirat(root, "tmp", 01777) == 0) {
		r->clean = true;
		return 0;
	}
	return isolate_drop_job(&err); /* gives the memory back at once, not at the next job */
}

static bool has_binds(const struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->entries[i].kind == JOB_ENTRY_BIND)
			return true;
	return false;
}

static int fail(struct job_result *result, enum job_end end, int code, size_t entry)
{
	result->end = end;
	result->error = -code;
	result->entry = entry;
	return code;
}

static int lay_out_weak(struct runner *r, const struct job *job, struct job_result *result)
{
	size_t failed = SIZE_MAX;
	scoped_fd int root = open_directory(r->world, O_PATH);
	if (root < 0)
		return fail(result, JOB_BROKEN, root, failed);
	if (mkdirat(root, WEAK_TEMPORARY, 0700) < 0)
		return fail(result, JOB_BROKEN, -errno, failed);
	int n = world_lay_out(root, r->store, job->entries, job->count, WORLD_COPY_ALL, &failed);
	return n < 0 ? fail(result, JOB_NOT_LAID_OUT, n, failed) : 0;
}

static int lay_out(struct runner *r, const struct job *job, struct job_result *result)
{
	struct error err = ERROR_INIT;
	size_t failed = SIZE_MAX;
	bool overlaid = job->toolchain[0] != '\0';
	bool binds = has_binds(job);
	r->mounted = overlaid || binds;
	int n = make_ready(r, job->toolchain, &err);
	r->used = true;
	if (n < 0)
		return fail(result, JOB_BROKEN, n, failed);
	scoped_fd int base = open_directory(overlaid ? ISOLATE_JOB "/upper" : r->world, O_PATH);
	if (base < 0)
		return fail(result, JOB_BROKEN, base, failed);
	n = world_lay_out(base, r->store, job->entries, job->count, WORLD_LEAVE_BINDS, &failed);
	if (n < 0)
		return fail(result, JOB_NOT_LAID_OUT, n, failed);
	n = overlaid ? isolate_lower(job->toolchain, &err) : 0;
	if (n < 0)
		return fail(result, n == -EOPNOTSUPP ? JOB_NO_OVERLAY : JOB_BROKEN, n, failed);
	n = overlaid ? isolate_dev(&err) : 0;
	if (n < 0)
		return fail(result, JOB_BROKEN, n, failed);
	scoped_fd int root = binds ? open_directory(r->world, O_PATH) : -1;
	n = binds ? world_bind(root, r->store, job->entries, job->count, &failed) : 0;
	return n < 0 ? fail(result, JOB_NOT_LAID_OUT, n, failed) : 0;
}

/* Frames from the engine while a function runs. Its end is ours. */
static void attend_engine(struct runner *r)
{
	scoped_buf struct buf b = BUF_INIT;
	uint32_t type = 0;
	if (job_receive(RUNNER_SOCKET, &type, &b, NULL) < 0)
		_exit(0);
	if (type == JOB_KILL && job_send(r->control, JOB_KILL, NULL, 0, -1) < 0)
		_exit(1);
}

/* Until the launcher has the result. */
static void attend(struct runner *r, struct trace *trace, struct job_result *result)
{
	scoped_buf struct buf b = BUF_INIT;
	for (;;) {
		struct pollfd fds[3] = { { .fd = r->control, .events = POLLIN },
			                 { .fd = RUNNER_SOCKET, .events = POLLIN },
			                 { .fd = trace->listener, .events = POLLIN } };
		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[1].revents)
			attend_engine(r);
		if (fds[2].revents)
			trace_serve(trace);
		if (!fds[0].revents)
			continue;
		uint32_t type = 0;
		int fd = -1;
		if (job_receive(r->control, &type, &b, &fd) < 0)
			_exit(1); /* no launcher, no runner: the engine starts another */
		if (type == LAUNCHER_LISTENER && fd >= 0) {
			trace->listener = fd;
		} else if (type == JOB_RESULT && b.len == sizeof(*result)) {
			memcpy(result, b.data, sizeof(*result));
			return;
		}
	}
}

static void execute(struct runner *r, const struct job *job, struct trace *trace,
                    struct job_result *result)
{
	scoped_buf struct buf b = BUF_INIT;
	struct job without_entries = *job;
	if (!r->weak) /* the weak launcher makes its rules from them */
		without_entries.count = 0;
	job_encode(&without_entries, &b);
	trace->cwd = xstrdup(job->cwd);
	trace->root = open_directory(r->world, O_PATH);
	if (job_send(r->control, JOB_RUN, b.data, b.len, -1) < 0)
		_exit(1);
	attend(r, trace, result);
}

static void run(struct runner *r, const struct buf *request)
{
	struct job job = JOB_INIT;
	struct job_result result = { .entry = SIZE_MAX };
	struct trace trace = TRACE_INIT;
	if (r->used)
		release(r);
	int n = job_decode(request->data, request->len, &job);
	if (n < 0)
		fail(&result, JOB_BROKEN, n, SIZE_MAX);
	else if (r->weak ? (r->used = true, lay_out_weak(r, &job, &result)) == 0
	                 : lay_out(r, &job, &result) == 0)
		execute(r, &job, &trace, &result);
	job_release(&job);
	scoped_buf struct buf b = BUF_INIT;
	result.missing_count = (uint32_t)trace.missing.count;
	buf_add(&b, &result, sizeof(result));
	for (size_t i = 0; i < trace.missing.count; i++)
		buf_add(&b, trace.missing.items[i], strlen(trace.missing.items[i]) + 1);
	trace_release(&trace);
	scoped_fd int root = open_directory(r->world, O_RDONLY);
	if (job_send(RUNNER_SOCKET, JOB_RESULT, b.data, b.len, root) < 0)
		_exit(0);
}

static int begin(struct runner *r, const char *store_path, struct error *err)
{
	int n = r->weak ? 0 : isolate_enter(store_path, err);
	if (n < 0)
		return n;
	r->store = r->weak ? RUNNER_STORE : open_directory(ISOLATE_STORE, O_PATH);
	if (r->store < 0)
		return error_set(err, r->store, "cannot open the store in the sandbox");
	n = r->weak ? 0 : make_ready(r, "", err);
	if (n < 0)
		return n;
	r->clean = true;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "cannot make a socket pair");
	struct launcher_options options = {
		.world = r->world, .weak = r->weak, .runner_end = pair[0], .control = pair[1]
	};
	pid_t pid = launcher_start(&options, err);
	close(pair[1]);
	close(RUNNER_STDERR); /* the launcher has it */
	r->control = pair[0];
	r->launcher = pid;
	if (pid < 0)
		return (int)pid;
	scoped_buf struct buf b = BUF_INIT;
	uint32_t type = 0;
	if (job_receive(r->control, &type, &b, NULL) < 0 || b.len != sizeof(struct job_hello))
		return error_set(err, -EPIPE, "the launcher did not start");
	struct job_hello hello;
	memcpy(&hello, b.data, sizeof(hello));
	hello.text[JOB_TEXT_MAX - 1] = '\0';
	return hello.code < 0 ? error_set(err, hello.code, "%s", hello.text) : 0;
}

static void serve(struct runner *r)
{
	scoped_buf struct buf b = BUF_INIT;
	for (;;) {
		uint32_t type = 0;
		if (job_receive(RUNNER_SOCKET, &type, &b, NULL) < 0)
			return;
		if (type == JOB_RUN)
			run(r, &b);
		else if (type == JOB_RELEASE && release(r) < 0)
			return;
		/* A kill that comes when nothing runs is late, not wrong. */
	}
}

int main(int argc, char **argv)
{
	struct runner r = { .store = -1, .control = -1 };
	struct job_hello hello = { 0 };
	struct error err = ERROR_INIT;
	if (argc < 4 || (strcmp(argv[1], "weak") == 0 && argc < 5)) {
		fprintf(stderr, "ggfs-runner is started by ggfs itself\n");
		return 2;
	}
	close_range(RUNNER_STORE + 1, ~0u, 0);
	for (int fd = RUNNER_SOCKET; fd <= RUNNER_STORE; fd++)
		fd_set_cloexec(fd, true);
	umask(0);
	r.weak = strcmp(argv[1], "weak") == 0;
	r.world = r.weak ? argv[4] : ISOLATE_WORLD;
	r.world_bytes = strtoull(argv[3], NULL, 10);
	hello.code = begin(&r, argv[2], &err);
	snprintf(hello.text, sizeof(hello.text), "%s", err.text);
	if (job_send(RUNNER_SOCKET, JOB_HELLO, &hello, sizeof(hello), -1) == 0 && hello.code == 0)
		serve(&r);
	/* The launcher ends when its socket does; waited for, so that its time is accounted for. */
	if (r.control >= 0)
		close(r.control);
	if (r.launcher > 0)
		waitpid(r.launcher, NULL, 0);
	_exit(0);
}
