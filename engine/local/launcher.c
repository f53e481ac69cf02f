#include "engine/local/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/io.h"
#include "engine/local/filter.h"
#include "engine/local/limit.h"
#include "engine/local/isolate.h"
#include "engine/local/weak.h"

enum { STACK_BYTES = 64 << 10, BUSY_TRIES_MAX = 2000 };

/* The child's until execve: the launcher waits for that. */
static char stack[STACK_BYTES] __attribute__((aligned(16)));

/* What the child between clone and execve needs; it shares the launcher's memory. */
struct start {
	const struct launcher_options *options;
	const struct job *job;
	char *program, *cwd; /* absolute, as the child sees them */
	const char **env;
	const char **weak_env; /* weak: env is this, owned, and one of it is variable */
	char *variable;
	struct sock_fprog trace;
	int ruleset; /* weak: what may be read; -1: anything */
	int error;   /* set by the child when it could not execute */
};

static int listen_trace(const struct start *s)
{
	int listener = filter_trace_listen(&s->trace);
	if (listener < 0)
		return listener;
	return job_send(s->options->control, LAUNCHER_LISTENER, NULL, 0, listener);
}

static int enter_world(const struct start *s)
{
	if (s->options->weak)
		return chdir(s->cwd) < 0 ? -errno : weak_restrict(s->ruleset);
	if (chroot(s->options->world) < 0 || chdir(s->cwd) < 0)
		return -errno;
	return isolate_drop_all();
}

/* A process that the engine's is just starting may still hold, until its own execve, the
 * descriptor that an executable copy was written through: busy for that long. */
static int execute(const struct start *s)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	for (int tries = 0;; tries++) {
		execve(s->program, (char *const *)(uintptr_t)s->job->argv,
		       (char *const *)(uintptr_t)s->env);
		if (errno != ETXTBSY || tries == BUSY_TRIES_MAX)
			return -errno;
		nanosleep(&pause, NULL);
	}
}

/* Runs in the launcher's memory (CLONE_VM): allocates nothing, changes only s->error. */
static int start_child(void *arg)
{
	struct start *s = arg;
	setsid();
	if (s->job->memory_mib)
		limit_lower(RLIMIT_AS,
		            (rlim_t)s->job->memory_mib * FUNCTION_MEMORY_FACTOR * (1 << 20));
	int r = enter_world(s);
	if (r == 0 && s->trace.filter)
		r = listen_trace(s);
	if (r == 0)
		r = execute(s);
	s->error = -r;
	_exit(127);
}

static void kill_all(bool weak)
{
	if (weak) /* -1 would be all processes of this user */
		weak_kill_children();
	else
		kill(-1, SIGKILL);
}

/* Ends everything that runs here but the launcher, and waits for the end of it. */
static void end_all(bool weak)
{
	kill_all(weak);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno == ECHILD)
			return;
		if (weak && pid > 0)
			weak_kill_children(); /* its children have become ours */
	}
}

/* The runner is gone: nothing may go on. */
static _Noreturn void leave(bool weak)
{
	if (weak)
		end_all(true);
	_exit(0); /* and with process 1 goes its whole pid namespace */
}

static void wait_for_end(const struct start *s, int pidfd)
{
	scoped_buf struct buf b = BUF_INIT;
	for (;;) {
		struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
			                 { .fd = s->options->control, .events = POLLIN } };
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents)
			return;
		uint32_t type = 0;
		if (job_receive(s->options->control, &type, &b, NULL) < 0)
			leave(s->options->weak);
		if (type == JOB_KILL)
			kill_all(s->options->weak);
	}
}

static int prepare(struct start *s)
{
	const char *root = s->options->weak ? s->options->world : "";
	s->program = xformat("%s/%s", root, s->job->program);
	s->cwd = xformat("%s/%s", root, s->job->cwd);
	s->env = s->job->envp;
	if (s->options->weak) {
		s->ruleset = weak_ruleset(s->options->world, s->job);
		s->weak_env = weak_environment(s->options->world, s->job, &s->variable);
		s->env = s->weak_env;
	}
	return s->job->trace && !s->options->weak ? filter_trace_program(&s->trace, NULL) : 0;
}

static void run(const struct launcher_options *options, const struct job *job,
                struct job_result *result)
{
	struct start s = { .options = options, .job = job, .ruleset = -1 };
	int pidfd = -1, status = 0;
	int r = prepare(&s);
	int64_t begin = now_us();
	pid_t pid = r < 0 ? -1
	                  : clone(start_child, stack + sizeof(stack),
	                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &s, &pidfd);
	if (pid < 0) {
		result->end = JOB_BROKEN;
		result->error = r < 0 ? -r : errno;
	} else {
		wait_for_end(&s, pidfd);
		result->micros = (uint64_t)(now_us() - begin);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		end_all(options->weak);
		result->end = s.error ? JOB_NOT_EXECUTED : JOB_ENDED;
		result->error = s.error;
		result->wait_status = status;
		close(pidfd);
	}
	if (s.ruleset >= 0)
		close(s.ruleset);
	free(s.trace.filter);
	free(s.weak_env);
	free(s.variable);
	free(s.program);
	free(s.cwd);
}

static void serve(const struct launcher_options *options)
{
	scoped_buf struct buf b = BUF_INIT;
	for (;;) {
		uint32_t type = 0;
		if (job_receive(options->control, &type, &b, NULL) < 0)
			return;
		if (type != JOB_RUN)
			continue; /* a kill that came when all was over */
		struct job job = JOB_INIT;
		struct job_result result = { 0 };
		int r = job_decode(b.data, b.len, &job);
		if (r < 0) {
			result.end = JOB_BROKEN;
			result.error = -r;
		} else {
			run(options, &job, &result);
		}
		job_release(&job);
		if (job_send(options->control, JOB_RESULT, &result, sizeof(result), -1) < 0)
			return;
	}
}

static int become(const struct launcher_options *options, struct error *err)
{
	/* A weak launcher must live to end its functions: it sees the end of its socket. */
	if (!options->weak && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return error_errno(err, "cannot tie the launcher to the runner");
	if (options->weak && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return error_errno(err, "cannot become a subreaper");
	if (dup2(RUNNER_STDERR, STDERR_FILENO) < 0)
		return error_errno(err, "cannot take standard error");
	/* A function must not get at the store or the engine through what it inherits. */
	close(RUNNER_STDERR);
	close(RUNNER_STORE);
	close(RUNNER_SOCKET);
	close(options->runner_end);
	umask(022);
	limit_lower(RLIMIT_CORE, 0);
	limit_lower(RLIMIT_NOFILE, FUNCTION_FILES_MAX);
	if (!options->weak) /* else all processes of the user count */
		limit_lower(RLIMIT_NPROC, FUNCTION_PROCESSES_MAX);
	return isolate_restrict(!options->weak, err);
}

pid_t launcher_start(const struct launcher_options *options, struct error *err)
{
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, "cannot fork the launcher");
	if (pid > 0)
		return pid;
	struct error reason = ERROR_INIT;
	struct job_hello hello = { .code = become(options, &reason) };
	snprintf(hello.text, sizeof(hello.text), "%s", reason.text);
	if (job_send(options->control, JOB_HELLO, &hello, sizeof(hello), -1) == 0 &&
	    hello.code == 0)
		serve(options);
	_exit(0);
}
