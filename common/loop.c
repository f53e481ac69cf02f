#include "common/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"

enum { EVENTS_PER_WAIT = 64 };

struct loop_watch {
	struct loop *loop;
	int fd;
	bool dead;
	loop_fd_fn *fn;
	void *arg;
	struct loop_watch *previous, *next; /* in loop->watches or loop->dead_watches */
};

struct loop_timer {
	struct loop *loop;
	int64_t due_ms;
	uint64_t order; /* of two that are due together, the older one first */
	size_t place;   /* in loop->timers */
	loop_fn *fn;
	void *arg;
};

struct post {
	loop_fn *fn;
	void *arg;
	struct post *next;
};

struct loop {
	int epoll_fd;
	int wake_fd;
	atomic_bool stopped;
	struct loop_watch *watches;
	/* Unwatched, but perhaps still named by events of the wait under way. */
	struct loop_watch *dead_watches;
	struct loop_timer **timers; /* a binary heap */
	size_t timer_count, timer_capacity;
	uint64_t timers_made;
	pthread_mutex_t lock; /* guards the two below */
	struct post *posts;
	struct post **posts_end;
};

int loop_new(struct loop **out, struct error *err)
{
	scoped_fd int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return error_errno(err, "cannot create an epoll descriptor");
	scoped_fd int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return error_errno(err, "cannot create an event descriptor");
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0)
		return error_errno(err, "cannot watch an event descriptor");
	struct loop *loop = xcalloc(1, sizeof(*loop));
	loop->epoll_fd = steal_fd(&epoll_fd);
	loop->wake_fd = steal_fd(&wake_fd);
	pthread_mutex_init(&loop->lock, NULL);
	loop->posts_end = &loop->posts;
	*out = loop;
	return 0;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full, and so the loop awake already. */
	ssize_t ignored = write(loop->wake_fd, &one, sizeof(one));
	(void)ignored;
}

/* --- watches --- */

static void list_remove(struct loop_watch **list, struct loop_watch *watch)
{
	if (watch->previous)
		watch->previous->next = watch->next;
	else
		*list = watch->next;
	if (watch->next)
		watch->next->previous = watch->previous;
}

static void list_push(struct loop_watch **list, struct loop_watch *watch)
{
	watch->previous = NULL;
	watch->next = *list;
	if (watch->next)
		watch->next->previous = watch;
	*list = watch;
}

static void free_list(struct loop_watch **list)
{
	while (*list) {
		struct loop_watch *watch = *list;
		*list = watch->next;
		free(watch);
	}
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
	       struct loop_watch **out, struct error *err)
{
	struct loop_watch *watch = xcalloc(1, sizeof(*watch));
	*watch = (struct loop_watch){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
	struct epoll_event event = { .events = events, .data.ptr = watch };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = error_errno(err, "cannot watch descriptor %d", fd);
		free(watch);
		return r;
	}
	list_push(&loop->watches, watch);
	*out = watch;
	return 0;
}

void loop_watch_events(struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_unwatch(struct loop_watch *watch)
{
	if (!watch)
		return;
	struct loop *loop = watch->loop;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->dead = true;
	list_remove(&loop->watches, watch);
	list_push(&loop->dead_watches, watch);
}

/* --- timers --- */

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void timer_put(struct loop *loop, size_t place, struct loop_timer *timer)
{
	loop->timers[place] = timer;
	timer->place = place;
}

/* Moves the timer from place towards the root or the leaves until the heap is in order. */
static void timer_settle(struct loop *loop, size_t place, struct loop_timer *timer)
{
	while (place > 0 && timer_before(timer, loop->timers[(place - 1) / 2])) {
		timer_put(loop, place, loop->timers[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * place + 1;
		if (child >= loop->timer_count)
			break;
		if (child + 1 < loop->timer_count &&
		    timer_before(loop->timers[child + 1], loop->timers[child]))
			child++;
		if (!timer_before(loop->timers[child], timer))
			break;
		timer_put(loop, place, loop->timers[child]);
		place = child;
	}
	timer_put(loop, place, timer);
}

struct loop_timer *loop_after(struct loop *loop, int64_t delay_ms, loop_fn *fn, void *arg)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));
	*timer = (struct loop_timer){
		.loop = loop,
		.due_ms = now_ms() + (delay_ms > 0 ? delay_ms : 0),
		.order = loop->timers_made++,
		.fn = fn,
		.arg = arg,
	};
	array_grow(loop->timers, loop->timer_count, loop->timer_capacity);
	loop->timer_count++;
	timer_settle(loop, loop->timer_count - 1, timer);
	return timer;
}

void loop_cancel(struct loop_timer *timer)
{
	if (!timer)
		return;
	struct loop *loop = timer->loop;
	struct loop_timer *last = loop->timers[--loop->timer_count];
	if (last != timer)
		timer_settle(loop, timer->place, last);
	free(timer);
}

static void run_timers(struct loop *loop)
{
	/* Timers that the callbacks set, also those due at once, wait for the next turn. */
	uint64_t made = loop->timers_made;
	int64_t now = now_ms();
	while (!loop->stopped && loop->timer_count && loop->timers[0]->due_ms <= now &&
	       loop->timers[0]->order < made) {
		struct loop_timer *timer = loop->timers[0];
		loop_fn *fn = timer->fn;
		void *arg = timer->arg;
		loop_cancel(timer);
		fn(arg);
	}
}

static int wait_ms(const struct loop *loop)
{
	enum { LONGEST_MS = 60 * 60 * 1000 };
	if (!loop->timer_count)
		return -1;
	int64_t left = loop->timers[0]->due_ms - now_ms();
	if (left < 0)
		return 0;
	return left > LONGEST_MS ? LONGEST_MS : (int)left;
}

/* --- posted calls --- */

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
	struct post *post = xcalloc(1, sizeof(*post));
	*post = (struct post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&loop->lock);
	bool first = !loop->posts;
	*loop->posts_end = post;
	loop->posts_end = &post->next;
	/* Under the lock: once it is let go the call may run, and what it runs may end the loop. */
	if (first)
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* Runs what was posted until now; false when there was nothing. */
static bool run_posts(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct post *post = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->lock);
	bool any = post != NULL;
	while (post) {
		struct post *next = post->next;
		post->fn(post->arg);
		free(post);
		post = next;
	}
	return any;
}

/* --- running --- */

static void drain_wake(struct loop *loop)
{
	uint64_t count;
	ssize_t ignored = read(loop->wake_fd, &count, sizeof(count));
	(void)ignored;
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count)
{
	bool woken = false;
	for (int i = 0; i < count; i++) {
		struct loop_watch *watch = events[i].data.ptr;
		if (!watch)
			woken = true;
		else if (!watch->dead)
			watch->fn(watch->arg, events[i].events);
	}
	free_list(&loop->dead_watches);
	if (woken) {
		drain_wake(loop);
		run_posts(loop);
	}
}

int loop_run(struct loop *loop, struct error *err)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	while (!loop->stopped) {
		int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, wait_ms(loop));
		if (count < 0 && errno != EINTR)
			return error_errno(err, "cannot wait for events");
		dispatch(loop, events, count);
		run_timers(loop);
	}
	loop->stopped = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	int saved = errno; /* signal handlers call this */
	loop->stopped = true;
	wake(loop);
	errno = saved;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (run_posts(loop))
		;
	for (size_t i = 0; i < loop->timer_count; i++)
		free(loop->timers[i]);
	free(loop->timers);
	free_list(&loop->watches);
	free_list(&loop->dead_watches);
	close(loop->wake_fd);
	close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
