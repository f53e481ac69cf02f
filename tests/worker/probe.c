/*
 * probe: what a program learns of where it is from the C library's functions, one line each on
 * descriptor 3 or in the file out. Run in a world whose root is not "/", it must not notice.
 *
 *     probe            all that must look as below a real root
 *     probe NAME       one that cannot: popen, system, glob, nftw, fts, iconv, link, syscall,
 *                      stat, tmpnam
 *     probe child ...  what it starts itself: tells its arguments
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <iconv.h>
#include <limits.h>
#include <locale.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static FILE *out;
extern char **environ;

static void tell(const char *what, const char *result)
{
	fprintf(out, "%s: %s\n", what, result ? result : strerror(errno));
	fflush(out);
}

static void tell_code(const char *what, long result)
{
	char text[64];
	snprintf(text, sizeof(text), "%ld", result);
	tell(what, result < 0 ? NULL : text);
}

static void directories(void)
{
	char here[PATH_MAX];
	tell("getcwd", getcwd(here, sizeof(here)));
	char *made = getcwd(NULL, 0);
	tell("getcwd allocated", made);
	free(made);
	tell("getcwd small", getcwd(here, 2));
	tell_code("chdir ../../..", chdir("../../.."));
	tell("getcwd at the top", getcwd(here, sizeof(here)));
	tell_code("chdir /w", chdir("/w"));
	made = get_current_dir_name();
	tell("get_current_dir_name", made);
	free(made);
	tell_code("mkdir", mkdir("/w/made", 0755));
	tell_code("rename", rename("/w/made", "moved"));
	tell_code("rmdir", rmdir("../w/moved"));
	tell_code("rmdir again", rmdir("/w/moved"));
	DIR *dir = opendir("/w/in");
	struct dirent *e;
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			tell("readdir", e->d_name);
	closedir(dir);
	struct dirent **list;
	int count = scandir("/w/in", &list, NULL, alphasort);
	tell_code("scandir", count);
	while (count > 0)
		free(list[--count]);
	free(list);
	tell("opendir /proc", opendir("/proc") ? "there" : NULL);
}

static void files(void)
{
	struct stat st;
	struct statvfs fs;
	char text[64] = "";
	int fd = open("/w/in/file", O_RDONLY);
	tell_code("read", read(fd, text, sizeof(text) - 1));
	close(fd);
	tell("text", text);
	tell_code("open absent", open("/etc/passwd", O_RDONLY));
	tell_code("open over the top", open("../../../w/in/file", O_RDONLY) < 0 ? -1 : 0);
	tell_code("open /../..", open("/../../w/./in/../in/file", O_RDONLY) < 0 ? -1 : 0);
	tell_code("openat", openat(AT_FDCWD, "/w/in/file", O_RDONLY) < 0 ? -1 : 0);
	tell_code("open null", open("/dev/null", O_RDWR) < 0 ? -1 : 0);
	tell_code("open tty", open("/dev/tty", O_RDWR));
	tell_code("stat", stat("/w/in/file", &st) < 0 ? -1 : (long)st.st_size);
	tell_code("stat with a slash", stat("/w/in/file/", &st));
	tell_code("stat of a directory", stat("/w/in//", &st) < 0 ? -1 : S_ISDIR(st.st_mode));
	tell_code("lstat of a link", lstat("/w/link", &st) < 0 ? -1 : S_ISLNK(st.st_mode));
	tell_code("fstatat", fstatat(AT_FDCWD, "/w/in/file", &st, 0));
	tell_code("access", access("/w/in/file", R_OK));
	tell_code("access absent", access("/usr/bin/gcc", F_OK));
	tell_code("faccessat", faccessat(AT_FDCWD, "/w/in/file", R_OK, 0));
	tell_code("statvfs", statvfs("/w", &fs));
	FILE *f = fopen("/w/new", "w");
	fprintf(f, "new");
	f = freopen("/w/new", "r", f);
	tell("freopen", f && fgets(text, sizeof(text), f) ? text : NULL);
	fclose(f);
	tell_code("chmod", chmod("/w/new", 0600));
	tell_code("truncate", truncate("/w/new", 1));
	tell_code("link", link("/w/new", "/w/second"));
	tell_code("unlink", unlink("/w/second"));
	tell_code("remove", remove("/w/new"));
	tell_code("symlink", symlink("in/file", "/w/soft"));
	tell_code("stat through it", stat("soft", &st));
	tell_code("unlinkat", unlinkat(AT_FDCWD, "/w/soft", 0));
}

static void names(void)
{
	char text[PATH_MAX] = "";
	ssize_t n = readlink("/w/link", text, sizeof(text) - 1);
	tell_code("readlink", n);
	tell("target", text);
	tell("realpath", realpath("/w/link", text));
	tell("realpath of dots", realpath("../w/./in/..//in", text));
	tell("realpath absent", realpath("/w/in/absent", text));
	char *made = canonicalize_file_name("/w/link");
	tell("canonicalize_file_name", made);
	free(made);
	tell_code("readlink /proc/self/exe", readlink("/proc/self/exe", text, sizeof(text)));
}

static void temporaries(void)
{
	char one[] = "/tmp/oneXXXXXX", two[] = "/tmp/twoXXXXXX.s", three[] = "/tmp/dirXXXXXX";
	struct stat st;
	int fd = mkstemp(one);
	tell_code("mkstemp", fd < 0                                                 ? -1
	                     : strncmp(one, "/tmp/one", 8) || strstr(one, "XXXXXX") ? 1
	                                                                            : 0);
	tell_code("stat of it", stat(one, &st));
	fd = mkstemps(two, 2);
	tell_code("mkstemps", fd < 0 ? -1 : strcmp(two + strlen(two) - 2, ".s"));
	tell_code("stat of it", stat(two, &st));
	tell_code("mkdtemp", mkdtemp(three) ? stat(three, &st) : -1);
	FILE *f = tmpfile();
	tell_code("tmpfile", f ? fputs("x", f) < 0 : -1);
}

static void machine(void)
{
	struct utsname u;
	char text[256];
	tell_code("uname", uname(&u));
	tell("nodename", u.nodename);
	tell_code("gethostname", gethostname(text, sizeof(text)));
	tell("hostname", text);
	tell("getpwuid", getpwuid(0) ? "somebody" : "nobody");
	tell("GGFS_RELOCATE", getenv("GGFS_RELOCATE") ? "there" : "not there");
	tell("LD_PRELOAD", getenv("LD_PRELOAD") ? "there" : "not there");
	tell("setlocale", setlocale(LC_ALL, "de_DE.UTF-8") ? "there" : "not there");
	tell("LOCPATH", getenv("LOCPATH") ? "there" : "not there");
	time_t zero = 0;
	strftime(text, sizeof(text), "%H %Z", localtime(&zero));
	tell("localtime", text);
	tell("dlopen absent", dlopen("/usr/lib/libnothing.so", RTLD_NOW) ? "there" : "not there");
	iconv_t i = iconv_open("UCS-4LE", "UTF-8");
	tell("iconv built in", i != (iconv_t)-1 ? "there" : "not there");
}

static void wait_for(const char *what, pid_t pid)
{
	int status = -1;
	waitpid(pid, &status, 0);
	tell_code(what, status);
}

static void children(void)
{
	char *argv[] = { "argv zero", "child", "by name", NULL };
	char *env[] = { "X=1", NULL };
	pid_t pid;
	fflush(out);
#define FORKED(what, call)                                                                         \
	do {                                                                                       \
		pid = vfork();                                                                     \
		if (pid == 0) {                                                                    \
			call;                                                                      \
			_exit(99);                                                                 \
		}                                                                                  \
		wait_for(what, pid);                                                               \
	} while (0)
	FORKED("execve", execve("/usr/bin/probe", argv, env));
	FORKED("execv", execv("../usr/bin/probe", argv));
	FORKED("execvp", execvp("probe", argv));
	FORKED("execl", execl("/usr/bin/probe", "l", "child", "list", (char *)NULL));
	FORKED("execlp", execlp("probe", "lp", "child", "list", (char *)NULL));
	FORKED("execle", execle("/usr/bin/probe", "le", "child", "list", (char *)NULL, env));
	FORKED("execvp absent", execvp("nothing", argv));
	FORKED("execv of a directory", execv("/w", argv));
	FORKED("a script", execl("/w/script", "/w/script", "argument", (char *)NULL));
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 200, "/w/in/file", O_RDONLY, 0);
	/* Told when the child has said its line, which it does at the same time. */
	int code = posix_spawn(&pid, "/usr/bin/probe", &actions, NULL, argv, env);
	wait_for("spawned", pid);
	tell_code("posix_spawn", code);
	code = posix_spawnp(&pid, "probe", NULL, NULL, argv, environ);
	wait_for("spawned by name", pid);
	tell_code("posix_spawnp", code);
	tell_code("posix_spawn absent",
	          -posix_spawn(&pid, "/bin/absent", NULL, NULL, argv, env) < 0);
	posix_spawn_file_actions_destroy(&actions);
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)path, (void)st, (void)kind, (void)f;
	return 0;
}

/* True: it was done after all. */
static int impossible(const char *name)
{
	glob_t found;
	struct stat st;
	char *paths[] = { "/w", NULL };
	if (strcmp(name, "popen") == 0)
		return popen("true", "r") != NULL;
	if (strcmp(name, "system") == 0)
		return system("true") == 0;
	if (strcmp(name, "glob") == 0)
		return glob("/w/*", 0, NULL, &found) == 0;
	if (strcmp(name, "nftw") == 0)
		return nftw("/w", visit, 4, 0) == 0;
	if (strcmp(name, "fts") == 0)
		return fts_open(paths, FTS_PHYSICAL, NULL) != NULL;
	if (strcmp(name, "iconv") == 0)
		return iconv_open("UTF-8", "KOI8-R") != (iconv_t)-1;
	if (strcmp(name, "link") == 0)
		return symlink("/etc/passwd", "/w/out-of-it") == 0;
	if (strcmp(name, "syscall") == 0)
		return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0;
	if (strcmp(name, "stat") == 0)
		return syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st, 0) == 0;
	if (strcmp(name, "tmpnam") == 0)
		return tempnam("/tmp", "x") != NULL;
	if (strcmp(name, "static") == 0)
		return execl("/usr/bin/static", "static", (char *)NULL);
	return 1;
}

static int child(int argc, char **argv)
{
	fprintf(out, "   ");
	for (int i = 0; i < argc; i++)
		fprintf(out, " [%s]", argv[i]);
	fprintf(out, " X=%s relocate=%d fd200=%d\n", getenv("X") ? getenv("X") : "",
	        getenv("GGFS_RELOCATE") != NULL, fcntl(200, F_GETFD));
	return fclose(out);
}

int main(int argc, char **argv)
{
	out = fopen("/w/out", "ae");
	if (!out)
		return 98;
	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return child(argc, argv);
	if (argc > 1 && argv[1][0] != '/')
		return impossible(argv[1]) ? 97 : 0;
	if (argc > 1)
		return child(argc, argv); /* as a script's interpreter */
	directories();
	files();
	names();
	temporaries();
	machine();
	children();
	return fclose(out);
}
