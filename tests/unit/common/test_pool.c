/* The service's few threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/pool.h"
#include "tests/lib/test.h"

enum { THREADS = 4, TASKS = 1000, WAIT_MS = 10000 };

struct meeting {
	atomic_int there, done;
	int wanted;
};

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* Done when as many are here at the same time as the meeting wants. */
static void meet(void *arg)
{
	struct meeting *m = arg;
	m->there++;
	for (int64_t end = now_ms() + WAIT_MS; m->there < m->wanted && now_ms() < end;)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (m->there >= m->wanted)
		m->done++;
}

static void everything_submitted_is_run_once_before_the_pool_is_gone(void **state)
{
	(void)state;
	struct error err;
	struct pool *p = NULL;
	atomic_int runs = 0;
	assert_ok(pool_new("test", THREADS, &p, &err));
	for (int i = 0; i < TASKS; i++)
		pool_submit(p, count, &runs);
	pool_free(p);
	assert_int_equal(runs, TASKS);
}

static void as_many_run_at_once_as_there_are_threads(void **state)
{
	(void)state;
	struct error err;
	struct pool *p = NULL;
	struct meeting m = { .wanted = THREADS };
	assert_ok(pool_new("test", THREADS, &p, &err));
	for (int i = 0; i < THREADS; i++)
		pool_submit(p, meet, &m);
	pool_free(p);
	assert_int_equal(m.done, THREADS);
}

struct order {
	int numbers[TASKS], count;
};

struct numbered {
	struct order *order;
	int number;
};

static void note(void *arg)
{
	const struct numbered *n = arg;
	n->order->numbers[n->order->count++] = n->number;
}

static void one_thread_runs_in_the_order_of_submitting(void **state)
{
	(void)state;
	struct error err;
	struct pool *p = NULL;
	static struct order order;
	static struct numbered tasks[TASKS];
	assert_ok(pool_new("test", 1, &p, &err));
	for (int i = 0; i < TASKS; i++) {
		tasks[i] = (struct numbered){ &order, i };
		pool_submit(p, note, &tasks[i]);
	}
	pool_free(p);
	assert_int_equal(order.count, TASKS);
	for (int i = 0; i < TASKS; i++)
		assert_int_equal(order.numbers[i], i);
}

static void no_pool_is_freed_as_well(void **state)
{
	(void)state;
	struct error err;
	struct pool *p = NULL;
	pool_free(p);
	assert_ok(pool_new("test", THREADS, &p, &err));
	pool_free(p); /* with nothing to do */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_submitted_is_run_once_before_the_pool_is_gone),
		cmocka_unit_test(as_many_run_at_once_as_there_are_threads),
		cmocka_unit_test(one_thread_runs_in_the_order_of_submitting),
		cmocka_unit_test(no_pool_is_freed_as_well),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
