/*
 * bench-local [THUNKS [JOBS [INPUTS]]]: what the local engine costs. Runs that many trivial thunks
 * (a static program writes one small file; each has another output) and prints one line of JSON:
 * thunks a second, and CPU per thunk of all processes together. With INPUTS each thunk has that
 * many input files of 8 KiB besides.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/io.h"
#include "tests/contract/engine/harness.h"

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Of this process and all it waited for; runners have been, once the engine is freed. */
static double cpu_seconds(void)
{
	struct rusage self, children;
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return seconds(&self.ru_utime) + seconds(&self.ru_stime) + seconds(&children.ru_utime) +
	       seconds(&children.ru_stime);
}

static void add_inputs(struct fixture *f, struct thunk *t, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char text[8192];
		scoped_free char *path = xformat("usr/include/d%u/h%u.h", i % 20, i);
		memset(text, 'x', sizeof(text));
		snprintf(text, sizeof(text), "%u", i);
		text[strlen(text)] = ' ';
		text[sizeof(text) - 1] = '\0';
		add_input(f, t, path, text);
	}
}

static void make_thunks(struct fixture *f, struct thunk *thunks, unsigned count, unsigned inputs)
{
	struct error err = ERROR_INIT;
	for (unsigned i = 0; i < count; i++) {
		scoped_free char *text = xformat("%u\n", i);
		thunks[i] = THUNK_INIT;
		thunk_of_function(f, &thunks[i], "write", "out", text, NULL);
		add_inputs(f, &thunks[i], inputs);
		thunk_add_output(&thunks[i], OUTPUT_FILE, "out");
		if (thunk_finish(&thunks[i], &err) < 0)
			abort();
	}
}

/* As many at a time as the engine takes. */
static unsigned run_all(struct fixture *f, struct thunk *thunks, unsigned count, unsigned window)
{
	struct pending *pending = xcalloc(window, sizeof(*pending));
	unsigned failed = 0;
	for (unsigned i = 0; i < count + window; i++) {
		struct pending *p = &pending[i % window];
		if (i >= window) {
			pending_wait(p);
			failed += p->result.outcome != OUTCOME_DONE;
			pending_release(p);
		}
		if (i < count)
			pending_start(f, p, &thunks[i]);
	}
	free(pending);
	return failed;
}

int main(int argc, char **argv)
{
	static const struct backend local = { .name = "local", .make = engine_local_new };
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;
	unsigned jobs = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	unsigned inputs = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	struct fixture f;
	fixture_begin(&f, &local, jobs);
	jobs = f.engine->ops->capacity(f.engine);
	if (count < jobs)
		count = jobs;
	struct thunk *thunks = xcalloc(count, sizeof(*thunks));
	make_thunks(&f, thunks, count, inputs);
	/* Runners started, caches filled. */
	unsigned failed = run_all(&f, thunks, jobs, jobs);
	double cpu = -cpu_seconds();
	int64_t begin = now_us();
	failed += run_all(&f, thunks, count, jobs);
	double wall = (double)(now_us() - begin) / 1e6;
	f.engine->ops->free(f.engine);
	f.engine = NULL;
	cpu += cpu_seconds();
	for (unsigned i = 0; i < count; i++)
		thunk_release(&thunks[i]);
	free(thunks);
	fixture_end(&f);
	printf("{\"name\": \"local engine\", \"thunks\": %u, \"jobs\": %u, \"inputs\": %u, "
	       "\"thunks_per_second\": %.0f, \"cpu_ms_per_thunk\": %.3f, \"failed\": %u}\n",
	       count, jobs, inputs, count / wall, cpu * 1000 / count, failed);
	return failed ? 1 : 0;
}
