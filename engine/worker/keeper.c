#include "engine/worker/keeper.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/io.h"
#include "engine/local/filter.h"
#include "engine/local/limit.h"
#include "engine/local/weak.h"

/* What the keeper tells when all is over. */
struct report {
	int32_t error, wait_status;
	uint64_t micros, max_rss_kib;
};

enum { CONTROL = 3 }; /* the keeper's end */

/* --- in the keeper -----------------------------------------------------------------------------
 */

static void allow(int ruleset, const char *path, uint64_t rights)
{
	scoped_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
	if (fd >= 0)
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* The function's rights where the kernel has landlock: its world, and to read what starts it. */
static int make_ruleset(const char *job)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		                               "/dev/urandom" };
	const uint64_t file_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
	uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
	long version =
	        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return -1;
	if (version >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER; /* else no file could be moved to a directory */
	struct landlock_ruleset_attr attr = { .handled_access_fs = all };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -1;
	scoped_free char *root = xformat("%s/root", job);
	scoped_free char *library = xformat("%s/relocate.so", job);
	scoped_free char *report = xformat("%s/report", job);
	allow(ruleset, root, all);
	allow(ruleset, library, LANDLOCK_ACCESS_FS_READ_FILE);
	allow(ruleset, report, LANDLOCK_ACCESS_FS_WRITE_FILE);
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		allow(ruleset, devices[i], file_rights);
	return ruleset;
}

/* When memory runs out it is the function that goes, not the worker. */
static void offer_to_oom_killer(void)
{
	scoped_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1000", 4) < 0)
		return; /* then the kernel chooses */
}

/* In a container the worker may be root. What cannot be dropped was not there. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	for (unsigned long capability = 0; capability <= CAP_LAST_CAP; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

static _Noreturn void start_function(const struct keeper_job *job, int ruleset, int failed)
{
	setsid();
	offer_to_oom_killer();
	int r = chdir(job->cwd) < 0 ? -errno : weak_restrict(ruleset);
	drop_capabilities();
	if (r == 0 && filter_install(NULL) < 0)
		r = 0; /* where there is no seccomp either: nothing is denied then */
	/* Last: it is the function's bound, not ours. */
	if (r == 0 && job->memory_mib)
		limit_lower(RLIMIT_AS, (rlim_t)job->memory_mib * FUNCTION_MEMORY_TIMES << 20);
	if (r == 0) {
		execve(job->execute, job->argv, job->env);
		r = -errno;
	}
	int32_t error = -r;
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static pid_t parent_of(const char *pid)
{
	scoped_buf struct buf b = BUF_INIT;
	scoped_free char *path = xformat("/proc/%s/stat", pid);
	int parent = 0;
	if (read_file_at(AT_FDCWD, path, &b, 4096, NULL) < 0 || b.len == 0)
		return 0;
	/* "PID (NAME) STATE PARENT": the name may hold anything. */
	const char *end = strrchr(b.data, ')');
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* For kernels that do not list a task's children. */
static void kill_children_by_parent(void)
{
	scoped_dir DIR *proc = opendir("/proc");
	for (const struct dirent *e; proc && (e = readdir(proc));)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == getpid())
			kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
}

/* Ends all children, and what was theirs, and waits for it. */
static void end_all(bool one_thread)
{
	/* The list is a thread's. */
	scoped_free char *list = xformat("/proc/self/task/%d/children", (int)getpid());
	bool listed = one_thread && access(list, R_OK) == 0;
	for (;;) {
		/* The children of those killed before have become ours. */
		if (listed)
			weak_kill_children();
		else
			kill_children_by_parent();
		pid_t pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno == ECHILD)
			return;
	}
}

/* Until the function ends, or the worker says so, or is gone. */
static void wait_for_end(int pidfd)
{
	for (;;) {
		struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
			                 { .fd = CONTROL, .events = POLLIN } };
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents || fds[1].revents)
			return;
	}
}

/* Standard streams and the control socket, nothing else of the worker's. */
static int shut_in(int control, int stderr_fd)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0)
		return -errno;
	/* Moved out of the way first: they may have the very numbers they are moved to. */
	int high_control = fcntl(control, F_DUPFD, 10), high_stderr = fcntl(stderr_fd, F_DUPFD, 10);
	if (high_control < 0 || high_stderr < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(high_stderr, 2) < 0 || dup3(high_control, CONTROL, O_CLOEXEC) < 0)
		return -errno;
	if (syscall(SYS_close_range, CONTROL + 1, ~0u, 0) < 0)
		for (int fd = CONTROL + 1; fd < 65536; fd++)
			close(fd);
	return 0;
}

static int prepare(int control, int stderr_fd)
{
	int r = shut_in(control, stderr_fd);
	if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	umask(022);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	limit_lower(RLIMIT_CORE, 0);
	limit_lower(RLIMIT_NOFILE, FUNCTION_FILES_MAX_OPEN);
	return r;
}

static void keep(const struct keeper_job *job, struct report *report)
{
	int failed[2];
	int ruleset = make_ruleset(job->job);
	if (pipe2(failed, O_CLOEXEC) < 0) {
		report->error = errno;
		return;
	}
	int64_t begin = now_us();
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		start_function(job, ruleset, failed[1]);
	}
	close(failed[1]);
	if (pid < 0) {
		report->error = errno;
		return;
	}
	int32_t error = 0;
	if (read(failed[0], &error, sizeof(error)) == sizeof(error))
		report->error = error;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		wait_for_end(pidfd);
	else
		report->error = EAGAIN; /* out of descriptors: lost, not failed */
	report->micros = (uint64_t)(now_us() - begin);
	/* Killed here, so that its own status can still be waited for. */
	siginfo_t info = { 0 };
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
		kill(pid, SIGKILL);
	waitpid(pid, &report->wait_status, 0);
	end_all(true);
	struct rusage usage;
	if (getrusage(RUSAGE_CHILDREN, &usage) == 0)
		report->max_rss_kib = (uint64_t)usage.ru_maxrss;
}

static _Noreturn void be_keeper(const struct keeper_job *job, int control, int stderr_fd)
{
	struct report report = { 0 };
	int r = prepare(control, stderr_fd);
	if (r < 0)
		report.error = -r;
	else
		keep(job, &report);
	_exit(write_full(CONTROL, &report, sizeof(report)) < 0);
}

/* --- in the worker -----------------------------------------------------------------------------
 */

/* Keeps the end: twice as much at most, so that moving it costs little. */
static void take_stderr(int fd, struct buf *tail)
{
	char bytes[16 << 10];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	if (n <= 0)
		return;
	buf_add(tail, bytes, (size_t)n);
	if (tail->len < 2 * KEEPER_STDERR_MAX)
		return;
	size_t skip = tail->len - KEEPER_STDERR_MAX;
	memmove(tail->data, tail->data + skip, KEEPER_STDERR_MAX + 1);
	tail->len = KEEPER_STDERR_MAX;
}

/* What is still in the pipe. Its writers are gone; if one is not, it is not waited for. */
static void drain_stderr(int fd, struct buf *tail)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	for (size_t i = 0; i < 1024 && poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLIN); i++)
		take_stderr(fd, tail);
	if (tail->len > KEEPER_STDERR_MAX) {
		size_t skip = tail->len - KEEPER_STDERR_MAX;
		memmove(tail->data, tail->data + skip, KEEPER_STDERR_MAX + 1);
		tail->len = KEEPER_STDERR_MAX;
	}
}

static int attend(int control, int stderr_fd, const struct keeper_job *job,
                  struct keeper_result *out, struct report *report)
{
	int64_t until = job->until_ms;
	bool stderr_open = true;
	for (;;) {
		int64_t left = until - now_ms();
		if (left <= 0 && out->killed)
			return -ETIMEDOUT;
		if (left <= 0) {
			out->killed = true;
			until = now_ms() + KEEPER_GRACE_MS;
			if (write(control, "k", 1) < 0)
				return -EPIPE;
			continue;
		}
		struct pollfd fds[3] = { { .fd = control, .events = POLLIN },
			                 { .fd = stderr_open ? stderr_fd : -1, .events = POLLIN },
			                 { .fd = job->asker && !out->killed ? job->asker : -1,
			                   .events = POLLRDHUP } };
		int timeout = left > INT32_MAX ? INT32_MAX : (int)left;
		if (poll(fds, 3, timeout) < 0)
			continue;
		if (fds[2].revents) {
			out->left = true;
			until = 0;
		}
		if (fds[1].revents & POLLIN)
			take_stderr(stderr_fd, &out->stderr_tail);
		else if (fds[1].revents)
			stderr_open = false;
		if (fds[0].revents)
			return read_full(control, report, sizeof(*report)) == sizeof(*report)
			               ? 0
			               : -EPIPE;
	}
}

/* A function that ends its keeper does not escape a process that is a subreaper for this. */
static void end_orphans(void)
{
	int is_reaper = 0;
	if (prctl(PR_GET_CHILD_SUBREAPER, &is_reaper, 0, 0, 0) == 0 && is_reaper)
		end_all(false);
}

int keeper_run(const struct keeper_job *job, struct keeper_result *out, struct error *err)
{
	int control[2], output[2];
	struct report report = { 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		return error_errno(err, "cannot make a socket pair");
	scoped_fd int ours = control[0], theirs = control[1];
	if (pipe2(output, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	scoped_fd int from = output[0], to = output[1];
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, "cannot fork");
	if (pid == 0)
		be_keeper(job, theirs, to);
	close(steal_fd(&theirs));
	close(steal_fd(&to));
	int r = attend(ours, from, job, out, &report);
	if (r < 0)
		kill(pid, SIGKILL);
	drain_stderr(from, &out->stderr_tail);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0) {
		end_orphans();
		return error_set(err, -EPIPE, "what kept the function was lost with it");
	}
	out->error = report.error;
	out->wait_status = report.wait_status;
	out->micros = report.micros;
	out->max_rss_kib = report.max_rss_kib;
	return 0;
}
