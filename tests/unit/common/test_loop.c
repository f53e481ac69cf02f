#include "tests/lib/test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/loop.h"

enum { TIMERS = 200, POSTERS = 4, POSTS_EACH = 5000, GIVE_UP_MS = 20000 };

/* What callbacks saw, in order. */
struct seen {
	struct loop *loop;
	int values[2 * TIMERS];
	size_t count;
};

struct note {
	struct seen *seen;
	int value;
};

static void take_note(void *arg)
{
	struct note *note = arg;
	note->seen->values[note->seen->count++] = note->value;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void give_up(void *arg)
{
	(void)arg;
	fail_msg("what should have ended the loop never happened");
}

static struct loop *new_loop(void)
{
	struct error err;
	struct loop *loop;
	assert_ok(loop_new(&loop, &err));
	loop_after(loop, GIVE_UP_MS, give_up, NULL);
	return loop;
}

static void run(struct loop *loop)
{
	struct error err;
	assert_ok(loop_run(loop, &err));
}

static void timers_fire_in_the_order_they_are_due_and_cancelled_ones_never(void **state)
{
	(void)state;
	struct seen seen = { .loop = new_loop() };
	struct note notes[TIMERS];
	struct loop_timer *timers[TIMERS];
	for (int i = 0; i < TIMERS; i++) {
		int due = (i * 37) % 50; /* neither rising nor falling, and many are due together */
		notes[i] = (struct note){ &seen, due * TIMERS + i };
		timers[i] = loop_after(seen.loop, due, take_note, &notes[i]);
	}
	for (int i = 0; i < TIMERS; i += 3)
		loop_cancel(timers[i]);
	loop_after(seen.loop, 60, stop, seen.loop);
	run(seen.loop);
	assert_int_equal(seen.count, TIMERS - (TIMERS + 2) / 3);
	for (size_t i = 0; i < seen.count; i++) {
		assert_int_not_equal(seen.values[i] % TIMERS % 3, 0);
		/* Setting them took time, so only those set first are sure to be due first. */
		for (size_t j = i + 1; j < seen.count; j++)
			if (seen.values[i] % TIMERS > seen.values[j] % TIMERS)
				assert_true(seen.values[i] / TIMERS < seen.values[j] / TIMERS);
	}
	loop_free(seen.loop);
}

/* Wakes the loop all the time, so that a timer which looks due too early gets its chance. */
static void tick(void *arg)
{
	loop_after(arg, 1, tick, arg);
}

static void a_timer_never_fires_before_its_time(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	int64_t begin = now_ms();
	loop_after(loop, 30, stop, loop);
	tick(loop);
	run(loop);
	assert_true(now_ms() - begin >= 30);
	loop_free(loop);
}

/* A timer set anew each time it fires must not keep the loop from its descriptors. */
struct busy {
	struct loop *loop;
	int fd;
	unsigned fired;
};

static void set_again(void *arg)
{
	struct busy *busy = arg;
	if (busy->fired++ == 0)
		assert_int_equal(write(busy->fd, "", 1), 1);
	loop_after(busy->loop, 0, set_again, busy);
}

static void stop_on_event(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	loop_stop(arg);
}

static void a_timer_that_is_always_due_lets_descriptors_go_before_it_fires_again(void **state)
{
	(void)state;
	struct error err;
	struct loop *loop = new_loop();
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	struct busy busy = { .loop = loop, .fd = ends[1] };
	struct loop_watch *watch;
	assert_ok(loop_watch(loop, ends[0], EPOLLIN, stop_on_event, loop, &watch, &err));
	loop_after(loop, 0, set_again, &busy);
	run(loop);
	assert_int_equal(busy.fired, 1);
	loop_unwatch(watch);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}

/* Both are readable in the same wait; the first to be called drops both and frees what they use. */
struct pair {
	struct loop *loop;
	struct loop_watch *watches[2];
	int fds[2];
	int calls;
};

static void drop_both(void *arg, uint32_t events)
{
	struct pair **owner = arg;
	struct pair *pair = *owner;
	(void)events;
	pair->calls++;
	for (int i = 0; i < 2; i++) {
		loop_unwatch(pair->watches[i]);
		close(pair->fds[i]);
	}
	loop_post(pair->loop, stop, pair->loop);
}

static void a_watch_dropped_by_another_callback_of_the_same_wait_is_not_called(void **state)
{
	(void)state;
	struct error err;
	struct pair pair = { .loop = new_loop() };
	struct pair *owner = &pair;
	for (int i = 0; i < 2; i++) {
		int ends[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		pair.fds[i] = ends[0];
		assert_int_equal(write(ends[1], "", 1), 1);
		close(ends[1]);
		assert_ok(loop_watch(pair.loop, ends[0], EPOLLIN, drop_both, &owner,
		                     &pair.watches[i], &err));
	}
	run(pair.loop);
	assert_int_equal(pair.calls, 1);
	loop_free(pair.loop);
}

static void a_descriptor_that_cannot_be_watched_is_an_error_with_a_reason(void **state)
{
	(void)state;
	struct error err;
	struct loop *loop = new_loop();
	struct loop_watch *watch = NULL;
	assert_error(loop_watch(loop, -1, EPOLLIN, stop_on_event, loop, &watch, &err), -EBADF);
	assert_null(watch);
	loop_free(loop);
}

/* --- posted calls --- */

struct poster {
	struct loop *loop;
	int *left; /* touched on the loop's thread only */
	int next;
	pthread_t thread;
};

struct posted {
	struct poster *from;
	int number;
};

static void receive(void *arg)
{
	struct posted *posted = arg;
	assert_int_equal(posted->number, posted->from->next++);
	if (--*posted->from->left == 0)
		loop_stop(posted->from->loop);
	free(posted);
}

static void *post_many(void *arg)
{
	struct poster *poster = arg;
	for (int i = 0; i < POSTS_EACH; i++) {
		struct posted *posted = xmalloc(sizeof(*posted));
		*posted = (struct posted){ poster, i };
		loop_post(poster->loop, receive, posted);
	}
	return NULL;
}

static void calls_posted_by_several_threads_all_come_each_threads_in_order(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	int left = POSTERS * POSTS_EACH;
	struct poster posters[POSTERS];
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .loop = loop, .left = &left };
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]),
		                 0);
	}
	run(loop);
	assert_int_equal(left, 0);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	loop_free(loop);
}

static void post_another(void *arg)
{
	struct note *note = arg;
	loop_post(note->seen->loop, take_note, note);
}

static void calls_not_yet_run_are_run_when_the_loop_is_freed(void **state)
{
	(void)state;
	struct seen seen = { .loop = new_loop() };
	struct note first = { &seen, 1 }, second = { &seen, 2 };
	loop_post(seen.loop, take_note, &first);
	loop_post(seen.loop, post_another, &second); /* what such a call posts is run as well */
	loop_free(seen.loop);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.values[0], 1);
	assert_int_equal(seen.values[1], 2);
}

static void a_stop_before_the_run_ends_it_and_the_loop_can_run_again(void **state)
{
	(void)state;
	struct seen seen = { .loop = new_loop() };
	struct note note = { &seen, 1 };
	loop_stop(seen.loop);
	run(seen.loop);
	loop_post(seen.loop, take_note, &note);
	loop_post(seen.loop, stop, seen.loop);
	run(seen.loop);
	assert_int_equal(seen.count, 1);
	loop_free(seen.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_the_order_they_are_due_and_cancelled_ones_never),
		cmocka_unit_test(a_timer_never_fires_before_its_time),
		cmocka_unit_test(
		        a_timer_that_is_always_due_lets_descriptors_go_before_it_fires_again),
		cmocka_unit_test(
		        a_watch_dropped_by_another_callback_of_the_same_wait_is_not_called),
		cmocka_unit_test(a_descriptor_that_cannot_be_watched_is_an_error_with_a_reason),
		cmocka_unit_test(calls_posted_by_several_threads_all_come_each_threads_in_order),
		cmocka_unit_test(calls_not_yet_run_are_run_when_the_loop_is_freed),
		cmocka_unit_test(a_stop_before_the_run_ends_it_and_the_loop_can_run_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
