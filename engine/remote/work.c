#include "engine/remote/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"

struct item {
	work_fn *fn;
	void *arg;
	struct item *next;
};

struct work {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* Guarded by mutex. Its length is that of what the engine has taken on: callers bound that.
	 */
	struct item *first, **end;
	bool closing;
};

static struct item *take(struct work *w)
{
	pthread_mutex_lock(&w->mutex);
	while (!w->first && !w->closing)
		pthread_cond_wait(&w->wake, &w->mutex);
	struct item *item = w->first;
	if (item) {
		w->first = item->next;
		if (!w->first)
			w->end = &w->first;
	}
	pthread_mutex_unlock(&w->mutex);
	return item;
}

static void *work_main(void *arg)
{
	struct work *w = arg;
	for (struct item *item; (item = take(w));) {
		item->fn(item->arg);
		free(item);
	}
	return NULL;
}

int work_new(const char *name, struct work **out, struct error *err)
{
	struct work *w = xcalloc(1, sizeof(*w));
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->end = &w->first;
	/* Signals are the business of the program's own threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&w->thread, NULL, work_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		free(w);
		return error_set(err, r, "cannot start a thread: %s", strerror(-r));
	}
	pthread_setname_np(w->thread, name);
	*out = w;
	return 0;
}

void work_free(struct work *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->mutex);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}

void work_add(struct work *w, work_fn *fn, void *arg)
{
	struct item *item = xmalloc(sizeof(*item));
	*item = (struct item){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&w->mutex);
	*w->end = item;
	w->end = &item->next;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

struct flush {
	pthread_mutex_t mutex;
	pthread_cond_t over;
	bool done; /* guarded by mutex */
};

static void flushed(void *arg)
{
	struct flush *f = arg;
	pthread_mutex_lock(&f->mutex);
	f->done = true;
	pthread_cond_signal(&f->over);
	pthread_mutex_unlock(&f->mutex);
}

void work_flush(struct work *w)
{
	struct flush f = { .mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };
	work_add(w, flushed, &f);
	pthread_mutex_lock(&f.mutex);
	while (!f.done)
		pthread_cond_wait(&f.over, &f.mutex);
	pthread_mutex_unlock(&f.mutex);
	pthread_cond_destroy(&f.over);
	pthread_mutex_destroy(&f.mutex);
}
