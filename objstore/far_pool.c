#include "objstore/far_pool.h"

#include <pthread.h>
#include <sys/prctl.h>

struct task {
	loop_fn *work, *done;
	void *arg;
	struct task *next;
};

struct far_pool {
	struct net *net;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct task *first, *last; /* under the lock */
	bool ending;               /* under the lock */
	unsigned count;
	pthread_t threads[FAR_POOL_THREADS_MAX];
};

static struct task *next_task(struct far_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->ending)
		pthread_cond_wait(&pool->changed, &pool->lock);
	struct task *task = pool->first;
	if (task)
		pool->first = task->next;
	pthread_mutex_unlock(&pool->lock);
	return task;
}

static void *run(void *arg)
{
	struct far_pool *pool = arg;
	struct task *task;
	prctl(PR_SET_NAME, "ggfs-far");
	while ((task = next_task(pool))) {
		task->work(task->arg);
		net_post(pool->net, task->done, task->arg);
		free(task);
	}
	return NULL;
}

int far_pool_new(struct net *net, struct far_pool **out, struct error *err)
{
	struct far_pool *pool = xcalloc(1, sizeof(*pool));
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted = processors < 2 ? 2 : (unsigned)processors;
	pool->net = net;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	while (pool->count < wanted && pool->count < FAR_POOL_THREADS_MAX) {
		int r = pthread_create(&pool->threads[pool->count], NULL, run, pool);
		if (r != 0) {
			far_pool_free(pool);
			return error_set(err, -r, "cannot start a thread of the far store");
		}
		pool->count++;
	}
	*out = pool;
	return 0;
}

void far_pool_free(struct far_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->changed);
	free(pool);
}

void far_pool_run(struct far_pool *pool, loop_fn *work, loop_fn *done, void *arg)
{
	struct task *task = xcalloc(1, sizeof(*task));
	*task = (struct task){ .work = work, .done = done, .arg = arg };
	pthread_mutex_lock(&pool->lock);
	if (pool->first)
		pool->last->next = task;
	else
		pool->first = task;
	pool->last = task;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}
