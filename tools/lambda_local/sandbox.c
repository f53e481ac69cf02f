#include "tools/lambda_local/sandbox_impl.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/buf.h"
#include "common/io.h"

enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC };

int sandbox_say(const char *what, const char *path)
{
	int code = -errno;
	dprintf(STDERR_FILENO, "ggfs-lambda-local: cannot %s %s: %s\n", what, path,
	        strerror(-code));
	return code;
}

/* --- in the child ------------------------------------------------------------------------------
 */

static void execute(const struct sandbox_spec *spec)
{
	const char *task = spec->mode.namespaces ? "/var/task" : spec->task;
	if (chdir(task) < 0 || sandbox_confine(spec) < 0)
		_exit(SANDBOX_EXIT_NOT_STARTED);
	/* A layer may bring it as well. */
	char task_name[] = "/var/task/bootstrap", opt_name[] = "/opt/bootstrap";
	char *of_task[] = { task_name, NULL }, *of_opt[] = { opt_name, NULL };
	execve("./bootstrap", of_task, spec->env);
	if (errno == ENOENT)
		execve("/opt/bootstrap", of_opt, spec->env);
	sandbox_say("execute", "bootstrap");
	_exit(SANDBOX_EXIT_NOT_STARTED);
}

/* Kills the process's descendants as far as they can be seen from here. */
static void kill_below(pid_t pid, int depth)
{
	enum { DEPTH_MAX = 64 };
	char path[64];
	scoped_buf struct buf list = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (depth > DEPTH_MAX || read_file_at(AT_FDCWD, path, &list, 1 << 20, NULL) < 0 ||
	    !list.data)
		return;
	for (char *at = list.data, *end; *at; at = end) {
		pid_t below = (pid_t)strtol(at, &end, 10);
		if (end == at)
			return;
		if (below <= 0)
			continue;
		kill(below, SIGSTOP);
		kill_below(below, depth + 1);
		kill(below, SIGKILL);
	}
}

/* Whoever is orphaned becomes a child of ours. */
static void kill_the_rest(void)
{
	do
		kill_below(getpid(), 0);
	while (wait(NULL) > 0 || errno == EINTR);
}

/* The process that all others of the instance descend from: waits for them, and ends with
 * bootstrap, nobody being left. */
static void supervise(const struct sandbox_spec *spec)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (child < 0)
		_exit(SANDBOX_EXIT_NOT_STARTED);
	if (child == 0)
		execute(spec);
	int devnull = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(devnull, fd); /* so that the output ends with those who print */
	for (;;) {
		int status;
		pid_t pid = wait(&status);
		if (pid == child) {
			kill_the_rest();
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
		}
		if (pid < 0 && errno != EINTR)
			_exit(SANDBOX_EXIT_NOT_STARTED);
	}
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Drops all that was the parent's, which waits for it: a connection that it closed while we had it
 * as well would neither end nor leave its epoll. Then our identity is written, when we are in a
 * user namespace, and we are told to go on. */
static void take_over(int go, int output)
{
	enum { GO = 3 };
	char byte = 0;
	int devnull = open("/dev/null", O_RDONLY);
	if (devnull < 0 || dup2(devnull, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
	    (go != GO && dup2(go, GO) < 0))
		_exit(SANDBOX_EXIT_NOT_STARTED);
	syscall(SYS_close_range, GO + 1, ~0U, 0);
	if (write(GO, &byte, 1) != 1 || read(GO, &byte, 1) != 1)
		_exit(SANDBOX_EXIT_NOT_STARTED);
	close(GO);
}

static void child(const struct sandbox_spec *spec, int go, int output)
{
	reset_signals();
	take_over(go, output);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (spec->mode.namespaces && sandbox_enter(spec) < 0)
		_exit(SANDBOX_EXIT_NOT_STARTED);
	if (spec->env)
		supervise(spec);
	_exit(0);
}

/* --- in the parent -----------------------------------------------------------------------------
 */

static int write_proc(pid_t pid, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	scoped_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write_full(fd, text, strlen(text));
}

static int map_user(const struct sandbox_spec *spec, pid_t pid)
{
	char text[64];
	snprintf(text, sizeof(text), "%u %u 1", (unsigned)spec->uid, (unsigned)geteuid());
	int r = write_proc(pid, "uid_map", text);
	if (r == 0)
		r = write_proc(pid, "setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", (unsigned)spec->uid, (unsigned)getegid());
	return r < 0 ? r : write_proc(pid, "gid_map", text);
}

int sandbox_start(const struct sandbox_spec *spec, struct sandbox_process *out, struct error *err)
{
	int go[2], output[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		return error_errno(err, "cannot create a pair of sockets");
	scoped_fd int go_read = go[0];
	scoped_fd int go_write = go[1];
	if (pipe2(output, O_CLOEXEC) < 0)
		return error_errno(err, "cannot create a pipe");
	scoped_fd int output_read = output[0];
	scoped_fd int output_write = output[1];
	unsigned long flags = SIGCHLD | CLONE_PIDFD;
	if (spec->mode.namespaces)
		flags |= NAMESPACES | (spec->mode.user_namespace ? CLONE_NEWUSER : 0);
	int fd = -1;
	/* As fork(), but for the namespaces. */
	pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, &fd, NULL, NULL);
	if (pid < 0)
		return error_errno(err, "cannot start a process%s",
		                   spec->mode.namespaces ? " in namespaces of its own" : "");
	if (pid == 0)
		child(spec, go_read, output_write);
	struct sandbox_process p = { .pid = pid, .fd = fd, .output = output_read };
	char byte;
	close(steal_fd(&go_read));
	int r = read_full(go_write, &byte, 1) == 1 ? 0 : -EIO;
	if (r == 0 && spec->mode.user_namespace)
		r = map_user(spec, pid);
	if (r < 0 || write_full(go_write, "", 1) < 0) {
		kill(pid, SIGKILL);
		p.output = -1;
		sandbox_wait(&p);
		return error_set(err, r < 0 ? r : -EIO, "cannot set up a process: %s",
		                 strerror(-r));
	}
	fd_set_nonblock(output_read, true);
	steal_fd(&output_read);
	*out = p;
	return 0;
}

void sandbox_kill(struct sandbox_process *p)
{
	if (p->pid <= 0)
		return;
	/* Whoever is orphaned falls to the supervisor; it is last. */
	kill_below(p->pid, 0);
	kill(p->pid, SIGKILL);
}

int sandbox_wait(struct sandbox_process *p)
{
	int status = 0;
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(p->fd);
	if (p->output >= 0)
		close(p->output);
	*p = (struct sandbox_process){ .fd = -1, .output = -1 };
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- what can be had here ----------------------------------------------------------------------
 */

/* Whether a process gets as far as executing. What it says goes to why. */
static bool works(struct sandbox_spec *spec, char **why)
{
	struct error err = ERROR_INIT;
	struct sandbox_process p;
	scoped_buf struct buf said = BUF_INIT;
	free(*why);
	*why = NULL;
	if (sandbox_start(spec, &p, &err) < 0) {
		*why = xstrdup(error_text(&err));
		return false;
	}
	fd_set_nonblock(p.output, false);
	read_all(p.output, &said, 4096);
	if (sandbox_wait(&p) == 0)
		return true;
	*why = xstrndup(said.data ? said.data : "", said.len - (said.len > 0));
	return false;
}

struct sandbox_mode sandbox_probe(const char *mount_point, char **why_not)
{
	struct sandbox_spec spec = {
		.mode = { .namespaces = true, .user_namespace = geteuid() != 0 },
		.mount_point = mount_point,
		.task = "/usr",
		.tmp_mib = 1,
		.memory_mib = 128,
		.uid = 993,
	};
	*why_not = NULL;
	if (works(&spec, why_not))
		return spec.mode;
	return (struct sandbox_mode){ 0 };
}
