#include "tools/mounted.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/client.h"
#include "objstore/store.h"

enum { REFUSAL_MAX = ERROR_TEXT_MAX, HELPER_WORDS_MAX = 4096 };

static bool covers(const char *directory, const char *path)
{
	size_t len = strlen(directory);
	if (strncmp(directory, path, len) != 0)
		return false;
	return path[len] == '\0' || path[len] == '/' || strcmp(directory, "/") == 0;
}

bool mounted_at(const char *path, struct mount_info *out)
{
	struct mount_info *list = NULL, *best = NULL;
	size_t count = 0;
	if (mount_list(&list, &count, NULL) < 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (covers(list[i].directory, path) &&
		    (!best || strlen(list[i].directory) >= strlen(best->directory)))
			best = &list[i];
	if (best && out) {
		*out = *best;
		out->directory = xstrdup(best->directory);
		out->store = best->store ? xstrdup(best->store) : NULL;
	}
	bool found = best != NULL;
	mount_list_free(list, count);
	return found;
}

void mounted_release(struct mount_info *m)
{
	free(m->directory);
	free(m->store);
	*m = (struct mount_info){ 0 };
}

char *mounted_path(const char *path)
{
	scoped_free char *copy = xstrdup(path);
	size_t len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || !*last)
		return realpath(copy, NULL);
	if (slash)
		*slash = '\0';
	scoped_free char *parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (!parent)
		return NULL;
	char *whole = xformat("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, last);
	struct mount_info m;
	if (mounted_at(whole, &m)) {
		bool itself = strcmp(m.directory, whole) == 0;
		mounted_release(&m);
		if (itself)
			return whole;
	}
	/* No mount of that name: perhaps a link to one. */
	char *resolved = realpath(whole, NULL);
	free(whole);
	return resolved;
}

static char *store_directory(const struct mount_daemon *m)
{
	return m->options.store ? xstrdup(m->options.store) : client_default_store();
}

/* Creates the store, so that its refusals are seen here, and says where the mount logs. */
static int prepare_log(struct mount_daemon *m, struct error *err)
{
	scoped_free char *path = store_directory(m);
	struct store *store = NULL;
	int r = store_open_local(path, true, STORE_SYNC_NONE, &store, err);
	if (r < 0)
		return r;
	store_free(store);
	scoped_free char *service = xformat("%s/service", path);
	r = make_dirs_at(AT_FDCWD, service, 0700, err);
	if (r < 0)
		return r;
	struct digest d;
	digest_of(&d, m->options.directory, strlen(m->options.directory));
	free(m->log);
	m->log = xformat("%s/mount-%.12s.log", service, digest_hex(&d).text);
	return 0;
}

/* The mount must not hold the caller's terminal, pipes or directory. */
static void leave_the_caller(const char *log)
{
	setsid();
	int null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	int fd = open(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd >= 0) {
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	log_open(log, "ggfs mount");
	if (chdir("/") < 0)
		log_warning("cannot leave the working directory: %s", strerror(errno));
}

static void close_all_but(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;
	close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
	close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
}

static _Noreturn void mount_child(struct mount_daemon *m, int ready_fd, int refusal_fd)
{
	struct error err = ERROR_INIT;
	leave_the_caller(m->log);
	close_all_but(ready_fd, refusal_fd);
	m->options.ready_fd = ready_fd;
	log_info("mounting %s", m->options.directory);
	int r = mount_run(&m->options, &err);
	if (r < 0) {
		log_error("%s", error_text(&err));
		if (write_full(refusal_fd, &err.code, sizeof(err.code)) == 0)
			write_full(refusal_fd, error_text(&err), strlen(error_text(&err)));
	}
	log_info("no longer mounted: %s", m->options.directory);
	_exit(r < 0 ? 1 : 0);
}

static int wait_until_ready(struct mount_daemon *m, int ready_fd, int refusal_fd, struct error *err)
{
	char byte, text[REFUSAL_MAX] = "";
	if (read_full(ready_fd, &byte, 1) == 1)
		return 0;
	int code = -EIO;
	if (read_full(refusal_fd, &code, sizeof(code)) == sizeof(code) && code < 0) {
		ssize_t n = read_full(refusal_fd, text, sizeof(text) - 1);
		if (n >= 0)
			text[n] = '\0';
		return error_set(err, code, "%s", text);
	}
	return error_set(err, -EIO, "the mount of %s ended before it answered; see %s",
	                 m->options.directory, m->log);
}

/* What fusermount3 wrote into the mount's log since `from`: it has no other way to say it. */
static void add_helper_words(const char *log, off_t from, struct error *err)
{
	static const char mark[] = "fusermount";
	char text[HELPER_WORDS_MAX + 1];
	scoped_fd int fd = open(log, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : pread_full(fd, text, HELPER_WORDS_MAX, from);
	if (!err || n <= 0)
		return;
	text[n] = '\0';
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, mark, strlen(mark)) != 0)
			continue;
		scoped_free char *said = xstrdup(err->text);
		error_set(err, err->code, "%s; %s", said, line);
	}
}

static off_t log_size(const char *log)
{
	struct stat st;
	return stat(log, &st) == 0 ? st.st_size : 0;
}

int mount_in_background(struct mount_daemon *m, struct error *err)
{
	int r = prepare_log(m, err);
	if (r < 0)
		return r;
	int ready[2], refusal[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	if (pipe2(refusal, O_CLOEXEC) < 0) {
		close(ready[0]);
		close(ready[1]);
		return error_errno(err, "cannot make a pipe");
	}
	scoped_fd int ready_read = ready[0];
	scoped_fd int refusal_read = refusal[0];
	off_t log_before = log_size(m->log);
	m->pid = fork();
	if (m->pid == 0)
		mount_child(m, ready[1], refusal[1]);
	int failure = errno;
	close(ready[1]);
	close(refusal[1]);
	errno = failure;
	if (m->pid < 0)
		return error_errno(err, "cannot fork");
	r = wait_until_ready(m, ready_read, refusal_read, err);
	if (r < 0)
		add_helper_words(m->log, log_before, err);
	return r;
}

void mount_daemon_release(struct mount_daemon *m)
{
	free(m->log);
	m->log = NULL;
}
