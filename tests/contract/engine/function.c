/* The function that tests of engines run: f VERB ARGUMENTS... Static, so that it needs no other
 * file. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		return fail(path);
	return 0;
}

/* write PATH TEXT */
static int do_write(char **args)
{
	return put(args[0], args[1]);
}

/* copy FROM TO */
static int do_copy(char **args)
{
	FILE *from = fopen(args[0], "r");
	FILE *to = from ? fopen(args[1], "w") : NULL;
	if (!to)
		return fail(from ? args[1] : args[0]);
	for (int c; (c = getc(from)) != EOF;)
		putc(c, to);
	fclose(from);
	return fclose(to) != 0 ? fail(args[1]) : 0;
}

/* append PATH TEXT */
static int do_append(char **args)
{
	FILE *f = fopen(args[0], "a");
	if (!f || fputs(args[1], f) < 0 || fclose(f) != 0)
		return fail(args[0]);
	return 0;
}

/* facts OUTPUT: working directory, environment, what standard input has */
static int do_facts(char **args)
{
	char cwd[4096], c;
	FILE *f = fopen(args[0], "w");
	if (!f || !getcwd(cwd, sizeof(cwd)))
		return fail(args[0]);
	fprintf(f, "cwd=%s\n", cwd);
	for (char **e = environ; *e; e++)
		fprintf(f, "env=%s\n", *e);
	fprintf(f, "stdin=%zd\n", read(0, &c, 1));
	return fclose(f) != 0;
}

/* modes OUTPUT PATH...: the mode of each, and whether it can be written */
static int do_modes(char **args)
{
	FILE *f = fopen(args[0], "w");
	for (char **path = args + 1; f && *path; path++) {
		struct stat st;
		if (stat(*path, &st) < 0)
			return fail(*path);
		int fd = open(*path, O_WRONLY);
		fprintf(f, "%s %04o %s\n", *path, st.st_mode & 07777, fd < 0 ? "ro" : "rw");
		if (fd >= 0)
			close(fd);
	}
	return !f || fclose(f) != 0;
}

/* exit STATUS; signal NUMBER; stderr TEXT */
static int do_exit(char **args)
{
	return atoi(args[0]);
}

static int do_signal(char **args)
{
	kill(getpid(), atoi(args[0]));
	pause();
	return 0;
}

static int do_stderr(char **args)
{
	fputs(args[0], stderr);
	return args[1] ? put(args[1], "") : 0;
}

/* Children and grandchildren in sessions of their own that ignore every signal they can. */
static void breed(int depth)
{
	for (int i = 0; i < 2 && depth > 0; i++) {
		if (fork() != 0)
			continue;
		setsid();
		for (int s = 1; s < 32; s++)
			signal(s, SIG_IGN);
		breed(depth - 1);
		for (;;)
			pause();
	}
}

/* leave OUTPUT: ends well and leaves processes behind */
static int do_leave(char **args)
{
	breed(3);
	return put(args[0], "left\n");
}

/* hang: never ends, nor do its children */
static int do_hang(char **args)
{
	(void)args;
	breed(3);
	while (pause() < 0)
		;
	return 0;
}

static void note(FILE *f, const char *what, long result)
{
	fprintf(f, "%s %s\n", what, result < 0 ? strerrorname_np(errno) : "0");
}

/* reach OUTPUT: the ways out of a sandbox */
static int do_reach(char **args)
{
	FILE *f = fopen(args[0], "w");
	if (!f)
		return fail(args[0]);
	note(f, "inet", socket(AF_INET, SOCK_STREAM, 0));
	note(f, "inet6", socket(AF_INET6, SOCK_DGRAM, 0));
	note(f, "packet", socket(AF_PACKET, SOCK_RAW, 0));
	note(f, "netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	note(f, "unix", socket(AF_UNIX, SOCK_STREAM, 0));
	note(f, "unshare", syscall(SYS_unshare, 0x10000000));
	note(f, "mount", syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, NULL));
	note(f, "chroot", chroot("/tmp"));
	note(f, "ptrace", syscall(SYS_ptrace, 16, 1, 0, 0));
	note(f, "bpf", syscall(SYS_bpf, 0, NULL, 0));
	note(f, "io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	note(f, "mknod", mknod("/tmp/null", S_IFCHR | 0666, 0x103));
	note(f, "shmget", syscall(SYS_shmget, 1, 4096, 01666));
	note(f, "kill", kill(1, 0) == 0 ? 0 : -1);
	return fclose(f) != 0;
}

/* tree DIRECTORY */
static int do_tree(char **args)
{
	if (mkdir(args[0], 0755) < 0 || chdir(args[0]) < 0 || mkdir("a", 0755) < 0 ||
	    mkdir("a/b", 0700) < 0 || mkdir("empty", 0755) < 0 || symlink("../x", "a/link") < 0)
		return fail(args[0]);
	return put("a/b/file", "deep\n") || put("script", "#!\n") || chmod("script", 0755) ||
	       put("secret", "s") || chmod("secret", 0);
}

/* odd KIND PATH: an output that is no regular file */
static int do_odd(char **args)
{
	const char *kind = args[0], *path = args[1];
	int r = -1;
	if (strcmp(kind, "link") == 0)
		r = put("target", "t") == 0 ? symlink("target", path) : -1;
	else if (strcmp(kind, "fifo") == 0)
		r = mkfifo(path, 0644);
	else if (strcmp(kind, "directory") == 0)
		r = mkdir(path, 0755);
	else if (strcmp(kind, "unreadable") == 0)
		r = put(path, "unreadable\n") == 0 ? chmod(path, 0) : -1;
	return r < 0 ? fail(path) : 0;
}

/* fill PATH: until there is no room */
static int do_fill(char **args)
{
	static char block[1 << 16];
	int fd = open(args[0], O_WRONLY | O_CREAT, 0644);
	while (fd >= 0 && write(fd, block, sizeof(block)) > 0)
		;
	return fail(args[0]);
}

/* list OUTPUT DIRECTORY: sorted by nothing; the tests look for names in it */
static int do_list(char **args)
{
	FILE *f = fopen(args[0], "w");
	int fd = open(args[1], O_RDONLY | O_DIRECTORY);
	char bytes[8192];
	long n;
	if (!f || fd < 0)
		return fail(args[1]);
	while ((n = syscall(SYS_getdents64, fd, bytes, sizeof(bytes))) > 0)
		for (long at = 0; at < n; at += *(unsigned short *)(void *)(bytes + at + 16))
			fprintf(f, "%s\n", bytes + at + 19);
	return fclose(f) != 0;
}

/* yield: "thunk" is yielded, "placeholder" becomes "out", the thunk being run "self" */
static int do_yield(char **args)
{
	char path[4096], thunk[] = "thunk", placeholder[] = "placeholder", out[] = "out",
	                 self[] = "self";
	(void)args;
	snprintf(path, sizeof(path), "%s/any", getenv("GGFS_YIELD"));
	return do_copy((char *[]){ thunk, path }) || do_copy((char *[]){ placeholder, out }) ||
	       do_copy((char *[]){ getenv("GGFS_THUNK"), self });
}

/* deface PATH OUTPUT: tries to change an input for good */
static int do_deface(char **args)
{
	int fd = -1;
	if (chmod(args[0], 0777) == 0)
		fd = open(args[0], O_WRONLY | O_TRUNC);
	if (fd >= 0 && write(fd, "defaced", 7) != 7)
		return fail(args[0]);
	return put(args[1], fd >= 0 ? "changed\n" : "refused\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **args);
		int arguments;
	} verbs[] = {
		{ "write", do_write, 2 },   { "copy", do_copy, 2 },     { "append", do_append, 2 },
		{ "facts", do_facts, 1 },   { "modes", do_modes, 1 },   { "exit", do_exit, 1 },
		{ "signal", do_signal, 1 }, { "stderr", do_stderr, 1 }, { "leave", do_leave, 1 },
		{ "hang", do_hang, 0 },     { "reach", do_reach, 1 },   { "tree", do_tree, 1 },
		{ "odd", do_odd, 2 },       { "fill", do_fill, 1 },     { "list", do_list, 2 },
		{ "deface", do_deface, 2 }, { "yield", do_yield, 0 },
	};
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc - 2 >= verbs[i].arguments)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "f: what?\n");
	return 2;
}
