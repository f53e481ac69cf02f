/*
 * model-tool infer STORE DIR TOOL ARG...   asks what a call becomes, as if DIR were mounted; does
 *                                          what a stand-in would; prints "lazy" or "real: why"
 * model-tool force STORE FILE...           runs the thunks behind placeholders on the local engine
 *                                          and puts the files in their place
 * model-tool time STORE DIR N TOOL ARG...  infers N times; prints microseconds for each, without
 *                                          discovery
 *
 * In one process, with no mount and no service: what is tested is the models.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/io.h"
#include "engine/force.h"
#include "engine/model/infer.h"
#include "engine/placeholder.h"

static void fail(const char *what, const struct error *err)
{
	fprintf(stderr, "model-tool: %s: %s\n", what, error_text(err));
	exit(99);
}

struct session {
	struct store *store;
	struct index *index;
	struct mount_table *mounts;
};

static void session_open(struct session *s, const char *store)
{
	struct error err = ERROR_INIT;
	*s = (struct session){ 0 };
	if (store_open_local(store, true, STORE_SYNC_NONE, &s->store, &err) < 0 ||
	    index_open(s->store, &s->index, NULL, &err) < 0)
		fail(store, &err);
	s->mounts = mount_table_new();
}

static void session_close(struct session *s)
{
	mount_table_free(s->mounts);
	index_free(s->index);
	store_free(s->store);
}

extern char **environ;

static int run(char **argv, struct buf *out)
{
	int ends[2];
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;
	struct error err = ERROR_INIT;
	posix_spawn_file_actions_init(&actions);
	if (out) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			abort();
		posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	}
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		fail(argv[0], &err);
	posix_spawn_file_actions_destroy(&actions);
	if (out) {
		close(ends[1]);
		if (read_all(ends[0], out, SIZE_MAX / 4) < 0)
			abort();
		close(ends[0]);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void make_request(struct infer_request *q, char **argv)
{
	*q = (struct infer_request){ 0 };
	for (char **a = argv; *a; a++)
		strv_add(&q->argv, a == argv ? strrchr(*a, '/') + 1 : *a);
	for (char **e = environ; *e; e++)
		strv_add(&q->env, *e);
	const char *pwd = getenv("PWD");
	q->cwd = pwd && pwd[0] == '/' ? xstrdup(pwd) : getcwd(NULL, 0);
	q->tool = xstrdup(argv[0]);
	q->umask = umask(0);
	umask(q->umask);
	q->inside_tool = getenv("COLLECT_GCC") != NULL;
}

static void ask(struct session *s, struct infer_request *q, struct infer_answer *a)
{
	struct error err = ERROR_INIT;
	if (infer_ask(s->mounts, s->store, s->index, q, a, &err) < 0)
		fail("infer", &err);
	if (a->kind != INFER_DISCOVER)
		return;
	struct buf out = BUF_INIT;
	q->discovered = true;
	q->discovery_status = run(a->argv.items, &out);
	q->discovery = buf_steal(&out, &q->discovery_len);
	infer_answer_release(a);
	if (infer_ask(s->mounts, s->store, s->index, q, a, &err) < 0)
		fail("infer", &err);
}

static void write_files(const struct infer_answer *a)
{
	struct error err = ERROR_INIT;
	for (size_t i = 0; i < a->file_count; i++) {
		const struct infer_file *f = &a->files[i];
		if (replace_file_at(AT_FDCWD, f->path, f->bytes, f->len, f->mode, &err) < 0 ||
		    chmod(f->path, f->mode) < 0)
			fail(f->path, &err);
	}
}

/* The verdict: to the file $MODEL_TOOL_LOG, so that a build's own output stays as it is, or to
 * standard output. */
static void tell(const char *kind, const char *reason, char *const *argv)
{
	const char *path = getenv("MODEL_TOOL_LOG");
	scoped_buf struct buf line = BUF_INIT;
	buf_add_str(&line, kind);
	if (reason)
		buf_add_format(&line, ": %s", reason);
	for (size_t i = 0; path && argv[i]; i++)
		buf_add_format(&line, "%s%s", i ? " " : " | ", argv[i]);
	buf_add_char(&line, '\n');
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : 1;
	if (fd < 0 || write_full(fd, line.data, line.len) < 0)
		abort();
	if (path)
		close(fd);
}

/* There is no mount that would do it when the real tool opens them. */
static void force_operands(const char *store, char *const *argv)
{
	scoped_strv struct strv command = STRV_INIT;
	strv_add(&command, "/proc/self/exe");
	strv_add(&command, "force");
	strv_add(&command, store);
	for (size_t i = 1; argv[i]; i++)
		if (argv[i][0] != '-' && access(argv[i], R_OK) == 0)
			strv_add(&command, argv[i]);
	if (command.count > 3)
		run(command.items, NULL);
}

static int infer(char **argv)
{
	struct session s;
	struct infer_request q;
	struct infer_answer a = { 0 };
	session_open(&s, argv[0]);
	mount_table_add(s.mounts, argv[1], open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC));
	make_request(&q, argv + 2);
	ask(&s, &q, &a);
	int status = a.exit_status;
	if (a.kind == INFER_RECORDED) {
		write_files(&a);
		tell("lazy", NULL, argv + 2);
	} else {
		tell("real", a.reason, argv + 2);
		force_operands(argv[0], argv + 2);
		status = run(argv + 2, NULL);
	}
	infer_answer_release(&a);
	infer_request_release(&q);
	session_close(&s);
	return status;
}

static int time_it(char **argv)
{
	struct session s;
	struct infer_request q;
	int count = atoi(argv[2]);
	session_open(&s, argv[0]);
	mount_table_add(s.mounts, argv[1], open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC));
	make_request(&q, argv + 3);
	for (int i = 0; i < count; i++) {
		struct infer_answer a = { 0 };
		int64_t begin = now_us();
		ask(&s, &q, &a);
		printf("%lld%s", (long long)(now_us() - begin), i + 1 < count ? " " : "\n");
		if (a.kind != INFER_RECORDED)
			printf("real: %s\n", a.reason);
		infer_answer_release(&a);
	}
	infer_request_release(&q);
	session_close(&s);
	return 0;
}

/* --- forcing -----------------------------------------------------------------------------------
 */

struct wanted {
	struct session *s;
	struct loop *loop;
	const char *path;
	size_t *left;
	int *failed;
};

static void put_in_place(struct wanted *w, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	struct stat st;
	struct buf bytes = BUF_INIT;
	if (stat(w->path, &st) < 0 ||
	    store_get_bytes(w->s->store, &ref->digest, SIZE_MAX / 4, &bytes, &err) < 0 ||
	    replace_file_at(AT_FDCWD, w->path, bytes.data, bytes.len, st.st_mode & 07777, &err) < 0)
		fail(w->path, &err);
	chmod(w->path, st.st_mode & 07777);
	buf_release(&bytes);
}

static void forced(void *arg, const struct force_answer *answer)
{
	struct wanted *w = arg;
	if (answer->code == 0) {
		put_in_place(w, answer->ref);
	} else {
		struct failure f = { 0 };
		fprintf(stderr, "%s: %s\n", w->path, answer->reason);
		if (index_failure_get(w->s->index, &answer->failed, &f) == 0)
			fprintf(stderr, "%s\n", f.stderr_tail);
		failure_release(&f);
		*w->failed = 1;
	}
	if (--*w->left == 0)
		loop_stop(w->loop);
}

static int force_files(char **argv)
{
	struct session s;
	struct error err = ERROR_INIT;
	struct loop *loop;
	struct engine *engine;
	struct forcer *forcer;
	size_t left = 0;
	int failed = 0;
	session_open(&s, argv[0]);
	if (loop_new(&loop, &err) < 0 || engine_local_new(s.store, 0, &engine, &err) < 0 ||
	    forcer_new(loop, s.store, s.index, engine, &forcer, &err) < 0)
		fail("engine", &err);
	struct wanted *wanted = xcalloc(4096, sizeof(*wanted));
	for (size_t i = 0; argv[i + 1] && i < 4096; i++) {
		struct ref ref = REF_INIT;
		int fd = open(argv[i + 1], O_RDONLY | O_CLOEXEC);
		int r = fd < 0 ? -ENOENT : placeholder_read_fd(fd, NULL, &ref, &err);
		if (fd >= 0)
			close(fd);
		if (r < 0)
			continue;
		wanted[i] = (struct wanted){ &s, loop, argv[i + 1], &left, &failed };
		struct force_request q = {
			.ref = ref, .done = forced, .arg = &wanted[i], .asker = "test"
		};
		struct force *f;
		left++;
		if (force_start(forcer, &q, &f, &err) < 0)
			fail(argv[i + 1], &err);
		ref_release(&ref);
	}
	if (left && loop_run(loop, &err) < 0)
		fail("loop", &err);
	forcer_free(forcer);
	engine->ops->free(engine);
	loop_free(loop);
	free(wanted);
	session_close(&s);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "infer") == 0)
		return infer(argv + 2);
	if (argc >= 4 && strcmp(argv[1], "force") == 0)
		return force_files(argv + 2);
	if (argc >= 6 && strcmp(argv[1], "time") == 0)
		return time_it(argv + 2);
	fprintf(stderr, "usage: model-tool infer|force|time ...\n");
	return 98;
}
