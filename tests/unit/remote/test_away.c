/* A service that takes nothing, or is not there at all: how long and how often it is asked. */
#include <string.h>
#include <time.h>

#include "engine/remote/pace.h"
#include "tests/unit/remote/scene.h"

struct trouble {
	int status;
	const char *type, *message;
};

static void act_trouble(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	const struct trouble *t = arg;
	(void)number;
	(void)request;
	fake_act_error(act, t->status, t->type, t->message);
}

static void a_service_in_trouble_for_good_loses_the_job_after_its_tries(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	struct trouble row = { 500, "ServiceException", "internal" };
	scene_begin_lambda(&s, false, 10, NULL, NULL, act_trouble, &row);
	task_init(&t, "one");
	task_run(&s, &t);
	expect_failed(&t, OUTCOME_LOST, "500 ServiceException: internal");
	assert_int_equal(fake_worker_requests(s.worker), REMOTE_TRIES_MAX);
	task_release(&t);
	scene_end(&s);
}

/* The requirement: less than 500 requests. */
static void sixty_four_jobs_hardly_knock_at_a_door_that_stays_shut_for_ten_seconds(void **state)
{
	(void)state;
	enum { COUNT = 64, SHUT_MS = 10000 };
	static struct task tasks[COUNT];
	struct scene s;
	struct trouble row = { 429, "TooManyRequestsException", "Rate Exceeded." };
	scene_begin_lambda(&s, false, COUNT, NULL, NULL, act_trouble, &row);
	int64_t begin = now_ms();
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		task_start(&s, &tasks[i]);
	}
	/* The time is the subject here, not something waited for. */
	while (now_ms() - begin < SHUT_MS) {
		const struct timespec pause = { .tv_nsec = 50000000 };
		nanosleep(&pause, NULL);
		assert_false(task_is_over(&tasks[now_ms() % COUNT]));
	}
	unsigned requests = fake_worker_requests(s.worker);
	print_message("# %u requests in %d s\n", requests, SHUT_MS / 1000);
	assert_in_range(requests, 3, 200);
	assert_int_equal(scene_totals(&s).invocations, 0);
	assert_int_equal(scene_totals(&s).spent, 0);
	s.engine->ops->free(s.engine);
	s.engine = NULL;
	for (int i = 0; i < COUNT; i++)
		task_release(&tasks[i]);
	scene_end(&s);
}

/* --- nobody there ------------------------------------------------------------------------------
 */

static void nobody_answers(const char *endpoint, const char *words, int64_t at_most_ms)
{
	enum { COUNT = 5 };
	static struct task tasks[COUNT];
	struct scene s;
	int64_t begin = now_ms();
	scene_begin_lambda(&s, false, 10, endpoint, NULL, NULL, NULL);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		task_start(&s, &tasks[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&tasks[i]);
		expect_failed(&tasks[i], OUTCOME_UNREACHABLE, words);
		task_release(&tasks[i]);
	}
	assert_true(now_ms() - begin < at_most_ms);
	/* Who comes later need not wait as long. */
	begin = now_ms();
	task_init(&tasks[0], "later");
	task_run(&s, &tasks[0]);
	expect_failed(&tasks[0], OUTCOME_UNREACHABLE, words);
	assert_true(now_ms() - begin < 2 * PACE_PAUSE_MAX_MS);
	task_release(&tasks[0]);
	scene_end(&s);
}

static void a_host_that_refuses_connections_is_unreachable(void **state)
{
	(void)state;
	nobody_answers("http://127.0.0.1:1", "lambda cannot be reached",
	               REMOTE_AWAY_FIRST_MS + 2 * PACE_PAUSE_MAX_MS);
}

static void a_name_that_nobody_knows_is_unreachable(void **state)
{
	(void)state;
	nobody_answers("http://lambda.invalid", "lambda.invalid", 45000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_in_trouble_for_good_loses_the_job_after_its_tries),
		cmocka_unit_test(
		        sixty_four_jobs_hardly_knock_at_a_door_that_stays_shut_for_ten_seconds),
		cmocka_unit_test(a_host_that_refuses_connections_is_unreachable),
		cmocka_unit_test(a_name_that_nobody_knows_is_unreachable),
	};
	return cmocka_run_group_tests_name("away", tests, NULL, NULL);
}
