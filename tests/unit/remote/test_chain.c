/* Thunks that go along with the one whose output they wait for. */
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/remote/scene.h"

enum { LINKS = 3 };

/* A task with a row of thunks behind it, each with the output of the one before as its in. */
struct row {
	struct task task;
	struct thunk thunks[LINKS];
	struct engine_next next[LINKS];
};

static void row_init(struct row *row, const char *name)
{
	struct error err;
	char out[] = "out";
	*row = (struct row){ 0 };
	task_init(&row->task, name);
	assert_ok(thunk_finish(&row->task.thunk, &err));
	struct ref before = { .kind = REF_THUNK, .output = out };
	thunk_digest(&row->task.thunk, &before.digest);
	for (int i = 0; i < LINKS; i++) {
		struct thunk *t = &row->thunks[i];
		*t = THUNK_INIT;
		t->program = xstrdup("bin/f");
		strv_add_format(&t->args, "link %d of %s", i, name);
		thunk_add_output(t, OUTPUT_FILE, "out");
		manifest_add_file(&t->inputs, "in", 0644, &before);
		assert_ok(thunk_finish(t, &err));
		row->next[i].thunk = t;
		thunk_digest(t, &row->next[i].digest);
		before.digest = row->next[i].digest;
	}
	row->task.job.next = row->next;
	row->task.job.next_count = LINKS;
}

static void row_release(struct row *row)
{
	task_release(&row->task);
	for (int i = 0; i < LINKS; i++)
		thunk_release(&row->thunks[i]);
}

/* The results that came along are of the row's thunks with their inputs put in. */
static void expect_also(struct scene *s, struct row *row, size_t count)
{
	const struct engine_result *last = &row->task.result;
	const struct digest *before = &row->task.job.digest;
	assert_int_equal(row->task.result.also_count, count);
	for (size_t i = 0; i < count; i++) {
		const struct engine_result *r = &row->task.result.also[i];
		struct thunk t = THUNK_INIT;
		struct digest d;
		struct error err;
		thunk_copy(&t, &row->thunks[i]);
		assert_ok(thunk_substitute(&t, before, &last->memo, &err));
		assert_ok(thunk_finish(&t, &err));
		thunk_digest(&t, &d);
		thunk_release(&t);
		assert_int_equal(r->outcome, OUTCOME_DONE);
		assert_true(digest_equal(&r->memo.thunk, &d));
		assert_string_equal(r->memo.engine, s->engine->ops->name);
		assert_int_equal(store_has(s->near, &r->memo.outputs[0].ref.digest, NULL, NULL), 0);
		before = &row->next[i].digest;
		last = r;
	}
}

static void a_row_is_one_request(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	scene_begin(&s, false, 10, NULL, NULL);
	row_init(&row, "one");
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, LINKS);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	assert_int_equal(scene_totals(&s).invocations, 1);
	assert_int_equal(scene_totals(&s).in_flight, 0);
	row_release(&row);
	scene_end(&s);
}

static void all_of_a_row_bear_the_same_share_of_its_cost(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	int delay_ms = 40;
	scene_begin(&s, false, 10, act_slowly, &delay_ms);
	s.prices.http_second = 1000000000;
	row_init(&row, "one");
	task_run(&s, &row.task);
	expect_also(&s, &row, LINKS);
	uint64_t sum = row.task.result.memo.cost_nanodollars;
	for (int i = 0; i < LINKS; i++) {
		uint64_t cost = row.task.result.also[i].memo.cost_nanodollars;
		assert_true(cost > 0 && cost <= row.task.result.memo.cost_nanodollars);
		sum += cost;
	}
	assert_int_equal(sum, scene_totals(&s).spent);
	row_release(&row);
	scene_end(&s);
}

/* The second of the row is answered with a memo of another thunk. */
static void answer_for_another(void *arg, unsigned number, const struct remote_request *request,
                               struct fake_act *act)
{
	struct remote_answer a;
	(void)arg;
	(void)number;
	fake_answer_begin(&a, request);
	if (a.result_count > 2) {
		a.results[2].thunk.bytes[0] ^= 1;
		a.results[2].memo.thunk.bytes[0] ^= 1;
	}
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void what_is_said_of_another_thunk_is_not_taken_nor_what_stands_on_it(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	scene_begin(&s, false, 10, answer_for_another, NULL);
	row_init(&row, "one");
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, 1);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	row_release(&row);
	scene_end(&s);
}

static void answer_without_an_output(void *arg, unsigned number,
                                     const struct remote_request *request, struct fake_act *act)
{
	struct remote_answer a;
	(void)arg;
	(void)number;
	fake_answer_begin(&a, request);
	if (a.result_count > 1) {
		free(a.results[1].memo.outputs[0].path);
		a.results[1].memo.outputs[0].path = xstrdup("elsewhere");
	}
	fake_act_answer(act, &a);
	fake_answer_release(&a);
}

static void a_link_without_its_output_is_not_taken(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	scene_begin(&s, false, 10, answer_without_an_output, NULL);
	row_init(&row, "one");
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, 0);
	row_release(&row);
	scene_end(&s);
}

/* Workers end under whatever has something next. */
static void die_of_rows(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	(void)arg;
	(void)number;
	if (!request->next_count)
		return;
	act->status = 500;
	buf_reset(&act->body);
	buf_add_str(&act->body, "the worker's process ended");
}

static void a_row_under_which_workers_end_goes_on_one_by_one(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	scene_begin(&s, false, 10, die_of_rows, NULL);
	row_init(&row, "one");
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, 0);
	assert_true(fake_worker_requests(s.worker) > 1);
	row_release(&row);
	scene_end(&s);
}

static void a_row_that_does_not_fit_stays_behind(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	struct error err;
	static const struct digest nowhere = { { 1 } };
	const struct ref absent = { .kind = REF_BLOB, .digest = nowhere, .size_bytes = 1 << 30 };
	scene_begin(&s, false, 10, NULL, NULL);
	row_init(&row, "one");
	manifest_add_file(&row.thunks[1].inputs, "huge", 0644, &absent);
	assert_ok(thunk_finish(&row.thunks[1], &err));
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, 0);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	row_release(&row);
	scene_end(&s);
}

static void a_row_whose_input_is_absent_does_not_take_the_first_along(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	struct error err;
	static const struct digest nowhere = { { 1 } };
	const struct ref absent = { .kind = REF_BLOB, .digest = nowhere, .size_bytes = 10 };
	scene_begin(&s, false, 10, NULL, NULL);
	row_init(&row, "one");
	manifest_add_file(&row.thunks[1].inputs, "gone", 0644, &absent);
	assert_ok(thunk_finish(&row.thunks[1], &err));
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, 0);
	row_release(&row);
	scene_end(&s);
}

static void rows_share_a_request_too(void **state)
{
	(void)state;
	enum { COUNT = 40 };
	static struct row rows[COUNT];
	struct scene s;
	int delay_ms = 30;
	scene_begin(&s, false, 1, act_slowly, &delay_ms);
	for (int i = 0; i < COUNT; i++) {
		scoped_free char *name = xformat("%d", i);
		row_init(&rows[i], name);
		rows[i].task.job.expected_micros = 1000;
		for (int k = 0; k < LINKS; k++)
			rows[i].next[k].expected_micros = 1000;
		task_start(&s, &rows[i].task);
	}
	for (int i = 0; i < COUNT; i++) {
		task_wait(&rows[i].task);
		expect_done(&s, &rows[i].task);
		expect_also(&s, &rows[i], LINKS);
		row_release(&rows[i]);
	}
	assert_true(fake_worker_requests(s.worker) < COUNT / 2);
	scene_end(&s);
}

static void the_far_store_gets_what_a_row_needs(void **state)
{
	(void)state;
	struct scene s;
	struct row row;
	struct task lender;
	struct digest member;
	struct error err;
	scene_begin(&s, true, 10, NULL, NULL);
	row_init(&row, "one");
	task_init(&lender, "lender");
	task_add_set(&s, &lender, "set of the second", &member);
	thunk_add_set(&row.thunks[1], &lender.thunk.sets[0].digest,
	              lender.thunk.sets[0].size_bytes);
	assert_ok(thunk_finish(&row.thunks[1], &err));
	/* Its name changes with it, and so what the third calls it. */
	thunk_digest(&row.thunks[1], &row.next[1].digest);
	row.thunks[2].inputs.entries[0].ref.digest = row.next[1].digest;
	thunk_digest(&row.thunks[2], &row.next[2].digest);
	task_run(&s, &row.task);
	expect_done(&s, &row.task);
	expect_also(&s, &row, LINKS);
	assert_int_equal(store_has(s.far_bytes, &member, NULL, NULL), 0);
	thunk_release(&lender.thunk);
	row_release(&row);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_one_request),
		cmocka_unit_test(all_of_a_row_bear_the_same_share_of_its_cost),
		cmocka_unit_test(what_is_said_of_another_thunk_is_not_taken_nor_what_stands_on_it),
		cmocka_unit_test(a_link_without_its_output_is_not_taken),
		cmocka_unit_test(a_row_under_which_workers_end_goes_on_one_by_one),
		cmocka_unit_test(a_row_that_does_not_fit_stays_behind),
		cmocka_unit_test(a_row_whose_input_is_absent_does_not_take_the_first_along),
		cmocka_unit_test(rows_share_a_request_too),
		cmocka_unit_test(the_far_store_gets_what_a_row_needs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
