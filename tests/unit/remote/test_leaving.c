/* Jobs that nobody waits for any more, and those that take too long. */
#include <string.h>

#include "tests/unit/remote/scene.h"

/* --- giving up ---------------------------------------------------------------------------------
 */

static bool somebody_was_asked(void *arg)
{
	struct scene *s = arg;
	return fake_worker_requests(s->worker) > 0;
}

static bool memo_is_there(void *arg)
{
	struct {
		struct scene *s;
		struct digest d;
	} *wanted = arg;
	scoped_memo struct memo m = MEMO_INIT;
	return store_memo_get(wanted->s->near, &wanted->d, &m, NULL) == 0;
}

static void a_cancelled_job_is_answered_at_once_and_its_result_kept(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	int delay_ms = 700;
	scene_begin(&s, false, 10, act_slowly, &delay_ms);
	task_init(&t, "one");
	task_start(&s, &t);
	assert_true(eventually(somebody_was_asked, &s));
	int64_t before = now_ms();
	s.engine->ops->cancel(s.engine, t.ticket);
	task_wait(&t);
	assert_true(now_ms() - before < 600);
	expect_failed(&t, OUTCOME_CANCELLED, "cancelled");
	struct {
		struct scene *s;
		struct digest d;
	} wanted = { &s, t.job.digest };
	assert_true(eventually(memo_is_there, &wanted));
	/* A ticket that is gone can be cancelled without harm. */
	s.engine->ops->cancel(s.engine, t.ticket);
	task_release(&t);
	scene_end(&s);
}

static void jobs_that_wait_for_the_far_store_can_be_cancelled(void **state)
{
	(void)state;
	struct scene s;
	struct task a, b;
	struct digest member;
	scene_begin(&s, true, 10, NULL, NULL);
	fake_far_holds(s.far, true);
	task_init(&a, "one");
	task_init(&b, "two");
	task_add_set(&s, &a, "#define X\n", &member);
	task_add_set(&s, &b, "#define X\n", &member);
	task_start(&s, &a);
	task_start(&s, &b);
	s.engine->ops->cancel(s.engine, a.ticket);
	task_wait(&a);
	expect_failed(&a, OUTCOME_CANCELLED, "cancelled");
	assert_false(task_is_over(&b));
	fake_far_holds(s.far, false);
	task_wait(&b);
	expect_done(&s, &b);
	task_release(&a);
	task_release(&b);
	scene_end(&s);
}

static void freeing_the_engine_answers_everybody(void **state)
{
	(void)state;
	enum { COUNT = 12 };
	static struct task tasks[COUNT];
	struct scene s;
	struct digest member;
	int delay_ms = 60000;
	scene_begin(&s, true, 4, act_slowly, &delay_ms);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		task_init(&tasks[i], name);
		if (i == COUNT - 1) {
			fake_far_holds(s.far, true);
			task_add_set(&s, &tasks[i], "#define X\n", &member);
		}
		task_start(&s, &tasks[i]);
	}
	assert_true(eventually(somebody_was_asked, &s));
	s.engine->ops->free(s.engine);
	s.engine = NULL;
	for (int i = 0; i < COUNT; i++) {
		assert_true(task_is_over(&tasks[i]));
		expect_failed(&tasks[i], OUTCOME_CANCELLED, "cancelled");
		task_release(&tasks[i]);
	}
	assert_int_equal(scene_totals(&s).in_flight, 0);
	scene_end(&s);
}

/* --- stragglers --------------------------------------------------------------------------------
 */

static void first_hangs(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	(void)arg;
	(void)request;
	if (number == 0)
		act->delay_ms = 30000;
}

static void a_straggler_is_sent_again_and_the_first_answer_counts(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	scene_begin(&s, false, 10, first_hangs, NULL);
	task_init(&t, "one");
	t.job.expected_micros = 50000;
	int64_t before = now_ms();
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_true(now_ms() - before < 20000);
	assert_int_equal(fake_worker_requests(s.worker), 2);
	assert_int_equal(scene_totals(&s).duplicated, 1);
	task_release(&t);
	scene_end(&s);
}

static void what_is_not_known_to_be_slow_is_not_sent_again(void **state)
{
	(void)state;
	struct scene s;
	struct task t;
	int delay_ms = 3000;
	scene_begin(&s, false, 10, act_slowly, &delay_ms);
	task_init(&t, "one");
	t.job.expected_micros = 4000000;
	task_run(&s, &t);
	expect_done(&s, &t);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	task_release(&t);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancelled_job_is_answered_at_once_and_its_result_kept),
		cmocka_unit_test(jobs_that_wait_for_the_far_store_can_be_cancelled),
		cmocka_unit_test(freeing_the_engine_answers_everybody),
		cmocka_unit_test(a_straggler_is_sent_again_and_the_first_answer_counts),
		cmocka_unit_test(what_is_not_known_to_be_slow_is_not_sent_again),
	};
	return cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
}
