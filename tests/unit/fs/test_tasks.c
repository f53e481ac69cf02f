#include "tests/lib/test.h"

#include <stdatomic.h>

#include "fs/tasks.h"

struct record {
	int order[100];
	atomic_int count;
};

struct step {
	struct record *record;
	int number;
};

static void note(void *arg)
{
	struct step *s = arg;
	s->record->order[atomic_fetch_add(&s->record->count, 1)] = s->number;
}

static void tasks_of_one_thread_run_in_order_and_all_before_free_returns(void **state)
{
	struct error err;
	struct tasks *tasks;
	struct record record = { 0 };
	struct step steps[100];
	(void)state;
	assert_ok(tasks_new("test", 1, &tasks, &err));
	for (int i = 0; i < 100; i++) {
		steps[i] = (struct step){ &record, i };
		tasks_push(tasks, note, &steps[i]);
	}
	tasks_free(tasks);
	assert_int_equal(record.count, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(record.order[i], i);
}

static void what_is_for_later_runs_at_the_latest_when_the_threads_end(void **state)
{
	struct error err;
	struct tasks *tasks;
	struct record record = { 0 };
	struct step later = { &record, 1 }, now = { &record, 2 };
	(void)state;
	assert_ok(tasks_new("test", 1, &tasks, &err));
	tasks_push_later(tasks, note, &later);
	tasks_push(tasks, note, &now);
	tasks_free(tasks);
	assert_int_equal(record.count, 2);
	assert_int_equal(record.order[0], 2);
}

static void what_is_for_later_runs_by_itself(void **state)
{
	struct error err;
	struct tasks *tasks;
	struct record record = { 0 };
	struct step later = { &record, 1 };
	int64_t until = now_ms() + 20000;
	(void)state;
	assert_ok(tasks_new("test", 2, &tasks, &err));
	tasks_push_later(tasks, note, &later);
	while (atomic_load(&record.count) == 0 && now_ms() < until)
		usleep(1000);
	assert_int_equal(record.count, 1);
	tasks_free(tasks);
}

static void linger(void *arg)
{
	usleep(20000);
	note(arg);
}

static void settling_waits_for_what_runs_and_is_queued_and_not_for_what_is_for_later(void **state)
{
	struct error err;
	struct tasks *tasks;
	struct record record = { 0 };
	struct step later = { &record, 3 }, slow = { &record, 1 }, quick = { &record, 2 };
	(void)state;
	assert_ok(tasks_new("test", 2, &tasks, &err));
	tasks_settle(tasks);
	tasks_push_later(tasks, note, &later);
	for (int i = 0; i < 5; i++) {
		int before = atomic_load(&record.count);
		tasks_push(tasks, linger, &slow);
		tasks_push(tasks, note, &quick);
		tasks_settle(tasks);
		assert_int_equal(record.count, before + 2);
	}
	tasks_free(tasks);
	assert_int_equal(record.count, 11);
	assert_int_equal(record.order[10], 3);
}

static void freeing_none_is_fine(void **state)
{
	(void)state;
	tasks_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_of_one_thread_run_in_order_and_all_before_free_returns),
		cmocka_unit_test(what_is_for_later_runs_at_the_latest_when_the_threads_end),
		cmocka_unit_test(what_is_for_later_runs_by_itself),
		cmocka_unit_test(
		        settling_waits_for_what_runs_and_is_queued_and_not_for_what_is_for_later),
		cmocka_unit_test(freeing_none_is_fine),
	};
	return cmocka_run_group_tests_name("fs tasks", tests, NULL, NULL);
}
