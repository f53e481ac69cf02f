#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/aws/answers.h"
#include "common/aws/fetch.h"
#include "common/aws/words.h"
#include "common/io.h"

/* credential_process: a program that prints keys. Run without a shell, as the AWS CLI does; what
 * it says on its standard error is not ours to keep, for it may be secret. */

enum {
	PROCESS_MS = 60 * 1000,
	PROCESS_OUTPUT_MAX = 64 << 10,
};

struct aws_process {
	struct aws_fetch *fetch;
	pid_t pid; /* 0: none, or reaped */
	int out, pidfd;
	struct loop_watch *out_watch, *end_watch;
	struct loop_timer *deadline;
	struct buf output;
};

static int reap(struct aws_process *p)
{
	int status = 0;
	pid_t r;
	do
		r = waitpid(p->pid, &status, 0);
	while (r < 0 && errno == EINTR);
	p->pid = 0;
	/* Somebody else in this process reaps whatever ends: then the output has to do. */
	return r < 0 ? 0 : status;
}

void aws_process_free(struct aws_process *p)
{
	if (!p)
		return;
	loop_unwatch(p->out_watch);
	loop_unwatch(p->end_watch);
	loop_cancel(p->deadline);
	if (p->pid > 0) {
		kill(-p->pid, SIGKILL);
		kill(p->pid, SIGKILL);
		reap(p);
	}
	scoped_close_(&p->out);
	scoped_close_(&p->pidfd);
	if (p->output.data)
		OPENSSL_cleanse(p->output.data, p->output.capacity);
	buf_release(&p->output);
	free(p);
}

static void fail(struct aws_process *p, const char *what)
{
	struct aws_fetch *f = p->fetch;
	aws_process_free(steal(&f->process));
	aws_fetch_fail(f, "%s: the program %s", f->plan->origin, what);
}

static void on_deadline(void *arg)
{
	struct aws_process *p = arg;
	p->deadline = NULL;
	fail(p, "did not end in time");
}

static void on_end(void *arg, uint32_t events)
{
	(void)events;
	struct aws_process *p = arg;
	struct aws_fetch *f = p->fetch;
	int status = reap(p);
	if (status) {
		scoped_free char *what =
		        WIFSIGNALED(status)
		                ? xformat("was killed by signal %d", WTERMSIG(status))
		                : xformat("exited with status %d; run it by hand to see why",
		                          WEXITSTATUS(status));
		fail(p, what);
		return;
	}
	struct aws_keys keys = { 0 };
	struct error err = ERROR_INIT;
	int r = aws_answer_process(p->output.data ? p->output.data : "", p->output.len, &keys,
	                           &err);
	aws_process_free(steal(&f->process));
	if (r < 0)
		aws_fetch_fail(f, "%s: %s", f->plan->origin, err.text);
	else
		aws_fetch_keys(f, &keys);
	aws_keys_release(&keys);
}

static void on_output(void *arg, uint32_t events)
{
	(void)events;
	struct aws_process *p = arg;
	char bytes[4096];
	ssize_t got = read(p->out, bytes, sizeof(bytes));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		if (p->output.len + (size_t)got > PROCESS_OUTPUT_MAX)
			fail(p, "prints too much");
		else
			buf_add(&p->output, bytes, (size_t)got);
		OPENSSL_cleanse(bytes, sizeof(bytes));
		return;
	}
	loop_unwatch(steal(&p->out_watch));
	struct error err = ERROR_INIT;
	if (loop_watch(net_loop(p->fetch->net), p->pidfd, EPOLLIN, on_end, p, &p->end_watch, &err) <
	    0)
		fail(p, "cannot be waited for");
}

/* In a process group of its own, so that its children end with it, and with signals as usual: this
 * thread blocks all. */
static int spawn(char **argv, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, usual;
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&how);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &usual);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                       POSIX_SPAWN_SETSIGDEF);
	int r = posix_spawnp(pid, argv[0], &files, &how, argv, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

static int run(struct aws_process *p, char **argv, struct error *err)
{
	struct loop *loop = net_loop(p->fetch->net);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	p->out = ends[0];
	scoped_fd int theirs = ends[1];
	fd_set_nonblock(p->out, true);
	int r = spawn(argv, theirs, &p->pid);
	if (r < 0) {
		p->pid = 0;
		errno = -r;
		return error_errno(err, "cannot run \"%s\"", argv[0]);
	}
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return error_errno(err, "cannot wait for \"%s\"", argv[0]);
	p->deadline = loop_after(loop, PROCESS_MS, on_deadline, p);
	return loop_watch(loop, p->out, EPOLLIN, on_output, p, &p->out_watch, err);
}

void aws_fetch_process(struct aws_fetch *f)
{
	struct error err = ERROR_INIT;
	scoped_strv struct strv argv = STRV_INIT;
	if (!words_split(f->plan->command, &argv) || !argv.count) {
		aws_fetch_fail(f, "%s: the command has a quote without its end, or no word",
		               f->plan->origin);
		return;
	}
	f->process = xcalloc(1, sizeof(*f->process));
	*f->process = (struct aws_process){ .fetch = f, .out = -1, .pidfd = -1 };
	if (run(f->process, argv.items, &err) < 0) {
		aws_process_free(steal(&f->process));
		aws_fetch_fail(f, "%s: %s", f->plan->origin, err.text);
	}
}
