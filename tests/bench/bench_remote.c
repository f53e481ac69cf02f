/*
 * bench_remote ENDPOINT JOBS TOTAL START: runs TOTAL thunks, JOBS at once, on the Lambda (or what
 * acts as one) at ENDPOINT, beginning with START at once; credentials from the environment. Prints
 * one line of JSON: seconds, this process's own CPU, the memory it came to, and the ledger's
 * counts.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/io.h"
#include "engine/remote/remote.h"

struct bench {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned running, failed, lost; /* guarded by mutex; lost: failed, and not by itself */
	char *first_failure;
};

struct run {
	struct bench *bench;
	struct thunk thunk;
};

static void done(void *arg, struct engine_result *r)
{
	struct run *run = arg;
	struct bench *b = run->bench;
	thunk_release(&run->thunk);
	pthread_mutex_lock(&b->mutex);
	b->running--;
	if (r->outcome != OUTCOME_DONE && b->failed++ == 0)
		b->first_failure = xformat("outcome %d: %s", r->outcome, r->reason);
	b->lost += r->outcome != OUTCOME_DONE && r->outcome != OUTCOME_FAILED &&
	           r->outcome != OUTCOME_TIMED_OUT;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->mutex);
	free(run);
}

static _Noreturn void give_up(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

static void submit(struct bench *b, struct engine *engine, unsigned number)
{
	struct error err = ERROR_INIT;
	struct engine_ticket *ticket;
	struct run *run = xcalloc(1, sizeof(*run));
	run->bench = b;
	run->thunk = THUNK_INIT;
	run->thunk.program = xstrdup("bin/sleep");
	strv_add(&run->thunk.args, "sleep");
	strv_add_format(&run->thunk.args, "%u", number);
	thunk_add_output(&run->thunk, OUTPUT_FILE, "out");
	if (thunk_finish(&run->thunk, &err) < 0)
		give_up("thunk", &err);
	struct engine_job job = { .thunk = &run->thunk, .done = done, .arg = run };
	thunk_digest(&run->thunk, &job.digest);
	pthread_mutex_lock(&b->mutex);
	b->running++;
	pthread_mutex_unlock(&b->mutex);
	if (engine->ops->submit(engine, &job, &ticket, &err) < 0)
		give_up("submit", &err);
}

static void run_all(struct bench *b, struct engine *engine, unsigned jobs, unsigned total)
{
	for (unsigned i = 0; i < total; i++) {
		pthread_mutex_lock(&b->mutex);
		while (b->running >= jobs)
			pthread_cond_wait(&b->changed, &b->mutex);
		pthread_mutex_unlock(&b->mutex);
		submit(b, engine, i);
	}
	pthread_mutex_lock(&b->mutex);
	while (b->running > 0)
		pthread_cond_wait(&b->changed, &b->mutex);
	pthread_mutex_unlock(&b->mutex);
}

static double cpu_seconds(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void measure(const struct remote_context *context, const char *endpoint, unsigned jobs,
                    unsigned total, unsigned start)
{
	struct error err = ERROR_INIT;
	struct bench b = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		           .changed = PTHREAD_COND_INITIALIZER };
	struct engine *engine;
	struct ledger_totals totals;
	struct rusage before, after;
	const struct lambda_options options = { .endpoint = endpoint, .start = start };
	if (engine_lambda_new(context, &options, jobs, &engine, &err) < 0)
		give_up("engine", &err);
	getrusage(RUSAGE_SELF, &before);
	int64_t begin = now_us();
	run_all(&b, engine, jobs, total);
	double seconds = (double)(now_us() - begin) / 1e6;
	getrusage(RUSAGE_SELF, &after);
	engine->ops->free(engine);
	ledger_totals(context->ledger, &totals);
	double cpu = cpu_seconds(&after) - cpu_seconds(&before);
	long kib = after.ru_maxrss - before.ru_maxrss;
	printf("{\"seconds\": %.3f, \"cpu_s\": %.3f, \"cpu_ms_each\": %.4f, \"rss_kib\": %ld, "
	       "\"kib_each\": %.1f, \"invocations\": %llu, \"throttled\": %llu, "
	       "\"retried\": %llu, \"duplicated\": %llu, \"failed\": %u, \"lost\": %u, "
	       "\"in_flight\": %llu}\n",
	       seconds, cpu, 1000 * cpu / total, after.ru_maxrss, (double)kib / jobs,
	       (unsigned long long)totals.invocations, (unsigned long long)totals.throttled,
	       (unsigned long long)totals.retried, (unsigned long long)totals.duplicated, b.failed,
	       b.lost, (unsigned long long)totals.in_flight);
	if (b.failed)
		fprintf(stderr, "%s\n", b.first_failure);
	free(b.first_failure);
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct prices prices;
	struct aws_config *config;
	struct remote_context context = { .ledger = ledger_new(), .prices = &prices };
	const char *base = getenv("TMPDIR");
	if (argc != 5) {
		fprintf(stderr, "usage: bench_remote ENDPOINT JOBS TOTAL START\n");
		return 2;
	}
	prices_default(&prices);
	scoped_free char *directory = xformat("%s/ggfs-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(directory))
		return 1;
	scoped_free char *near = xformat("%s/store", directory);
	const struct aws_config_options options = { 0 };
	if (store_open_local(near, true, STORE_SYNC_NONE, &context.near, &err) < 0)
		give_up("store", &err);
	if (net_new(&(struct http_options){ 0 }, &context.net, &err) < 0)
		give_up("net", &err);
	if (aws_config_load(&options, &config, &err) < 0 ||
	    aws_new(context.net, config, &context.aws, &err) < 0)
		give_up("aws", &err);
	measure(&context, argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]),
	        (unsigned)atoi(argv[4]));
	aws_free(context.aws);
	net_free(context.net);
	aws_config_free(config);
	ledger_free(context.ledger);
	store_free(context.near);
	remove_tree_at(AT_FDCWD, directory, NULL);
	return 0;
}
