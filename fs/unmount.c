#include "fs/unmount.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/io.h"
#include "fs/mountinfo.h"

enum {
	PROBE_MS = 5000,
	GONE_MS = 5000, /* how long an unmounted process may take to end */
	GONE_POLL_MS = 10,
	MESSAGE_BYTES_MAX = 1024,
};

extern char **environ;

static void probe_child(const char *directory)
{
	DIR *dir = opendir(directory);
	errno = dir ? 0 : errno;
	if (dir)
		readdir(dir);
	_exit(errno);
}

int unmount_probe(const char *directory)
{
	int status;
	pid_t child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		probe_child(directory);
	scoped_fd int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	if (pidfd >= 0 && poll(&p, 1, PROBE_MS) == 0) {
		/* It may be past being killed; whoever started us will inherit it. */
		kill(child, SIGKILL);
		waitpid(child, &status, WNOHANG);
		return -ETIMEDOUT;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* Runs fusermount3, which alone may unmount for an ordinary user; its message is the error's. */
static int run_fusermount(const char *directory, bool lazy, struct error *err)
{
	const char *argv[] = { "fusermount3",           "-u",
		               lazy ? "-z" : "--",      lazy ? "--" : directory,
		               lazy ? directory : NULL, NULL };
	scoped_buf struct buf message = BUF_INIT;
	posix_spawn_file_actions_t actions;
	int out[2], status;
	pid_t pid;
	if (pipe2(out, O_CLOEXEC) < 0)
		return error_errno(err, "cannot run fusermount3");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
	int r = posix_spawnp(&pid, argv[0], &actions, NULL, (char **)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	scoped_fd int from = out[0];
	if (r != 0)
		return error_set(err, -r, "cannot run fusermount3 (Debian's package fuse3 has it)");
	read_all(from, &message, MESSAGE_BYTES_MAX);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(err, "fusermount3 was lost");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	bool busy = message.data && strstr(message.data, "busy");
	return error_set(err, busy ? -EBUSY : -EPERM, "%s",
	                 message.len ? message.data : "fusermount3 failed");
}

int unmount_directory(const char *directory, bool lazy, struct error *err)
{
	if (umount2(directory, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EPERM)
		return run_fusermount(directory, lazy, err);
	return error_errno(err, "cannot unmount %s", directory);
}

/* After an unmount the mount process still has its affairs to put in order; who mounts again at
 * once should not meet it. */
static void wait_until_gone(const struct mountinfo_entry *e)
{
	bool stale;
	int64_t until = now_ms() + GONE_MS;
	while (mountinfo_server(e, &stale) > 0 && now_ms() < until)
		poll(NULL, 0, GONE_POLL_MS);
}

int mount_unmount(const char *directory, bool lazy, struct error *err)
{
	struct mountinfo_entry e = { 0 };
	int r = mountinfo_find(directory, &e, err);
	if (r == -ENOENT || (r == 0 && !e.store))
		r = error_set(err, -EINVAL, "%s is not a mount of ggfs", directory);
	else if (r == 0)
		r = unmount_directory(directory, lazy, err);
	if (r == 0 && !lazy)
		wait_until_gone(&e);
	mountinfo_entry_release(&e);
	return r;
}
