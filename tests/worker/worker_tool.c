/*
 * worker-tool STORE CACHE FILE...   runs the thunks behind placeholders on a worker, and puts the
 *                                   files in their place
 *
 * In one process, with no network: what is tested is how a worker runs things.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/force.h"
#include "engine/placeholder.h"
#include "tests/worker/worker_engine.h"

static void fail(const char *what, const struct error *err)
{
	fprintf(stderr, "worker-tool: %s: %s\n", what, error_text(err));
	exit(99);
}

struct session {
	struct store *store;
	struct index *index;
};

static void session_open(struct session *s, const char *store)
{
	struct error err = ERROR_INIT;
	*s = (struct session){ 0 };
	if (store_open_local(store, true, STORE_SYNC_NONE, &s->store, &err) < 0 ||
	    index_open(s->store, &s->index, NULL, &err) < 0)
		fail(store, &err);
}

static void session_close(struct session *s)
{
	index_free(s->index);
	store_free(s->store);
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
	if (loop_new(&loop, &err) < 0 || worker_engine_new(s.store, argv[1], &engine, &err) < 0 ||
	    forcer_new(loop, s.store, s.index, engine, &forcer, &err) < 0)
		fail("engine", &err);
	struct wanted *wanted = xcalloc(4096, sizeof(*wanted));
	for (size_t i = 0; argv[i + 2] && i < 4096; i++) {
		struct ref ref = REF_INIT;
		int fd = open(argv[i + 2], O_RDONLY | O_CLOEXEC);
		int r = fd < 0 ? -ENOENT : placeholder_read_fd(fd, NULL, &ref, &err);
		if (fd >= 0)
			close(fd);
		if (r < 0)
			continue;
		wanted[i] = (struct wanted){ &s, loop, argv[i + 2], &left, &failed };
		struct force_request q = {
			.ref = ref, .done = forced, .arg = &wanted[i], .asker = "test"
		};
		struct force *f;
		left++;
		if (force_start(forcer, &q, &f, &err) < 0)
			fail(argv[i + 2], &err);
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
	if (argc >= 4)
		return force_files(argv + 1);
	fprintf(stderr, "usage: worker-tool STORE CACHE FILE...\n");
	return 98;
}
