#include "tests/lib/force_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/placeholder.h"

enum { EXIT_BROKEN = 99 };

void tool_fail(const char *tool, const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s: %s\n", tool, what, error_text(err));
	exit(EXIT_BROKEN);
}

void tool_session_open(struct tool_session *s, const char *tool, const char *store)
{
	struct error err = ERROR_INIT;
	*s = (struct tool_session){ .tool = tool };
	if (store_open_local(store, true, STORE_SYNC_NONE, &s->store, &err) < 0 ||
	    index_open(s->store, &s->index, NULL, &err) < 0)
		tool_fail(tool, store, &err);
}

void tool_session_close(struct tool_session *s)
{
	index_free(s->index);
	store_free(s->store);
}

struct forcing {
	struct tool_session *s;
	struct loop *loop;
	size_t left;
	int failed;
};

struct wanted {
	struct forcing *forcing;
	const char *path;
};

static void put_in_place(const struct wanted *w, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	struct stat st;
	scoped_buf struct buf bytes = BUF_INIT;
	struct tool_session *s = w->forcing->s;
	if (stat(w->path, &st) < 0 ||
	    store_get_bytes(s->store, &ref->digest, SIZE_MAX / 4, &bytes, &err) < 0 ||
	    replace_file_at(AT_FDCWD, w->path, bytes.data, bytes.len, st.st_mode & 07777, &err) < 0)
		tool_fail(s->tool, w->path, &err);
	chmod(w->path, st.st_mode & 07777); /* whatever the umask is */
}

static void forced(void *arg, const struct force_answer *answer)
{
	struct wanted *w = arg;
	struct forcing *f = w->forcing;
	if (answer->code == 0) {
		put_in_place(w, answer->ref);
	} else {
		struct failure failure = { 0 };
		fprintf(stderr, "%s: %s\n", w->path, answer->reason);
		if (index_failure_get(f->s->index, &answer->failed, &failure) == 0)
			fprintf(stderr, "%s\n", failure.stderr_tail);
		failure_release(&failure);
		f->failed = 1;
	}
	if (--f->left == 0)
		loop_stop(f->loop);
}

static void start(struct wanted *w, struct forcer *forcer)
{
	struct error err = ERROR_INIT;
	struct force *force;
	scoped_ref struct ref ref = REF_INIT;
	scoped_fd int fd = open(w->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || placeholder_read_fd(fd, NULL, &ref, &err) < 0)
		return;
	struct force_request q = { .ref = ref, .done = forced, .arg = w, .asker = "test" };
	w->forcing->left++;
	if (force_start(forcer, &q, &force, &err) < 0)
		tool_fail(w->forcing->s->tool, w->path, &err);
}

int force_files(struct tool_session *s, struct engine *engine, char **files)
{
	struct error err = ERROR_INIT;
	struct forcing f = { .s = s };
	struct forcer *forcer;
	size_t count = 0;
	while (files[count])
		count++;
	scoped_free struct wanted *wanted = xcalloc(count + 1, sizeof(*wanted));
	if (loop_new(&f.loop, &err) < 0 ||
	    forcer_new(f.loop, s->store, s->index, engine, &forcer, &err) < 0)
		tool_fail(s->tool, "engine", &err);
	for (size_t i = 0; i < count; i++) {
		wanted[i] = (struct wanted){ &f, files[i] };
		start(&wanted[i], forcer);
	}
	if (f.left && loop_run(f.loop, &err) < 0)
		tool_fail(s->tool, "loop", &err);
	forcer_free(forcer);
	engine->ops->free(engine);
	loop_free(f.loop);
	return f.failed;
}
