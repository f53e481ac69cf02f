#include "fs/tasks.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "common/buf.h"
#include "common/io.h"

enum { TASKS_THREADS_MAX = 4 };

struct task {
	struct task *next;
	task_fn *fn;
	void *arg;
	int64_t due_ms; /* of those for later */
};

struct queue {
	struct task *first, **last;
};

struct tasks {
	char name[16];
	pthread_t threads[TASKS_THREADS_MAX];
	unsigned thread_count;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct queue now, later; /* later: in order of due_ms, for all wait equally long */
	unsigned running;
	pthread_cond_t settled; /* nothing is running, and nothing to be run now */
	bool ending;
};

static struct task *queue_take(struct queue *q)
{
	struct task *task = q->first;
	if (task) {
		q->first = task->next;
		if (!q->first)
			q->last = &q->first;
	}
	return task;
}

static void queue_add(struct queue *q, struct task *task)
{
	*q->last = task;
	q->last = &task->next;
}

static void wait_for_task(struct tasks *t)
{
	if (!t->later.first) {
		pthread_cond_wait(&t->wake, &t->lock);
		return;
	}
	int64_t due = t->later.first->due_ms;
	struct timespec until = { .tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000 };
	pthread_cond_clockwait(&t->wake, &t->lock, CLOCK_MONOTONIC, &until);
}

/* The next task, waited for; NULL when the threads shall end. */
static struct task *tasks_take(struct tasks *t)
{
	struct task *task;
	pthread_mutex_lock(&t->lock);
	while (!(task = queue_take(&t->now))) {
		if (t->running == 0)
			pthread_cond_broadcast(&t->settled);
		bool due = t->later.first && (t->ending || t->later.first->due_ms <= now_ms());
		if (due)
			task = queue_take(&t->later);
		if (due || t->ending)
			break;
		wait_for_task(t);
	}
	t->running += task != NULL;
	pthread_mutex_unlock(&t->lock);
	return task;
}

static void run_task(struct tasks *t, struct task *task)
{
	task->fn(task->arg);
	free(task);
	pthread_mutex_lock(&t->lock);
	t->running--;
	pthread_mutex_unlock(&t->lock);
}

static void *tasks_run(void *arg)
{
	struct tasks *t = arg;
	struct task *task;
	pthread_setname_np(pthread_self(), t->name);
	while ((task = tasks_take(t)))
		run_task(t, task);
	return NULL;
}

/* Signals are for the thread that serves the session. */
static int start_thread(struct tasks *t)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = -pthread_create(&t->threads[t->thread_count], NULL, tasks_run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		t->thread_count++;
	return r;
}

int tasks_new(const char *name, unsigned threads, struct tasks **out, struct error *err)
{
	struct tasks *t = xcalloc(1, sizeof(*t));
	snprintf(t->name, sizeof(t->name), "%s", name);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	pthread_cond_init(&t->settled, NULL);
	t->now.last = &t->now.first;
	t->later.last = &t->later.first;
	for (unsigned i = 0; i < threads && i < TASKS_THREADS_MAX; i++) {
		int r = start_thread(t);
		if (r < 0) {
			tasks_free(t);
			return error_set(err, r, "cannot start a thread");
		}
	}
	*out = t;
	return 0;
}

static void push(struct tasks *t, struct queue *q, task_fn *fn, void *arg)
{
	struct task *task = xmalloc(sizeof(*task));
	*task = (struct task){ .fn = fn, .arg = arg, .due_ms = now_ms() + TASKS_LATER_MS };
	pthread_mutex_lock(&t->lock);
	queue_add(q, task);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

void tasks_push(struct tasks *t, task_fn *fn, void *arg)
{
	push(t, &t->now, fn, arg);
}

void tasks_push_later(struct tasks *t, task_fn *fn, void *arg)
{
	push(t, &t->later, fn, arg);
}

void tasks_settle(struct tasks *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->now.first || t->running > 0)
		pthread_cond_wait(&t->settled, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void tasks_free(struct tasks *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->thread_count; i++)
		pthread_join(t->threads[i], NULL);
	struct task *left;
	while ((left = tasks_take(t)))
		run_task(t, left);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->settled);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
