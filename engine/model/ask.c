#include "engine/model/ask.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/io.h"
#include "engine/model/view_impl.h"

/* in and errors may be -1: nothing to read; errors go where output goes. */
static int start(const struct strv *argv, const struct strv *env, int in, int out, int errors,
                 pid_t *pid)
{
	scoped_strv struct strv all = STRV_INIT;
	strv_add(&all, "PATH=" TOOL_PATH);
	strv_add(&all, "LC_ALL=C");
	if (env)
		strv_copy(&all, env);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&actions, in, 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, errors >= 0 ? errors : out, 2);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	sigset_t none;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	int r = posix_spawn(pid, argv->items[0], &actions, &attributes, argv->items, all.items);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

/* Until end of file, the deadline or the limit; 0 or -errno. */
static int gather(int fd, struct buf *out)
{
	int64_t deadline = now_ms() + ASK_MS;
	for (;;) {
		int64_t left = deadline - now_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int n = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		char bytes[16384];
		ssize_t got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return 0;
		if (got > 0)
			buf_add(out, bytes, (size_t)got);
		if (out->len > ASK_BYTES_MAX)
			return -EFBIG;
	}
}

/* The exit status, or -errno. */
static int run(const struct strv *argv, const struct strv *env, int in, int errors, struct buf *out,
               struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	scoped_fd int from = ends[0];
	scoped_fd int to = ends[1];
	pid_t pid;
	int r = start(argv, env, in, to, errors, &pid);
	if (r < 0)
		return error_set(err, r, "cannot run %s: %s", argv->items[0], strerror(-r));
	close(steal_fd(&to));
	r = gather(from, out);
	if (r < 0)
		kill(-pid, SIGKILL);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (r < 0)
		return error_set(err, r, "%s did not answer as expected: %s", argv->items[0],
		                 strerror(-r));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_well(const struct strv *argv, const struct strv *env, int in, int errors,
                    struct buf *out, struct error *err)
{
	int r = run(argv, env, in, errors, out, err);
	if (r > 0)
		return error_set(err, -EPROTO, "%s %s fails with exit status %d", argv->items[0],
		                 argv->count > 1 ? argv->items[1] : "", r);
	return r;
}

char *ask_fingerprint(const char *path, const struct stat *st)
{
	return xformat("%s %lu %lu %ld %ld.%09ld %ld.%09ld", path, st->st_dev, st->st_ino,
	               st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
	               st->st_ctim.tv_nsec);
}

static void add_words(struct buf *key, const struct strv *words)
{
	for (size_t i = 0; words && i < words->count; i++)
		buf_add_format(key, "%s%c", words->items[i], 1);
	buf_add_char(key, 2);
}

int ask_key(struct view *v, const struct strv *argv, char **out, struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(v, argv->items[0], &f, NULL, err);
	if (r < 0)
		return r;
	scoped_buf struct buf key = BUF_INIT;
	scoped_free char *print = f.real_path ? ask_fingerprint(f.real_path, &f.st) : xstrdup("");
	bool ordinary = f.kind == VIEW_FILE && !mount_table_covers(view_mounts(v), f.real_path);
	view_file_release(&f);
	if (!ordinary)
		return error_set(err, -EPROTO, "%s lies in a mount", argv->items[0]);
	buf_add_format(&key, "ask%c%s%c", 1, print, 1);
	add_words(&key, argv);
	*out = buf_steal(&key, NULL);
	return 0;
}

int ask_text(struct view *v, const struct strv *argv, const struct buf *input, struct buf *out,
             struct buf *said, struct error *err)
{
	scoped_free char *key = NULL;
	int r = ask_key(v, argv, &key, err); /* for its check */
	if (r < 0)
		return r;
	scoped_fd int in = memfd_create("ggfs-question", MFD_CLOEXEC);
	if (in < 0 || write_full(in, input->data, input->len) < 0 || lseek(in, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot write a question down");
	/* a pipe of its own could fill up while the other one is read */
	scoped_fd int errors = memfd_create("ggfs-errors", MFD_CLOEXEC);
	if (errors < 0)
		return error_errno(err, "cannot hear what is said");
	r = run_well(argv, NULL, in, errors, out, err);
	if (r == 0 && lseek(errors, 0, SEEK_SET) == 0)
		r = read_all(errors, said, ASK_BYTES_MAX);
	return r;
}

int ask_lines(struct view *v, const struct strv *argv, const struct strv *env, struct strv *lines,
              struct error *err)
{
	scoped_free char *own = NULL;
	int r = ask_key(v, argv, &own, err);
	if (r < 0)
		return r;
	scoped_buf struct buf key = BUF_INIT, out = BUF_INIT;
	buf_add_str(&key, own);
	add_words(&key, env);
	if (memory_text_get(view_memory(v), key.data, lines))
		return 0;
	r = run_well(argv, env, -1, -1, &out, err);
	if (r < 0)
		return r;
	for (const char *c = out.data; c && *c;) {
		size_t len = strcspn(c, "\n");
		strv_add_take(lines, xstrndup(c, len));
		c += len + (c[len] == '\n');
	}
	memory_text_put(view_memory(v), key.data, lines);
	return 0;
}
