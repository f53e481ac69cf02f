#include "common/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/buf.h"

struct task {
	struct task *next;
	pool_fn *work;
	void *arg;
};

struct pool {
	pthread_mutex_t lock; /* guards the four below */
	pthread_cond_t wake;
	struct task *first, *last;
	bool ending;
	pthread_t *threads;
	unsigned count;
};

static void *pool_thread(void *arg)
{
	struct pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->first && !p->ending)
			pthread_cond_wait(&p->wake, &p->lock);
		struct task *task = p->first;
		if (!task)
			break;
		p->first = task->next;
		pthread_mutex_unlock(&p->lock);
		task->work(task->arg);
		free(task);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are the business of the program's own threads. */
static int start_thread(struct pool *p, const char *name)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&p->threads[p->count], NULL, pool_thread, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(p->threads[p->count], name);
	return -r;
}

int pool_new(const char *name, unsigned threads, struct pool **out, struct error *err)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->threads = xcalloc(threads, sizeof(*p->threads));
	for (; p->count < threads; p->count++) {
		int r = start_thread(p, name);
		if (r < 0) {
			unsigned failed = p->count;
			pool_free(p);
			return error_set(err, r, "cannot start thread %u of %u", failed, threads);
		}
	}
	*out = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}

void pool_submit(struct pool *p, pool_fn *work, void *arg)
{
	struct task *task = xcalloc(1, sizeof(*task));
	task->work = work;
	task->arg = arg;
	pthread_mutex_lock(&p->lock);
	if (p->first)
		p->last->next = task;
	else
		p->first = task;
	p->last = task;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

struct flush {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done; /* guarded by lock */
};

static void flushed(void *arg)
{
	struct flush *f = arg;
	pthread_mutex_lock(&f->lock);
	f->done = true;
	pthread_cond_signal(&f->over);
	pthread_mutex_unlock(&f->lock);
}

void pool_flush(struct pool *p)
{
	struct flush f = { .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };
	pool_submit(p, flushed, &f);
	pthread_mutex_lock(&f.lock);
	while (!f.done)
		pthread_cond_wait(&f.over, &f.lock);
	pthread_mutex_unlock(&f.lock);
	pthread_cond_destroy(&f.over);
	pthread_mutex_destroy(&f.lock);
}
