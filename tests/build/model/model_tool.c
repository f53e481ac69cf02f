/*
 * model-tool infer STORE DIR TOOL ARG...   asks what a call becomes, as if DIR were mounted; does
 *                                          what a stand-in would; prints "lazy" or "real: why"
 * model-tool force STORE FILE...           runs the thunks behind placeholders on the local engine
 *                                          and puts the files in their place
 * model-tool compare STORE DIR TOOL ARG... infers twice, by the scanner and by the compiler's own
 * scan; prints "same", "unsure: why", "real: why", or what differs model-tool time STORE DIR N TOOL
 * ARG...  infers N times; prints microseconds for each, without discovery
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
#include "engine/thunk.h"
#include "tests/lib/force_files.h"

#define TOOL "model-tool"

static void fail(const char *what, const struct error *err)
{
	tool_fail(TOOL, what, err);
}

struct session {
	struct tool_session base;
	struct store *store; /* base's */
	struct index *index; /* likewise */
	struct mount_table *mounts;
};

static void session_open(struct session *s, const char *store)
{
	tool_session_open(&s->base, TOOL, store);
	s->store = s->base.store;
	s->index = s->base.index;
	s->mounts = mount_table_new();
}

static void session_close(struct session *s)
{
	mount_table_free(s->mounts);
	tool_session_close(&s->base);
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

/* --- comparing ---------------------------------------------------------------------------------
 */

static void ask_by(struct session *s, struct infer_request *q, const char *by,
                   struct infer_answer *a)
{
	setenv("GGFS_DISCOVERY", by, 1);
	ask(s, q, a);
	q->discovered = false;
	free(steal(&q->discovery));
}

/* Each input of the answer's thunk, as a line. */
static void list_inputs(struct session *s, const struct infer_answer *a, struct strv *out)
{
	struct error err = ERROR_INIT;
	scoped_thunk struct thunk t = THUNK_INIT;
	if (thunk_load(s->store, &a->thunk, &t, &err) < 0)
		fail("thunk", &err);
	for (size_t i = 0; i <= t.set_count; i++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		const struct manifest *from = &t.inputs;
		if (i < t.set_count) {
			scoped_buf struct buf text = BUF_INIT;
			if (store_get_bytes(s->store, &t.sets[i].digest, SIZE_MAX / 4, &text,
			                    &err) < 0 ||
			    manifest_decode(text.data, text.len, &m, &err) < 0)
				fail("set", &err);
			from = &m;
		}
		for (size_t k = 0; k < from->count; k++)
			if (from->entries[k].kind == ENTRY_FILE)
				strv_add(out, from->entries[k].path);
	}
	strv_sort(out);
}

static void tell_missing(const char *sign, const struct strv *from, const struct strv *in)
{
	for (size_t i = 0; i < from->count; i++)
		if (!strv_contains(in, from->items[i]))
			printf(" %s%s", sign, from->items[i]);
}

static void tell_difference(struct session *s, const struct infer_answer *scanned,
                            const struct infer_answer *compiled)
{
	for (size_t i = 0; i + 1 < scanned->file_count && i + 1 < compiled->file_count; i++) {
		const struct infer_file *a = &scanned->files[i], *b = &compiled->files[i];
		if (a->len != PLACEHOLDER_SIZE &&
		    (a->len != b->len || memcmp(a->bytes, b->bytes, a->len) != 0)) {
			printf("dependency file differs:\n%.*s\n%.*s\n", (int)a->len, a->bytes,
			       (int)b->len, b->bytes);
			return;
		}
	}
	if (digest_equal(&scanned->thunk, &compiled->thunk)) {
		printf("same\n");
		return;
	}
	scoped_strv struct strv ours = STRV_INIT, theirs = STRV_INIT;
	list_inputs(s, scanned, &ours);
	list_inputs(s, compiled, &theirs);
	printf("same dependencies, inputs:");
	tell_missing("+", &ours, &theirs);
	tell_missing("-", &theirs, &ours);
	printf("\n");
}

static int compare(char **argv)
{
	struct session s;
	struct infer_request q;
	struct infer_answer scanned = { 0 }, compiled = { 0 };
	session_open(&s, argv[0]);
	mount_table_add(s.mounts, argv[1], open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC));
	make_request(&q, argv + 2);
	ask_by(&s, &q, "compiler", &compiled);
	ask_by(&s, &q, "scanner", &scanned);
	if (compiled.kind != INFER_RECORDED && scanned.kind == INFER_RECORDED)
		printf("scanned, though real: %s\n", compiled.reason);
	else if (compiled.kind != INFER_RECORDED)
		printf("real: %s\n", compiled.reason);
	else if (scanned.kind != INFER_RECORDED)
		printf("unsure: %s\n", scanned.reason);
	else
		tell_difference(&s, &scanned, &compiled);
	infer_answer_release(&scanned);
	infer_answer_release(&compiled);
	infer_request_release(&q);
	session_close(&s);
	return 0;
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

static int force(char **argv)
{
	struct tool_session s;
	struct error err = ERROR_INIT;
	struct engine *engine;
	tool_session_open(&s, TOOL, argv[0]);
	if (engine_local_new(s.store, 0, &engine, &err) < 0)
		fail("engine", &err);
	int failed = force_files(&s, engine, argv + 1);
	tool_session_close(&s);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "infer") == 0)
		return infer(argv + 2);
	if (argc >= 4 && strcmp(argv[1], "force") == 0)
		return force(argv + 2);
	if (argc >= 5 && strcmp(argv[1], "compare") == 0)
		return compare(argv + 2);
	if (argc >= 6 && strcmp(argv[1], "time") == 0)
		return time_it(argv + 2);
	fprintf(stderr, "usage: model-tool infer|force|compare|time ...\n");
	return 98;
}
