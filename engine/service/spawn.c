#include "engine/service/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/buf.h"
#include "common/io.h"
#include "engine/service/start.h"

enum { READY_FD = 3, SPAWN_TEXT_MAX = 4096, COVERED_POLL_MS = 20 };

/* Where the ggfs binary is; what execvp can take. */
static char *find_program(const char *program)
{
	const char *named = program ? program : getenv("GGFS_BIN");
	if (named && *named)
		return xstrdup(named);
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = len > 0 ? memrchr(self, '/', (size_t)len) : NULL;
	if (!slash)
		return xstrdup("ggfs");
	char *beside = xformat("%.*s/ggfs", (int)(slash - self), self);
	if (access(beside, X_OK) == 0)
		return beside;
	free(beside);
	return xstrdup("ggfs");
}

/* PATH without the directory of stand-ins: the service's own gcc calls must be the real one's. */
static char *path_without(const char *path, const char *standins)
{
	struct buf b = BUF_INIT;
	size_t standins_len = strlen(standins);
	for (const char *at = path; *at;) {
		size_t len = strcspn(at, ":");
		if (len != standins_len || strncmp(at, standins, len) != 0) {
			if (b.len)
				buf_add_char(&b, ':');
			buf_add(&b, at, len);
		}
		at += len + (at[len] == ':');
	}
	return buf_steal(&b, NULL);
}

/* Variables of a build that a service would carry along for its whole life. */
static char **clean_environment(struct strv *env)
{
	static const char *const dropped[] = { "GGFS_STUBS=", "GGFS_EAGER=", "GGFS_REPORT=",
		                               "MAKEFLAGS=",  "MAKELEVEL=",  "MFLAGS=",
		                               "PWD=",        "OLDPWD=" };
	const char *standins = getenv("GGFS_STUBS");
	for (char **e = environ; *e; e++) {
		bool keep = true;
		for (size_t i = 0; i < sizeof(dropped) / sizeof(*dropped); i++)
			keep &= strncmp(*e, dropped[i], strlen(dropped[i])) != 0;
		if (keep && standins && strncmp(*e, "PATH=", 5) == 0) {
			scoped_free char *path = path_without(*e + 5, standins);
			strv_add_format(env, "PATH=%s", path);
		} else if (keep) {
			strv_add(env, *e);
		}
	}
	return env->items;
}

/* In the grandchild: nothing is inherited but the pipe that tells of readiness. */
static _Noreturn void become_service(const char *program, char *const argv[], char **env, int ready)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	umask(022);
	/* Out of the way first: where the starter has standard streams closed, these numbers are.
	 */
	ready = fcntl(ready, F_DUPFD, READY_FD + 1);
	int null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, READY_FD + 1);
	if (dup2(ready, READY_FD) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0 || close_range(READY_FD + 1, ~0U, 0) < 0 || chdir("/") < 0)
		_exit(126);
	environ = env;
	execvpe(program, argv, env);
	int code = errno;
	const char *reason = strerrordesc_np(code);
	if (write(READY_FD, program, strlen(program)) < 0 || write(READY_FD, ": ", 2) < 0 ||
	    write(READY_FD, reason, strlen(reason)) < 0)
		_exit(126);
	_exit(127);
}

/* What the service says on its pipe: one NUL byte when it listens, else why it does not. */
static int await_ready(int fd, const char *program, const char *store, struct error *err)
{
	char text[SPAWN_TEXT_MAX];
	size_t len = 0;
	int64_t end = now_ms() + START_WAIT_MS;
	while (len < sizeof(text) - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(
			        err, -ECONNREFUSED,
			        "the service of %s did not come up within %d s; see %s/service/log",
			        store, START_WAIT_MS / 1000, store);
		ssize_t got = read(fd, text + len, sizeof(text) - 1 - len);
		if (got <= 0)
			break;
		len += (size_t)got;
		if (memchr(text, '\0', len))
			return 0;
	}
	text[len] = '\0';
	if (len == 0) {
		error_set(err, -ECONNREFUSED, "%s ends without serving %s; see %s/service/log",
		          program, store, store);
		return SPAWN_SILENT;
	}
	return error_set(err, -ECONNREFUSED, "cannot start the service of %s: %s", store, text);
}

int spawn_service(const char *program, const char *store, struct error *err)
{
	/* Where a build's tools are covered by stand-ins a service would take these for the tools.
	 * The build's mount is outside and starts one at once. */
	if (getenv("GGFS_COVER")) {
		poll(NULL, 0, COVERED_POLL_MS);
		return 0;
	}
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	scoped_fd int read_end = pipe_fds[0];
	scoped_fd int write_end = pipe_fds[1];
	scoped_free char *binary = find_program(program);
	scoped_strv struct strv argv = STRV_INIT, env = STRV_INIT;
	strv_add(&argv, "ggfs");
	strv_add(&argv, "service");
	strv_add(&argv, "--store");
	strv_add(&argv, store);
	strv_add(&argv, "--ready-fd");
	strv_add_format(&argv, "%d", READY_FD);
	char **clean = clean_environment(&env);
	pid_t child = fork();
	if (child < 0)
		return error_errno(err, "cannot start the service");
	if (child == 0) {
		if (setsid() < 0 || fork() != 0)
			_exit(0);
		become_service(binary, argv.items, clean, write_end);
	}
	close(steal_fd(&write_end));
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return await_ready(read_end, binary, store, err);
}
