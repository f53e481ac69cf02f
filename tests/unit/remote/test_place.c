#include <string.h>

#include "engine/remote/place.h"
#include "engine/remote/remote.h"
#include "tests/lib/test.h"

/* --- which engines ---------------------------------------------------------------------------- */

static void engines_are_read_with_and_without_numbers(void **state)
{
	(void)state;
	struct error err;
	struct engine_spec specs[ENGINE_SPECS_MAX];
	assert_ok(engine_spec_parse("local=2,lambda=2000,http", specs, &err));
	assert_int_equal(engine_spec_parse("local=2,lambda=2000,http", specs, NULL), 3);
	assert_string_equal(specs[0].name, "local");
	assert_int_equal(specs[0].jobs, 2);
	assert_string_equal(specs[1].name, "lambda");
	assert_int_equal(specs[1].jobs, 2000);
	assert_string_equal(specs[2].name, "http");
	assert_int_equal(specs[2].jobs, 0);
	assert_int_equal(engine_spec_parse("lambda=8192", specs, NULL), 1);
}

static void what_is_no_engine_is_refused_and_named(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"cloud",
		"local,",
		"local,,http",
		"local=",
		"local=0",
		"local=-1",
		"local=2x",
		"lambda=8193",
		"lambda=99999999999999999",
		"local,local",
		"local=1,http,local=2",
		"Local",
		"local =2",
	};
	struct error err;
	struct engine_spec specs[ENGINE_SPECS_MAX] = { { .name = "kept" } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_error(engine_spec_parse(bad[i], specs, &err), -EINVAL);
		assert_string_equal(specs[0].name, "kept");
	}
	assert_error(engine_spec_parse("cloud=5", specs, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"cloud\""));
}

static void a_list_names_whole_words_only(void **state)
{
	(void)state;
	assert_true(engine_list_names(NULL, "local"));
	assert_true(engine_list_names("local", "local"));
	assert_true(engine_list_names("http,local", "local"));
	assert_true(engine_list_names("http,local,x", "local"));
	assert_false(engine_list_names("http", "local"));
	assert_false(engine_list_names("localx", "local"));
	assert_false(engine_list_names("xlocal,loca", "local"));
	assert_false(engine_list_names("", "local"));
}

/* --- which of them ---------------------------------------------------------------------------- */

enum { LOCAL, LAMBDA, HTTP, COUNT };

struct scene {
	struct place_engine engines[COUNT];
	struct place_job job;
};

static struct scene scene(void)
{
	return (struct scene){
		.engines = { { .name = "local", .local = true, .capacity = 2 },
		             { .name = "lambda", .capacity = 1000 },
		             { .name = "http", .capacity = 10 } },
		.job = { .expected_micros = 5000000, .send_bytes = 10000 },
	};
}

static int choose(const struct scene *s)
{
	return place_choose(s->engines, COUNT, &s->job);
}

static void work_goes_away_and_what_is_quicker_here_stays(void **state)
{
	(void)state;
	struct scene s = scene();
	assert_int_equal(choose(&s), LAMBDA);
	s.job.expected_micros = 20000; /* a tiny link */
	assert_int_equal(choose(&s), LOCAL);
	s.job.expected_micros = 5000000;
	s.job.send_bytes = 200 << 20;
	assert_int_equal(choose(&s), LOCAL);
	s.job.send_bytes = UINT64_MAX;
	assert_int_equal(choose(&s), LOCAL);
}

static void what_never_ran_travels_unless_it_is_large(void **state)
{
	(void)state;
	struct scene s = scene();
	s.job.expected_micros = 0;
	assert_int_equal(choose(&s), LAMBDA);
	s.job.send_bytes = 100 << 20;
	assert_int_equal(choose(&s), LOCAL);
}

static void a_full_engine_passes_the_job_on(void **state)
{
	(void)state;
	struct scene s = scene();
	s.job.expected_micros = 20000;
	s.engines[LOCAL].running = 2;
	assert_int_equal(choose(&s), LAMBDA);
	s.engines[LAMBDA].running = 1000;
	assert_int_equal(choose(&s), HTTP);
	s.engines[HTTP].running = 10;
	s.engines[LOCAL].running = 1;
	s.job.expected_micros = 5000000;
	assert_int_equal(choose(&s), LOCAL); /* rather than idle */
}

static void of_two_with_room_the_emptier_one_takes_it(void **state)
{
	(void)state;
	struct scene s = scene();
	s.engines[LAMBDA].running = 500;
	s.engines[HTTP].running = 4;
	assert_int_equal(choose(&s), HTTP);
	s.engines[HTTP].running = 6;
	assert_int_equal(choose(&s), LAMBDA);
}

static void when_all_are_full_it_queues_at_one(void **state)
{
	(void)state;
	struct scene s = scene();
	s.engines[LOCAL].running = 4;
	s.engines[LAMBDA].running = 1000;
	s.engines[HTTP].running = 20;
	assert_int_equal(choose(&s), LAMBDA);
}

static void a_job_gets_what_it_asks_for_or_nothing(void **state)
{
	(void)state;
	struct scene s = scene();
	s.job.engines = "http";
	assert_int_equal(choose(&s), HTTP);
	s.engines[HTTP].running = 10;
	assert_int_equal(choose(&s), HTTP);
	s.engines[HTTP].refused = true;
	s.engines[LOCAL].refused = true;
	assert_int_equal(choose(&s), -1);
	s.engines[HTTP].refused = s.engines[LOCAL].refused = false;
	s.job = (struct place_job){ .local_only = true, .expected_micros = 5000000 };
	assert_int_equal(choose(&s), LOCAL);
	s.engines[LOCAL].running = 2;
	assert_int_equal(choose(&s), LOCAL);
	s.job.engines = "lambda";
	assert_int_equal(choose(&s), -1);
}

static void what_was_refused_elsewhere_may_run_here_though_nobody_asked_for_that(void **state)
{
	(void)state;
	struct scene s = scene();
	s.job.engines = "lambda";
	assert_int_equal(choose(&s), LAMBDA);
	s.engines[LAMBDA].refused = true;
	assert_int_equal(choose(&s), LOCAL);
}

static void who_refused_is_not_asked_again(void **state)
{
	(void)state;
	struct scene s = scene();
	s.engines[LAMBDA].refused = true;
	assert_int_equal(choose(&s), HTTP);
	s.engines[HTTP].refused = true;
	assert_int_equal(choose(&s), LOCAL);
	s.engines[LOCAL].refused = true;
	assert_int_equal(choose(&s), -1);
	assert_int_equal(place_choose(NULL, 0, &s.job), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_are_read_with_and_without_numbers),
		cmocka_unit_test(what_is_no_engine_is_refused_and_named),
		cmocka_unit_test(a_list_names_whole_words_only),
		cmocka_unit_test(work_goes_away_and_what_is_quicker_here_stays),
		cmocka_unit_test(what_never_ran_travels_unless_it_is_large),
		cmocka_unit_test(a_full_engine_passes_the_job_on),
		cmocka_unit_test(of_two_with_room_the_emptier_one_takes_it),
		cmocka_unit_test(when_all_are_full_it_queues_at_one),
		cmocka_unit_test(a_job_gets_what_it_asks_for_or_nothing),
		cmocka_unit_test(
		        what_was_refused_elsewhere_may_run_here_though_nobody_asked_for_that),
		cmocka_unit_test(who_refused_is_not_asked_again),
	};
	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
