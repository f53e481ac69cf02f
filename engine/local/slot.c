#include "engine/local/slot.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "common/io.h"

/* --- options ---------------------------------------------------------------------------------- */

/* Beside the executable, where an installation has it, or in a build directory above. */
static char *find_runner(void)
{
	const char *set = getenv("GGFS_RUNNER");
	if (set && *set)
		return xstrdup(set);
	static const char *const places[] = {
		"ggfs-runner",
		"../ggfs-runner",
		"../libexec/ggfs-runner",
		"../libexec/ggfs/ggfs-runner",
		"../engine/local/ggfs-runner",
		"../../engine/local/ggfs-runner",
		"../../../engine/local/ggfs-runner",
	};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len < 0 ? 0 : len] = '\0';
	char *slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(*places); i++) {
		scoped_free char *path = xformat("%.*s/%s", (int)(slash - self), self, places[i]);
		if (access(path, X_OK) == 0)
			return steal(&path);
	}
	return access(GGFS_RUNNER_INSTALLED, X_OK) == 0 ? xstrdup(GGFS_RUNNER_INSTALLED) : NULL;
}

static uint64_t world_bytes(void)
{
	const char *set = getenv("GGFS_WORLD_BYTES");
	uint64_t bytes = set ? strtoull(set, NULL, 10) : 0;
	struct sysinfo info;
	if (bytes == 0 && sysinfo(&info) == 0)
		bytes = (uint64_t)info.totalram * info.mem_unit / 2;
	return bytes ? bytes : 1u << 30;
}

int slot_options_init(struct slot_options *o, int store, struct error *err)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", store);
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return error_errno(err, "cannot tell where the store is");
	scoped_free char *runner = find_runner();
	if (!runner)
		return error_set(err, -ENOENT,
		                 "ggfs-runner is neither beside this program nor at %s; "
		                 "set GGFS_RUNNER to its path",
		                 GGFS_RUNNER_INSTALLED);
	const char *mode = getenv("GGFS_SANDBOX");
	*o = (struct slot_options){ .store = store,
		                    .store_path = xstrndup(path, (size_t)len),
		                    .runner = steal(&runner),
		                    .world_bytes = world_bytes(),
		                    .weak = mode && strcmp(mode, "weak") == 0 };
	return 0;
}

void slot_options_release(struct slot_options *o)
{
	free(o->store_path);
	free(o->runner);
	*o = (struct slot_options){ .store = -1 };
}

/* --- the runner's life ------------------------------------------------------------------------ */

void slot_init(struct slot *s, const struct slot_options *options)
{
	*s = (struct slot){ .options = options, .socket = -1, .stderr_fd = -1 };
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A runner that does nothing ends when its socket does. */
static bool ends_by_itself(pid_t pid)
{
	scoped_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds = { .fd = pidfd, .events = POLLIN };
	return pidfd >= 0 && poll(&fds, 1, SLOT_END_GRACE_MS) == 1;
}

void slot_stop(struct slot *s)
{
	close_fd(&s->socket);
	close_fd(&s->stderr_fd);
	if (s->pid > 0) {
		/* Its launcher dies with it, and with that all in its pid namespace. */
		if (s->busy || !ends_by_itself(s->pid))
			kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	s->pid = 0;
	s->busy = false;
	if (s->directory)
		remove_tree_at(AT_FDCWD, s->directory, NULL);
	free(s->directory);
	s->directory = NULL;
}

/* Out of the way of the numbers the runner expects, so that no dup2 overwrites a source. */
static int lift(int fd)
{
	int lifted = fcntl(fd, F_DUPFD_CLOEXEC, 16);
	return lifted < 0 ? -errno : lifted;
}

static int spawn_with(struct slot *s, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes)
{
	char bytes[32], weak[] = "weak", namespaces[] = "namespaces";
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)s->options->world_bytes);
	char *const argv[] = { s->options->runner,     s->options->weak ? weak : namespaces,
		               s->options->store_path, bytes,
		               s->directory,           NULL };
	char *const envp[] = { NULL };
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	/* Its own session: a Ctrl-C is the service's affair. */
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
	                                             POSIX_SPAWN_SETSID);
	return -posix_spawn(&s->pid, s->options->runner, actions, attributes, argv, envp);
}

static int spawn(struct slot *s, int socket, int stderr_fd, struct error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	scoped_fd int store = lift(s->options->store);
	if (store < 0)
		return error_set(err, store, "cannot start a runner: no descriptors left");
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, socket, RUNNER_SOCKET);
	posix_spawn_file_actions_adddup2(&actions, stderr_fd, RUNNER_STDERR);
	posix_spawn_file_actions_adddup2(&actions, store, RUNNER_STORE);
	int r = spawn_with(s, &actions, &attributes);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (r < 0) {
		s->pid = 0;
		return error_set(err, r, "cannot start %s: %s", s->options->runner, strerror(-r));
	}
	return 0;
}

static int hear_hello(struct slot *s, struct error *err)
{
	scoped_buf struct buf b = BUF_INIT;
	uint32_t type = 0;
	struct job_hello hello;
	int r = job_receive(s->socket, &type, &b, NULL);
	if (r < 0 || type != JOB_HELLO || b.len != sizeof(hello))
		return error_set(err, -EPIPE, "%s did not start", s->options->runner);
	memcpy(&hello, b.data, sizeof(hello));
	hello.text[JOB_TEXT_MAX - 1] = '\0';
	return hello.code < 0 ? error_set(err, hello.code, "%s", hello.text) : 0;
}

static int start_with(struct slot *s, int pair[2], int pipe_fds[2], struct error *err)
{
	scoped_fd int socket = lift(pair[1]);
	scoped_fd int stderr_fd = lift(pipe_fds[1]);
	if (socket < 0 || stderr_fd < 0)
		return error_set(err, -EMFILE, "cannot start a runner: no descriptors left");
	if (s->options->weak) {
		const char *base = getenv("TMPDIR");
		s->directory = xformat("%s/ggfs-weak-XXXXXX", base && *base ? base : "/tmp");
		if (!mkdtemp(s->directory)) {
			free(s->directory);
			s->directory = NULL;
			return error_errno(err, "cannot make a directory for worlds");
		}
	}
	int r = spawn(s, socket, stderr_fd, err);
	if (r < 0)
		return r;
	s->socket = steal_fd(&pair[0]);
	s->stderr_fd = steal_fd(&pipe_fds[0]);
	fd_set_nonblock(s->stderr_fd, true);
	return 0;
}

int slot_start(struct slot *s, struct error *err)
{
	if (s->pid > 0)
		return 0;
	int pair[2] = { -1, -1 }, pipe_fds[2] = { -1, -1 };
	int r = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    pipe2(pipe_fds, O_CLOEXEC) < 0)
		r = error_errno(err, "cannot start a runner");
	if (r == 0)
		r = start_with(s, pair, pipe_fds, err);
	for (int i = 0; i < 2; i++) {
		close_fd(&pair[i]);
		close_fd(&pipe_fds[i]);
	}
	if (r == 0)
		r = hear_hello(s, err);
	if (r < 0)
		slot_stop(s);
	return r;
}

/* --- jobs ------------------------------------------------------------------------------------- */

void slot_answer_release(struct slot_answer *a)
{
	buf_release(&a->stderr_tail);
	strv_release(&a->missing);
	close_fd(&a->root);
	*a = SLOT_ANSWER_INIT;
}

static void keep_end(struct buf *b, size_t max)
{
	if (b->len <= max)
		return;
	memmove(b->data, b->data + b->len - max, max + 1);
	b->len = max;
}

/* Reads what is there now. */
static void drain_stderr(struct slot *s, struct buf *b)
{
	for (;;) {
		char bytes[8192];
		ssize_t n = read(s->stderr_fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		buf_add(b, bytes, (size_t)n);
		if (b->len > 2 * (size_t)SLOT_STDERR_MAX)
			keep_end(b, SLOT_STDERR_MAX);
		if ((size_t)n < sizeof(bytes))
			return;
	}
}

static int hear_result(struct slot *s, struct slot_answer *out)
{
	scoped_buf struct buf b = BUF_INIT;
	uint32_t type = 0;
	int r = job_receive(s->socket, &type, &b, &out->root);
	if (r < 0)
		return r;
	if (type != JOB_RESULT || b.len < sizeof(out->result))
		return -EBADMSG;
	memcpy(&out->result, b.data, sizeof(out->result));
	const char *at = b.data + sizeof(out->result), *end = b.data + b.len;
	for (uint32_t i = 0; i < out->result.missing_count && at < end; i++) {
		strv_add(&out->missing, at);
		at += strlen(at) + 1;
	}
	return 0;
}

/* The one deadline that counts now: the job's, or, once it was told to end, the runner's. */
struct wait {
	struct slot *slot;
	int64_t deadline_ms;
	bool killing;
};

static int tell_to_end(struct wait *w)
{
	if (w->killing)
		return -EPIPE; /* it was asked long ago */
	w->killing = true;
	w->deadline_ms = now_ms() + SLOT_KILL_GRACE_MS;
	return job_send(w->slot->socket, JOB_KILL, NULL, 0, -1);
}

static int wait_once(struct wait *w, const struct slot_run *run, struct slot_answer *out,
                     bool *done)
{
	struct slot *s = w->slot;
	struct pollfd fds[3] = { { .fd = s->socket, .events = POLLIN },
		                 { .fd = s->stderr_fd, .events = POLLIN },
		                 { .fd = w->killing ? -1 : run->cancel_fd, .events = POLLIN } };
	int64_t left = w->deadline_ms - now_ms();
	int n = left <= 0 ? 0 : poll(fds, 3, left > INT_MAX ? INT_MAX : (int)left);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0 && left > INT_MAX)
		return 0;
	if (n == 0) {
		out->timed_out |= !w->killing;
		return tell_to_end(w);
	}
	if (fds[1].revents & POLLIN)
		drain_stderr(s, &out->stderr_tail);
	if (fds[0].revents) {
		*done = true;
		return hear_result(s, out);
	}
	if (fds[2].revents) {
		out->cancelled = true;
		return tell_to_end(w);
	}
	return 0;
}

/* A runner that died while it had nothing to do has lost nothing: another takes the job. */
static int send_job(struct slot *s, const struct buf *b, struct error *err)
{
	int r = -EPIPE;
	for (int tries = 0; r == -EPIPE && tries < 2; tries++) {
		r = slot_start(s, err);
		if (r < 0)
			return r;
		s->busy = true;
		r = job_send(s->socket, JOB_RUN, b->data, b->len, -1);
		if (r < 0)
			slot_stop(s);
	}
	return r < 0 ? error_set(err, r, "cannot give a runner its job: %s", strerror(-r)) : 0;
}

int slot_run(struct slot *s, const struct job *job, const struct slot_run *run,
             struct slot_answer *out, struct error *err)
{
	scoped_buf struct buf b = BUF_INIT;
	job_encode(job, &b);
	int r = send_job(s, &b, err);
	if (r < 0)
		return r;
	struct wait w = { .slot = s, .deadline_ms = now_ms() + run->timeout_ms };
	bool done = false;
	while (r == 0 && !done)
		r = wait_once(&w, run, out, &done);
	drain_stderr(s, &out->stderr_tail);
	keep_end(&out->stderr_tail, SLOT_STDERR_MAX);
	s->busy = r != 0;
	if (r == 0)
		return 0;
	slot_stop(s);
	return error_set(err, -EPIPE, "the runner died while a function ran");
}

void slot_release_world(struct slot *s)
{
	if (s->pid > 0 && job_send(s->socket, JOB_RELEASE, NULL, 0, -1) < 0)
		slot_stop(s);
}
