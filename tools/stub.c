/*
 * The stand-in: what a build finds on PATH as gcc, ld, ar, ... It asks the service what this call
 * is, and either puts placeholders where the outputs belong or becomes the real tool. Whatever
 * goes wrong on our side, the real tool runs: a build never fails because of us.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/client.h"
#include "tools/open_together.h"
#include "tools/real_tool.h"
#include "tools/standin.h"

enum {
	PATIENCE_MS = 15000,
	DISCOVERY_BYTES_MAX = 16 << 20,
	EXIT_NOT_FOUND = 127,
	EXIT_CANNOT_RUN = 126
};

struct call {
	char **argv;
	const char *name; /* what it was called as, without directory */
	struct real_tool tool;
	char *report; /* copies, since the environment is cleaned for the tool */
	char *store;
	char *binary;
};

static void report(const struct call *call, const char *kind, const char *reason)
{
	if (!call->report)
		return;
	scoped_buf struct buf line = BUF_INIT;
	buf_add_str(&line, kind);
	if (reason) {
		buf_add_format(&line, " %s\t%s", reason, call->name);
		for (int i = 1; call->argv[i] && line.len < STANDIN_LINE_MAX; i++)
			buf_add_format(&line, " %.200s", call->argv[i]);
		for (char *p = line.data; (p = strchr(p, '\n'));)
			*p = ' ';
	}
	buf_add_char(&line, '\n');
	/* One write, so that the lines of parallel steps do not mix. */
	scoped_fd int fd = open(call->report, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd >= 0 && write(fd, line.data, line.len) < 0)
		log_debug("cannot add to %s: %s", call->report, strerror(errno));
}

static _Noreturn void run_real(const struct call *call, const char *reason)
{
	if (reason)
		report(call, "real", reason);
	if (!call->tool.run) {
		dprintf(STDERR_FILENO, "%s: command not found\n", call->argv[0]);
		_exit(EXIT_NOT_FOUND);
	}
	execv(call->tool.run, call->argv);
	dprintf(STDERR_FILENO, "%s: %s\n", call->tool.run, strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

static char *copy_variable(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? xstrdup(value) : NULL;
}

/* Real tools must not meet stand-ins: gcc looks for as and ld on PATH. */
static void clean_environment(const char *name, const char *stubs)
{
	const char *path = getenv("PATH");
	if (path) {
		scoped_free char *clean = real_tool_path(path, name, stubs);
		setenv("PATH", clean, 1);
	}
	if (getenv(STANDIN_CCACHE))
		unsetenv("CCACHE_DISABLE");
	unsetenv(STANDIN_CCACHE);
	unsetenv(STANDIN_DIRECTORY);
	unsetenv(STANDIN_EAGER);
	unsetenv(STANDIN_REPORT);
	unsetenv(STANDIN_BINARY);
}

/* $PWD, if it is another name of where we are; so debug information says what it would. */
static char *working_directory(void)
{
	const char *pwd = getenv("PWD");
	struct stat here, there;
	if (pwd && pwd[0] == '/' && stat(".", &here) == 0 && stat(pwd, &there) == 0 &&
	    here.st_ino == there.st_ino && here.st_dev == there.st_dev)
		return xstrdup(pwd);
	return getcwd(NULL, 0);
}

static void fill_request(const struct call *call, char *eager, struct infer_request *q)
{
	for (char **a = call->argv; *a; a++)
		strv_add(&q->argv, *a);
	for (char **e = environ; *e; e++)
		strv_add(&q->env, *e);
	q->cwd = working_directory();
	/* gcc looks for its parts beside itself and a model reads the file: no link, no ".". */
	q->tool = call->tool.model[0] == '/' ? xstrdup(call->tool.model)
	                                     : realpath(call->tool.model, NULL);
	q->umask = umask(0);
	umask(q->umask);
	for (char *glob; eager && (glob = strsep(&eager, "\n"));)
		if (*glob)
			strv_add(&q->eager, glob);
}

static _Noreturn void discover_child(const struct infer_answer *a, int out)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0)
		_exit(EXIT_CANNOT_RUN);
	execv(a->argv.items[0], a->argv.items);
	_exit(EXIT_NOT_FOUND);
}

/* Runs the question the service put, and keeps what it printed in q. */
static int discover(const struct infer_answer *a, struct infer_request *q, struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	scoped_fd int from = ends[0];
	pid_t pid = fork();
	if (pid == 0)
		discover_child(a, ends[1]);
	close(ends[1]);
	if (pid < 0)
		return error_errno(err, "cannot fork");
	scoped_buf struct buf text = BUF_INIT;
	int r = read_all(from, &text, DISCOVERY_BYTES_MAX);
	close(steal_fd(&from)); /* one that says more than we keep ends by SIGPIPE */
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(err, "cannot wait for %s", a->argv.items[0]);
	if (r < 0)
		return error_set(err, r, "what %s printed cannot be kept", a->argv.items[0]);
	q->discovered = true;
	q->discovery = buf_steal(&text, &q->discovery_len);
	q->discovery_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

static int ask(const struct call *call, struct infer_request *q, struct infer_answer *a,
               struct error *err)
{
	struct client_options options = { .store = call->store,
		                          .service = call->binary,
		                          .patience_ms = PATIENCE_MS };
	struct client *client = NULL;
	int r = client_open(&options, &client, err);
	if (r < 0)
		return r;
	r = client_infer(client, q, a, err);
	if (r == 0 && a->kind == INFER_DISCOVER) {
		r = a->argv.count ? discover(a, q, err)
		                  : error_set(err, -EBADMSG, "the service asked for nothing");
		infer_answer_release(a);
		*a = (struct infer_answer){ 0 };
		if (r == 0)
			r = client_infer(client, q, a, err);
	}
	client_free(client);
	if (r == 0 && a->kind == INFER_DISCOVER)
		r = error_set(err, -EBADMSG, "the service asked a second time");
	return r;
}

/* Exactly the mode that was said: the umask has been applied to it already. */
static int write_outputs(const struct infer_answer *a, struct error *err)
{
	umask(0);
	for (size_t i = 0; i < a->file_count; i++) {
		const struct infer_file *f = &a->files[i];
		int r = replace_file_at(AT_FDCWD, f->path, f->bytes, f->len, f->mode, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static char *const nothing[] = { NULL };
	reserve_standard_streams();
	struct call call = { .argv = argc > 0 ? argv : (char **)(uintptr_t)nothing };
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	call.name = slash ? slash + 1 : argc > 0 ? argv[0] : "";
	const char *stubs = getenv(STANDIN_DIRECTORY);
	bool inferring = stubs && *stubs;
	const char *path = getenv("PATH");
	real_tool_of_call(argc > 0 ? argv[0] : "", path ? path : "/usr/local/bin:/usr/bin:/bin",
	                  &call.tool);
	/* gcc looks for its parts beside where it was called: not beside a stand-in. */
	if (slash && call.tool.run && real_tool_is_link(argv[0]))
		argv[0] = call.tool.run;
	call.report = inferring ? copy_variable(STANDIN_REPORT) : NULL;
	call.store = copy_variable("GGFS_STORE");
	call.binary = copy_variable(STANDIN_BINARY);
	char *eager = copy_variable(STANDIN_EAGER);
	clean_environment(call.name, stubs);
	/* A tool's own helpers: their caller reads at once what they write. */
	if (!inferring || getenv("COLLECT_GCC") || getenv("COLLECT_GCC_OPTIONS"))
		run_real(&call, NULL);
	if (!call.tool.model)
		run_real(&call, "no real tool of this name was found");

	struct infer_request q = { 0 };
	struct infer_answer a = { 0 };
	struct error err = ERROR_INIT;
	mode_t mask = umask(0);
	umask(mask);
	fill_request(&call, eager, &q);
	int r = q.cwd && q.tool ? ask(&call, &q, &a, &err)
	                        : error_set(&err, -EIO, "the working directory has no name");
	if (r == 0 && a.kind == INFER_RECORDED)
		r = write_outputs(&a, &err);
	umask(mask);
	if (r < 0) {
		log_debug("%s: %s; running the real tool", call.name, error_text(&err));
		run_real(&call, error_text(&err));
	}
	if (a.kind == INFER_RUN_REAL) {
		open_together(&a.argv);
		run_real(&call, a.reason ? a.reason : "not modelled");
	}
	report(&call, "recorded", NULL);
	_exit(a.exit_status);
}
