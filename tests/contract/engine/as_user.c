/*
 * as-user PROGRAM: runs a test as an ordinary user (nobody) with a temporary directory of its
 * own, if we are root; an ordinary user needs no help and runs it so anyway.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/io.h"

enum { NOBODY = 65534 };

static void become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0) {
		perror("as-user");
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	const char *base = getenv("TMPDIR");
	scoped_free char *directory = xformat("%s/ggfs-user-XXXXXX", base ? base : "/tmp");
	bool root = geteuid() == 0;
	if (!mkdtemp(directory) || (root && chown(directory, NOBODY, NOBODY) < 0)) {
		perror(directory);
		return 1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		setenv("TMPDIR", directory, 1);
		if (root)
			become_nobody();
		execv(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	int status = 1;
	waitpid(pid, &status, 0);
	remove_tree_at(AT_FDCWD, directory, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
