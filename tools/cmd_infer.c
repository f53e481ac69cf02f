#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "engine/model/infer.h"
#include "tools/cmd.h"
#include "tools/cover.h"
#include "tools/infer_report.h"
#include "tools/mounted.h"
#include "tools/session.h"
#include "tools/standin.h"
#include "tools/standins.h"

struct infer_options {
	const char *store;
	struct strv eager;
	const char *report;
	bool mount;
	bool path_only;
	bool verbose;
	bool quiet;
};

static bool asked_yes(const char *directory)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fprintf(stderr, "%s is not mounted. Mount it now? [y/N] ", directory);
	fflush(stderr);
	char answer[8];
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int mount_here(const struct infer_options *o, const char *directory)
{
	struct error err = ERROR_INIT;
	scoped_free char *self = session_self();
	struct mount_daemon m = { .options = { .directory = directory,
		                               .store = o->store,
		                               .service = self,
		                               .ready_fd = -1 } };
	int r = mount_in_background(&m, &err);
	if (r == 0)
		fprintf(stderr, "ggfs: %s is mounted; ggfs umount %s ends it\n", directory,
		        directory);
	mount_daemon_release(&m);
	/* The working directory is still the one beneath the mount. */
	if (r == 0 && chdir(directory) < 0)
		r = error_errno(&err, "cannot enter %s", directory);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

/* A mount shows what its own store has; thunks recorded in another one could not be made there. */
static int store_must_match(const struct infer_options *o, const struct mount_info *m)
{
	scoped_free char *named = o->store ? realpath(o->store, NULL) : NULL;
	if (!o->store || !m->store || (named && strcmp(named, m->store) == 0))
		return EXIT_OK;
	return cmd_usage("%s is mounted with the store %s, not with %s", m->directory, m->store,
	                 o->store);
}

static int must_be_mounted(const struct infer_options *o)
{
	struct mount_info m;
	scoped_free char *here = getcwd(NULL, 0);
	if (!here)
		return cmd_fail_text("the working directory has no name: %s", strerror(errno));
	if (mounted_at(here, &m)) {
		int code = store_must_match(o, &m);
		mounted_release(&m);
		return code;
	}
	if (o->mount || asked_yes(here))
		return mount_here(o, here);
	return cmd_usage("%s is not in a mount of ggfs: only there can its files be lazy.\n"
	                 "Mount it:  ggfs mount %s && cd %s\n"
	                 "or let infer do it:  ggfs infer --mount ...",
	                 here, here, here);
}

/* `ccache cc -c x.c`, which meson writes wherever it finds a ccache, reads the object at once to
 * keep it. Disabled it only becomes the compiler it names. The stand-ins enable it again for what
 * runs for real. */
static void bypass_ccache(void)
{
	if (getenv("CCACHE_DISABLE"))
		return;
	setenv("CCACHE_DISABLE", "1", 1);
	setenv(STANDIN_CCACHE, "1", 1);
}

static void set_environment(const struct infer_options *o, const char *store, const char *stubs,
                            const char *report)
{
	scoped_free char *self = session_self();
	setenv("GGFS_STORE", store, 1);
	setenv(STANDIN_DIRECTORY, stubs, 1);
	setenv(STANDIN_REPORT, report, 1);
	if (self)
		setenv(STANDIN_BINARY, self, 1);
	scoped_buf struct buf globs = BUF_INIT;
	for (size_t i = 0; i < o->eager.count; i++)
		buf_add_format(&globs, "%s\n", o->eager.items[i]);
	if (globs.len)
		setenv(STANDIN_EAGER, globs.data, 1);
	else
		unsetenv(STANDIN_EAGER);
	bypass_ccache();
}

/* How this build's tools are to be stood in for. */
struct preparation {
	struct standins standins;
	char *uncovered; /* where the covered tools are seen; NULL: stand-ins on PATH only */
};

static void preparation_release(struct preparation *p)
{
	standins_release(&p->standins);
	free(p->uncovered);
}

/* In the child that becomes the command: over the tools themselves where that can be had. */
static void put_standins_in_place(const struct preparation *p)
{
	struct error err = ERROR_INIT;
	if (p->uncovered) {
		int r = cover_enter(p->uncovered, p->standins.stub, &p->standins.programs, &err);
		if (r < 0)
			fprintf(stderr, "ggfs: tools named by their full path run for real: %s\n",
			        err.text);
		/* A wrapper such as ccache reads at once what the covered tool would make. */
		else if (!p->standins.wrapped)
			return;
	}
	const char *path = getenv("PATH");
	scoped_free char *first =
	        xformat("%s:%s", p->standins.directory, path ? path : "/usr/bin:/bin");
	setenv("PATH", first, 1);
}

static volatile pid_t command_pid;

static void pass_on(int signal)
{
	int saved = errno;
	kill(command_pid, signal);
	errno = saved;
}

/* What somebody sends to us alone is meant for the command. What we were started to ignore, it
 * ignores by itself. */
static void pass_on_signals(void)
{
	static const int passed[] = { SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		struct sigaction old, action = { .sa_handler = pass_on };
		if (sigaction(passed[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(passed[i], &action, NULL);
	}
}

/* The command is in our process group and gets the terminal's signals itself; we outlive them to
 * report and to end as it did. *status as of waitpid(), or -1 when it could not be run. */
static int run_command(const struct preparation *p, char **argv, int *status)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, interrupt, quit;
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid_t pid = fork();
	if (pid == 0) {
		sigaction(SIGINT, &interrupt, NULL);
		sigaction(SIGQUIT, &quit, NULL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		put_standins_in_place(p);
		execvp(argv[0], argv);
		int failure = errno;
		cmd_fail_text("cannot run %s: %s", argv[0], strerror(failure));
		_exit(failure == ENOENT ? 127 : 126);
	}
	command_pid = pid;
	if (pid > 0)
		pass_on_signals();
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return cmd_fail_text("cannot fork: %s", strerror(errno));
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return cmd_fail_text("cannot wait: %s", strerror(errno));
	return EXIT_OK;
}

static int end_as(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fflush(NULL);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

/* A file that only this infer's stand-ins know of. */
static char *make_report(const struct infer_options *o, const char *store, struct error *err)
{
	char *path = o->report ? realpath(o->report, NULL) : NULL;
	if (o->report && !path) {
		scoped_free char *here = getcwd(NULL, 0);
		path = o->report[0] == '/' ? xstrdup(o->report)
		                           : xformat("%s/%s", here ? here : "", o->report);
	} else if (!o->report) {
		path = xformat("%s/service/infer-XXXXXX", store);
	}
	scoped_fd int fd = o->report ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
	                             : mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		return path;
	error_errno(err, "cannot create %s", path);
	free(path);
	return NULL;
}

static int infer(const struct infer_options *o, const char *store, char **argv)
{
	struct error err = ERROR_INIT;
	scoped(preparation_release) struct preparation p = { 0 };
	if (standins_make(store, getenv("PATH"), &p.standins, &err) < 0)
		return cmd_fail(&err);
	if (!o->path_only && cover_possible())
		p.uncovered = xformat("%s/service/real", store);
	scoped_free char *report = make_report(o, store, &err);
	if (!report)
		return cmd_fail(&err);
	set_environment(o, store, p.standins.directory, report);
	int status = 0;
	int code = run_command(&p, argv, &status);
	if (!o->quiet && code == EXIT_OK)
		infer_report_print(report, o->verbose);
	if (!o->report)
		unlink(report);
	return code == EXIT_OK ? end_as(status) : code;
}

static int run(const void *options, int argc, char **argv)
{
	(void)argc;
	const struct infer_options *o = options;
	struct error err = ERROR_INIT;
	int code = must_be_mounted(o);
	if (code != EXIT_OK)
		return code;
	/* Also creates the store, and says now rather than at each step if there can be no service.
	 */
	scoped_client struct client *c = NULL;
	struct client_service_info info = { 0 };
	int r = session_open(o->store, &c, &err);
	if (r == 0)
		r = client_info(c, &info, &err);
	if (r < 0)
		return cmd_fail(&err);
	scoped_free char *store = steal(&info.store);
	client_service_info_release(&info);
	return infer(o, store, argv);
}

static const struct verb_option options[] = {
	OPTION_STORE(infer_options),
	{ "eager", 'e', OPTION_LIST, "GLOB", offsetof(struct infer_options, eager),
	  "steps that make a file matching GLOB run at once; may be repeated" },
	{ "mount", 'm', OPTION_SWITCH, NULL, offsetof(struct infer_options, mount),
	  "mount the working directory if it is not, without asking" },
	{ "path-only", 0, OPTION_SWITCH, NULL, offsetof(struct infer_options, path_only),
	  "put stand-ins on PATH only, not over the tools themselves" },
	{ "report", 'r', OPTION_TEXT, "FILE", offsetof(struct infer_options, report),
	  "keep a line for each step in FILE" },
	{ "verbose", 'v', OPTION_SWITCH, NULL, offsetof(struct infer_options, verbose),
	  "list the steps that ran for real, and why" },
	{ "quiet", 'q', OPTION_SWITCH, NULL, offsetof(struct infer_options, quiet),
	  "no summary at the end" },
	{ 0 },
};

const struct verb verb_infer = {
	.name = "infer",
	.synopsis = "[OPTION]... [--] COMMAND [ARGUMENT]...",
	.summary = "run a build whose steps are recorded instead of run",
	.description =
	        "Runs COMMAND, a build such as make, with stand-ins for the compilers, assemblers, "
	        "archivers\n"
	        "and linkers on PATH. Each step they can describe is recorded, and its outputs "
	        "become lazy\n"
	        "files; every other step runs as usual, and what it reads is made for it.\n\n"
	        "COMMAND gets a mount namespace of its own, in which the stand-ins lie over the "
	        "tools\n"
	        "themselves; so a full path such as /usr/bin/cc is inferred too. Where there are "
	        "no\n"
	        "namespaces, or with --path-only, they come first on PATH instead.\n\n"
	        "The working directory must be in a mount of ggfs. If it is not, infer offers to "
	        "mount it on\n"
	        "a terminal, and else says how (exit code 2). The terminal, signals and the "
	        "jobserver of\n"
	        "make are COMMAND's as if infer were not there.\n\n"
	        "Steps whose outputs a configure script wants to see at once (conftest*) are never "
	        "lazy;\n"
	        "--eager names more.\n\n"
	        "  cd build && ggfs infer make -j8\n\n"
	        "Exit code: that of COMMAND; if a signal ended it, infer ends by the same.",
	.options = options,
	.options_size = sizeof(struct infer_options),
	.takes_command = true,
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
