#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/local/run.h"

enum { LOCAL_JOBS_MAX = 4096 };

/* A submitted job, queued or running. */
struct ticket {
	uintptr_t id; /* what the caller holds: never an address, so a stale one harms nothing */
	struct engine_job job;
	bool cancelled;
	struct worker *worker; /* who runs it; NULL: it is queued */
	struct ticket *next;
};

struct worker {
	struct local *engine;
	pthread_t thread;
	struct slot slot;
	int cancel_fd; /* eventfd */
	bool ended;    /* guarded by the engine's mutex: waits to be joined */
	struct worker *next;
};

struct local {
	struct engine engine; /* first */
	struct run_context context;
	pthread_mutex_t mutex;
	pthread_cond_t work; /* a ticket was queued, or workers are to end */
	/* All below guarded by mutex. */
	struct ticket *tickets; /* in the order submitted */
	struct worker *workers;
	unsigned capacity, worker_count, idle, queued;
	uintptr_t last_id;
	bool closing;
};

/* --- workers ---------------------------------------------------------------------------------- */

/* mutex held. */
static struct ticket *first_queued(const struct local *e)
{
	for (struct ticket *t = e->tickets; t; t = t->next)
		if (!t->worker)
			return t;
	return NULL;
}

/* mutex held. */
static void unlink_ticket(struct local *e, struct ticket *ticket)
{
	struct ticket **at = &e->tickets;
	while (*at != ticket)
		at = &(*at)->next;
	*at = ticket->next;
}

/* Waits for a job. NULL: this worker is to end. */
static struct ticket *take_ticket(struct worker *w)
{
	struct local *e = w->engine;
	struct ticket *ticket = NULL;
	pthread_mutex_lock(&e->mutex);
	for (;;) {
		ticket = first_queued(e);
		/* At the end all queued jobs are still answered, by whoever is left. */
		if (ticket || e->closing || e->worker_count > e->capacity)
			break;
		e->idle++;
		pthread_cond_wait(&e->work, &e->mutex);
		e->idle--;
	}
	if (ticket) {
		e->queued--;
		ticket->worker = w;
	} else {
		e->worker_count--;
		w->ended = true;
	}
	pthread_mutex_unlock(&e->mutex);
	return ticket;
}

static bool is_cancelled(struct local *e, const struct ticket *ticket)
{
	pthread_mutex_lock(&e->mutex);
	bool cancelled = ticket->cancelled;
	pthread_mutex_unlock(&e->mutex);
	return cancelled;
}

static void answer_cancelled(const struct engine_job *job, struct engine_result *result)
{
	result->outcome = OUTCOME_CANCELLED;
	result->exit_status = -1;
	result->reason = xstrdup("cancelled");
	result->stderr_tail = xstrdup("");
	result->memo.thunk = job->digest;
	result->memo.engine = xstrdup("local");
}

static void work_off(struct worker *w, struct ticket *ticket)
{
	struct local *e = w->engine;
	struct engine_result result = { 0 };
	if (is_cancelled(e, ticket))
		answer_cancelled(&ticket->job, &result);
	else
		run_thunk(&e->context, &w->slot, &ticket->job, w->cancel_fd, &result);
	pthread_mutex_lock(&e->mutex);
	unlink_ticket(e, ticket); /* from here on a cancel finds nothing */
	uint64_t count;
	ssize_t n = read(w->cancel_fd, &count, sizeof(count)); /* nothing there is usual */
	pthread_mutex_unlock(&e->mutex);
	(void)n;
	ticket->job.done(ticket->job.arg, &result);
	engine_result_release(&result);
	free(ticket);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	for (struct ticket *ticket; (ticket = take_ticket(w));)
		work_off(w, ticket);
	slot_stop(&w->slot);
	return NULL;
}

static void worker_free(struct worker *w)
{
	if (w->cancel_fd >= 0)
		close(w->cancel_fd);
	free(w);
}

/* mutex held. */
static int add_worker(struct local *e, struct error *err)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	w->engine = e;
	slot_init(&w->slot, &e->context.slots);
	w->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* Signals are the business of the program's own threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = w->cancel_fd < 0 ? -errno : -pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		worker_free(w);
		return error_set(err, r, "cannot start a worker: %s", strerror(-r));
	}
	pthread_setname_np(w->thread, "ggfs-local");
	w->next = e->workers;
	e->workers = w;
	e->worker_count++;
	return 0;
}

/* Takes workers out of the list: the ended ones, or all. mutex held. */
static struct worker *take_workers(struct local *e, bool all)
{
	struct worker *taken = NULL;
	for (struct worker **at = &e->workers; *at;) {
		struct worker *w = *at;
		if (!all && !w->ended) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

static void join_workers(struct worker *w)
{
	while (w) {
		struct worker *next = w->next;
		pthread_join(w->thread, NULL);
		worker_free(w);
		w = next;
	}
}

/* --- the table -------------------------------------------------------------------------------- */

static struct local *local_of(struct engine *e)
{
	return (struct local *)e;
}

static unsigned local_capacity(struct engine *engine)
{
	struct local *e = local_of(engine);
	pthread_mutex_lock(&e->mutex);
	unsigned capacity = e->capacity;
	pthread_mutex_unlock(&e->mutex);
	return capacity;
}

static unsigned default_jobs(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (unsigned)n;
}

static int local_set_capacity(struct engine *engine, unsigned jobs, struct error *err)
{
	struct local *e = local_of(engine);
	if (jobs > LOCAL_JOBS_MAX)
		return error_set(err, -EINVAL, "%u jobs at once are more than %d", jobs,
		                 LOCAL_JOBS_MAX);
	pthread_mutex_lock(&e->mutex);
	e->capacity = jobs ? jobs : default_jobs();
	pthread_cond_broadcast(&e->work);
	struct worker *ended = take_workers(e, false);
	pthread_mutex_unlock(&e->mutex);
	join_workers(ended);
	return 0;
}

static int local_submit(struct engine *engine, const struct engine_job *job,
                        struct engine_ticket **out, struct error *err)
{
	struct local *e = local_of(engine);
	struct ticket *ticket = xcalloc(1, sizeof(*ticket));
	ticket->job = *job;
	pthread_mutex_lock(&e->mutex);
	int r = 0;
	if (e->queued >= e->idle && e->worker_count < e->capacity)
		r = add_worker(e, err);
	if (r < 0 && e->worker_count > 0)
		r = 0; /* fewer at once, then */
	if (r == 0) {
		struct ticket **last = &e->tickets;
		while (*last)
			last = &(*last)->next;
		*last = ticket;
		ticket->id = ++e->last_id;
		*out = (struct engine_ticket *)ticket->id;
		e->queued++;
		pthread_cond_signal(&e->work);
	}
	pthread_mutex_unlock(&e->mutex);
	if (r < 0)
		free(ticket);
	return r;
}

/* mutex held. */
static void cancel_ticket(struct ticket *t)
{
	uint64_t one = 1;
	t->cancelled = true;
	if (t->worker && write(t->worker->cancel_fd, &one, sizeof(one)) < 0)
		log_warning("cannot cancel a function: %s", strerror(errno));
}

static void local_cancel(struct engine *engine, struct engine_ticket *ticket)
{
	struct local *e = local_of(engine);
	pthread_mutex_lock(&e->mutex);
	for (struct ticket *t = e->tickets; t; t = t->next)
		if (t->id == (uintptr_t)ticket)
			cancel_ticket(t);
	pthread_mutex_unlock(&e->mutex);
}

static uint64_t local_price(struct engine *engine, const struct thunk *t)
{
	(void)engine;
	(void)t;
	return 0;
}

static void local_free(struct engine *engine)
{
	struct local *e = local_of(engine);
	pthread_mutex_lock(&e->mutex);
	e->closing = true;
	for (struct ticket *t = e->tickets; t; t = t->next)
		cancel_ticket(t);
	pthread_cond_broadcast(&e->work);
	struct worker *all = take_workers(e, true);
	pthread_mutex_unlock(&e->mutex);
	join_workers(all);
	toolchains_free(e->context.toolchains);
	slot_options_release(&e->context.slots);
	pthread_cond_destroy(&e->work);
	pthread_mutex_destroy(&e->mutex);
	free(e);
}

static const struct engine_ops local_ops = {
	.name = "local",
	.takes_next = false,
	.capacity = local_capacity,
	.set_capacity = local_set_capacity,
	.submit = local_submit,
	.cancel = local_cancel,
	.price = local_price,
	.free = local_free,
};

/* --- beginning -------------------------------------------------------------------------------- */

/* Whether a runner can shut itself in here; it is started and ended again. */
static int try_mode(const struct slot_options *options, struct error *err)
{
	struct slot slot;
	slot_init(&slot, options);
	int r = slot_start(&slot, err);
	slot_stop(&slot);
	return r;
}

/* Namespaces where they can be had; GGFS_SANDBOX=namespaces makes everything else an error. */
static int choose_mode(struct slot_options *options, char **why, struct error *err)
{
	const char *asked = getenv("GGFS_SANDBOX");
	struct error reason = ERROR_INIT;
	if (options->weak) {
		*why = xstrdup("GGFS_SANDBOX=weak asks for it");
		return 0;
	}
	int r = try_mode(options, &reason);
	if (r == 0)
		return 0;
	if (r == -EPIPE || (asked && strcmp(asked, "namespaces") == 0))
		return error_set(err, r, "%s", error_text(&reason));
	options->weak = true;
	r = try_mode(options, err);
	if (r == 0)
		*why = xstrdup(error_text(&reason));
	return r;
}

int engine_local_new(struct store *store, unsigned jobs, struct engine **out, struct error *err)
{
	int dirfd = store_local_dirfd(store);
	struct slot_options options;
	scoped_free char *why = NULL;
	if (dirfd < 0)
		return error_set(err, -EINVAL, "the local engine needs a local store");
	if (jobs > LOCAL_JOBS_MAX)
		return error_set(err, -EINVAL, "%u jobs at once are more than %d", jobs,
		                 LOCAL_JOBS_MAX);
	int r = slot_options_init(&options, dirfd, err);
	if (r < 0)
		return r;
	r = choose_mode(&options, &why, err);
	if (r < 0) {
		slot_options_release(&options);
		return r;
	}
	if (why)
		log_warning("functions run in the weaker sandbox: %s", why);
	const char *trace = getenv("GGFS_TRACE");
	struct local *e = xcalloc(1, sizeof(*e));
	e->engine.ops = &local_ops;
	e->context.store = store;
	e->context.slots = options;
	e->context.toolchains = toolchains_new(store);
	e->context.trace = !trace || strcmp(trace, "0") != 0;
	e->capacity = jobs ? jobs : default_jobs();
	pthread_mutex_init(&e->mutex, NULL);
	pthread_cond_init(&e->work, NULL);
	*out = &e->engine;
	return 0;
}

bool engine_local_isolated(char **why)
{
	struct slot_options options;
	struct error err = ERROR_INIT;
	scoped_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *reason = NULL;
	int r = slot_options_init(&options, root, &err);
	if (r == 0) {
		r = choose_mode(&options, &reason, &err);
		if (r == 0 && options.weak)
			r = -EPERM;
		slot_options_release(&options);
	}
	if (r < 0 && !reason)
		reason = xstrdup(error_text(&err));
	*why = r == 0 ? xstrdup("namespaces: each function sees its declared inputs and nothing "
	                        "else")
	              : xformat("weaker: functions see this machine's files: %s", reason);
	free(reason);
	return r == 0;
}
