/*
 * as-user MODE PROGRAM: runs a test with a temporary directory of its own and, by MODE, as
 *
 *     nobody          an ordinary user, if we are root; else as ourselves
 *     root-without    root of a user namespace in which no other can be made
 *     user-without    the same with no capability: no namespace of any kind can be had
 *
 * Exits with 77 (skipped) where this machine cannot do that.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/io.h"

enum { NOBODY = 65534, SKIPPED = 77 };

static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0) {
		perror("as-user");
		_exit(1);
	}
}

static int write_text(const char *path, const char *text)
{
	scoped_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

/* The limit is that of the namespace it is written in, so nobody else has it. */
static void forbid_namespaces(unsigned inner_id, bool capable)
{
	scoped_free char *users = xformat("%u %u 1", inner_id, geteuid());
	scoped_free char *groups = xformat("%u %u 1", inner_id, getegid());
	if (unshare(CLONE_NEWUSER) < 0 || write_text("/proc/self/setgroups", "deny") < 0 ||
	    write_text("/proc/self/uid_map", users) < 0 ||
	    write_text("/proc/self/gid_map", groups) < 0 ||
	    write_text("/proc/sys/user/max_user_namespaces", "0") < 0) {
		perror("SKIP: no user namespace can be had to forbid them in");
		_exit(SKIPPED);
	}
	/* execve as another than root then gives no capability back. */
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	if (!capable && syscall(SYS_capset, &header, none) < 0)
		_exit(1);
}

static void become(const char *mode)
{
	if (strcmp(mode, "nobody") == 0)
		become_nobody();
	else if (strcmp(mode, "root-without") == 0)
		forbid_namespaces(0, true);
	else if (strcmp(mode, "user-without") == 0)
		forbid_namespaces(NOBODY, false);
	else
		_exit(2);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const char *base = getenv("TMPDIR");
	scoped_free char *directory = xformat("%s/ggfs-user-XXXXXX", base ? base : "/tmp");
	bool give_away = geteuid() == 0 && strcmp(argv[1], "nobody") == 0;
	if (!mkdtemp(directory) || (give_away && chown(directory, NOBODY, NOBODY) < 0)) {
		perror(directory);
		return 1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		setenv("TMPDIR", directory, 1);
		become(argv[1]);
		execv(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	int status = 1;
	waitpid(pid, &status, 0);
	remove_tree_at(AT_FDCWD, directory, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
