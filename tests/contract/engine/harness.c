#include "tests/contract/engine/harness.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"

enum { WAIT_S = 60, POLL_MS = 5, EVENTUALLY_MS = 10000, HOST_FILE_MAX = 256 << 20 };

static _Noreturn void give_up(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
	abort();
}

void fixture_begin(struct fixture *f, const struct backend *backend, unsigned jobs)
{
	struct error err = ERROR_INIT;
	const char *base = getenv("TMPDIR");
	*f = (struct fixture){ .backend = backend };
	f->directory = xformat("%s/ggfs-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(f->directory))
		give_up(f->directory, NULL);
	scoped_free char *store = xformat("%s/store", f->directory);
	if (store_open_local(store, true, STORE_SYNC_NONE, &f->store, &err) < 0)
		give_up("store", &err);
	if (backend->make(f->store, jobs, &f->engine, &err) < 0)
		give_up(backend->name, &err);
}

void fixture_end(struct fixture *f)
{
	if (f->engine)
		f->engine->ops->free(f->engine);
	store_free(f->store);
	remove_tree_at(AT_FDCWD, f->directory, NULL);
	free(f->directory);
}

static void put_path(struct fixture *f, struct manifest *m, const char *from, const char *path)
{
	struct error err = ERROR_INIT;
	struct ref ref = { .kind = REF_BLOB };
	struct stat st;
	scoped_fd int fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		give_up(from, NULL);
	if (store_put_fd(f->store, fd, &ref.digest, &ref.size_bytes, &err) < 0)
		give_up(from, &err);
	manifest_add_file(m, path, st.st_mode, &ref);
}

/* Its links resolved: the file is put at the path asked for. */
void add_host_file(struct fixture *f, struct manifest *m, const char *path)
{
	put_path(f, m, path, path + 1);
}

void add_input(struct fixture *f, struct thunk *t, const char *path, const char *text)
{
	struct error err = ERROR_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(text) };
	if (store_put_bytes(f->store, text, strlen(text), &ref.digest, &err) < 0)
		give_up(path, &err);
	manifest_add_file(&t->inputs, path, 0644, &ref);
}

void thunk_of_function(struct fixture *f, struct thunk *t, ...)
{
	const char *program = getenv("GGFS_TEST_FUNCTION");
	if (!program)
		give_up("GGFS_TEST_FUNCTION is not set", NULL);
	if (f->function.size_bytes == 0) {
		scoped_manifest struct manifest once = MANIFEST_INIT;
		put_path(f, &once, program, "bin/f");
		f->function = once.entries[0].ref;
	}
	manifest_add_file(&t->inputs, "bin/f", 0755, &f->function);
	t->program = xstrdup("bin/f");
	strv_add(&t->args, "f");
	va_list args;
	va_start(args, t);
	for (const char *arg; (arg = va_arg(args, const char *));)
		strv_add(&t->args, arg);
	va_end(args);
}

/* What it cannot tell, a test will. */
void add_libraries(struct fixture *f, struct manifest *m, const char *program)
{
	scoped_free char *command = xformat("ldd %s", program);
	FILE *listing = popen(command, "r");
	char line[4096];
	while (listing && fgets(line, sizeof(line), listing)) {
		char *path = strchr(line, '/');
		if (!path)
			continue;
		path[strcspn(path, " \n")] = '\0';
		add_host_file(f, m, path);
	}
	if (listing)
		pclose(listing);
}

void thunk_of_shell(struct fixture *f, struct thunk *t, const char *script)
{
	add_host_file(f, &t->inputs, "/bin/sh");
	add_libraries(f, &t->inputs, "/bin/sh");
	t->program = xstrdup("bin/sh");
	strv_add(&t->args, "sh");
	strv_add(&t->args, "-c");
	strv_add(&t->args, script);
}

/* --- running ---------------------------------------------------------------------------------- */

static void settle(void *arg, struct engine_result *r)
{
	struct pending *p = arg;
	pthread_mutex_lock(&p->mutex);
	if (p->done)
		give_up("done was called twice", NULL);
	p->result = *r;
	*r = (struct engine_result){ 0 };
	p->done = true;
	pthread_cond_signal(&p->settled);
	pthread_mutex_unlock(&p->mutex);
}

void pending_start(struct fixture *f, struct pending *p, const struct thunk *t)
{
	struct error err = ERROR_INIT;
	*p = (struct pending){ .job = { .thunk = t, .done = settle, .arg = p } };
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->settled, NULL);
	thunk_digest(t, &p->job.digest);
	if (f->engine->ops->submit(f->engine, &p->job, &p->ticket, &err) < 0)
		give_up("submit", &err);
}

void pending_wait(struct pending *p)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&p->mutex);
	while (!p->done)
		if (pthread_cond_timedwait(&p->settled, &p->mutex, &until) == ETIMEDOUT)
			give_up("a function did not end", NULL);
	pthread_mutex_unlock(&p->mutex);
}

void pending_release(struct pending *p)
{
	engine_result_release(&p->result);
	pthread_cond_destroy(&p->settled);
	pthread_mutex_destroy(&p->mutex);
}

struct engine_result run(struct fixture *f, struct thunk *t)
{
	struct error err = ERROR_INIT;
	struct pending p;
	if (thunk_finish(t, &err) < 0)
		give_up("thunk", &err);
	pending_start(f, &p, t);
	pending_wait(&p);
	struct engine_result result = p.result;
	p.result = (struct engine_result){ 0 };
	pending_release(&p);
	return result;
}

char *output_text(struct fixture *f, const struct engine_result *r, const char *path)
{
	scoped_buf struct buf b = BUF_INIT;
	const struct ref *ref = memo_output(&r->memo, path);
	struct error err = ERROR_INIT;
	if (!ref)
		fprintf(stderr, "no output %s: %s\n", path, r->reason ? r->reason : "");
	else if (store_get_bytes(f->store, &ref->digest, HOST_FILE_MAX, &b, &err) < 0)
		fprintf(stderr, "output %s: %s\n", path, err.text);
	return buf_steal(&b, NULL);
}

bool eventually(bool (*condition)(void *arg), void *arg)
{
	for (int64_t until = now_ms() + EVENTUALLY_MS; now_ms() < until;) {
		if (condition(arg))
			return true;
		const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
		nanosleep(&pause, NULL);
	}
	return condition(arg);
}
