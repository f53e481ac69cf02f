#include "engine/service/pool.h"

#include <pthread.h>
#include <stdbool.h>

#include "common/buf.h"

struct task {
	struct task *next;
	void (*work)(void *arg);
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

int pool_new(unsigned threads, struct pool **out, struct error *err)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->threads = xcalloc(threads, sizeof(*p->threads));
	for (; p->count < threads; p->count++) {
		int r = pthread_create(&p->threads[p->count], NULL, pool_thread, p);
		if (r != 0) {
			pool_free(p);
			return error_set(err, -r, "cannot start thread %u of %u", p->count,
			                 threads);
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

void pool_submit(struct pool *p, void (*work)(void *arg), void *arg)
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
