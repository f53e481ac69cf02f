/* The pace of requests, against simulated services: no clock but the test's. */
#include "engine/remote/pace.h"
#include "tests/lib/test.h"

enum { TRIP_MS = 20, REQUESTS_MAX = 20000 };

/* A service that runs each request for run_ms and takes at most `takes` at once. */
struct service {
	struct pace pace;
	int64_t now;
	unsigned takes, inside;
	int64_t run_ms;
	struct {
		int64_t back_ms;
		bool taken, out;
	} requests[REQUESTS_MAX];
	unsigned sent, answered, refused;
	unsigned first; /* as many are no retries */
	unsigned jobs;  /* still to be answered */
	unsigned out;
	unsigned fails_percent; /* with a 429, by chance */
	uint64_t random;
};

static unsigned chance(struct service *s)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(s->random >> 33) % 100;
}

static void send_one(struct service *s)
{
	bool taken = s->inside < s->takes && chance(s) >= s->fails_percent;
	assert_true(s->sent < REQUESTS_MAX);
	s->requests[s->sent].taken = taken;
	s->requests[s->sent].out = true;
	s->requests[s->sent].back_ms = s->now + TRIP_MS + (taken ? s->run_ms : 0);
	s->inside += taken;
	pace_sent(&s->pace, s->sent >= s->first);
	s->sent++;
	s->out++;
}

static void take_back(struct service *s)
{
	for (unsigned i = 0; i < s->sent; i++) {
		if (!s->requests[i].out || s->requests[i].back_ms > s->now)
			continue;
		s->requests[i].out = false;
		s->out--;
		if (s->requests[i].taken) {
			pace_answered(&s->pace, s->now);
			s->answered++;
			s->inside--;
			s->jobs--;
		} else {
			pace_throttled(&s->pace, s->now, 0);
			s->refused++;
		}
	}
}

/* Runs for so long, or until all jobs are answered. */
static void live(struct service *s, int64_t ms)
{
	for (int64_t until = s->now + ms; s->now < until && s->jobs; s->now += 5) {
		take_back(s);
		unsigned room = pace_room(&s->pace, s->now);
		while (room-- > 0 && s->out < s->jobs &&
		       (s->sent < s->first || pace_may_retry(&s->pace)))
			send_one(s);
	}
}

static struct service *service(unsigned jobs, unsigned takes, int64_t run_ms)
{
	struct service *s = xcalloc(1, sizeof(*s));
	s->now = 1000000;
	s->jobs = s->first = jobs;
	s->takes = takes;
	s->run_ms = run_ms;
	s->random = 7;
	pace_init(&s->pace, jobs, 0, 42, s->now);
	return s;
}

static void a_service_that_refuses_everything_for_ten_seconds_is_left_in_peace(void **state)
{
	(void)state;
	struct service *s = service(64, 0, 100);
	live(s, 10000);
	assert_int_equal(s->answered, 0);
	assert_true(s->sent < 200); /* the requirement is 500 */
	assert_true(s->sent > 64);  /* and it is not given up */
	/* When it takes work again all is soon done. */
	s->takes = 1000;
	live(s, 20000);
	assert_int_equal(s->jobs, 0);
	free(s);
}

static void a_thousand_go_at_once(void **state)
{
	(void)state;
	struct service *s = service(1000, 1000, 2000);
	assert_int_equal(pace_room(&s->pace, s->now), 1000);
	live(s, 4000);
	assert_int_equal(s->jobs, 0);
	assert_int_equal(s->refused, 0);
	free(s);
}

static void eight_thousand_follow_lambdas_scaling(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, 8000, 0, 1, 0);
	assert_int_equal(pace_room(&p, 0), 1000);
	assert_int_equal(pace_room(&p, 10000), 2000);
	assert_int_equal(pace_room(&p, 70000), 8000);
	assert_int_equal(pace_room(&p, 700000), 8000);
	pace_init(&p, 8000, 8000, 1, 0);
	assert_int_equal(pace_room(&p, 0), 8000);
}

static void a_small_account_is_learnt_and_kept_busy(void **state)
{
	(void)state;
	struct service *s = service(500, 10, 200);
	live(s, 60000);
	assert_int_equal(s->jobs, 0);
	/* 500 jobs of 0.22 s, ten at once, take 11 s at the least. */
	assert_true(s->now - 1000000 < 2 * 11000);
	/* The first burst finds out; from then on few are in vain. */
	assert_true(s->refused < 500 + 250);
	free(s);
}

static void refusals_by_chance_do_not_bring_it_to_a_halt(void **state)
{
	(void)state;
	struct service *s = service(2000, 1000, 100);
	pace_set_ceiling(&s->pace, 64);
	s->fails_percent = 20;
	live(s, 60000);
	assert_int_equal(s->jobs, 0);
	/* At best 2000 / 64 rounds of 120 ms, and a quarter more. */
	assert_true(s->now - 1000000 < 5 * 4700);
	free(s);
}

static void what_a_service_asks_for_is_heeded_within_bounds(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, 10, 0, 1, 0);
	pace_sent(&p, false);
	pace_sent(&p, false);
	pace_throttled(&p, 0, 3000);
	assert_int_equal(pace_room(&p, 2999), 0);
	assert_int_equal(pace_wait_ms(&p, 1000), 2000);
	assert_true(pace_room(&p, 3000) > 0 || p.in_flight >= 1);
	pace_throttled(&p, 3000, 86400000);
	assert_int_equal(pace_room(&p, 3000 + PACE_RETRY_AFTER_MAX_MS - 1), 0);
	assert_true(pace_room(&p, 3000 + PACE_RETRY_AFTER_MAX_MS + PACE_PAUSE_MAX_MS) > 0);
}

static void trouble_in_a_row_pauses_everything_longer_each_time(void **state)
{
	(void)state;
	struct pace p;
	int64_t now = 0, longest = 0;
	pace_init(&p, 4, 0, 3, now);
	for (int i = 0; i < 12; i++) {
		assert_true(pace_room(&p, now) > 0);
		pace_sent(&p, false);
		pace_throttled(&p, now, 0);
		int64_t wait = pace_wait_ms(&p, now);
		assert_true(wait <= PACE_PAUSE_MAX_MS);
		assert_int_equal(pace_room(&p, now), 0);
		longest = wait > longest ? wait : longest;
		now += wait;
	}
	assert_true(longest >= PACE_PAUSE_MAX_MS / 2);
	/* One answer, and it is forgotten. */
	pace_sent(&p, false);
	pace_answered(&p, now);
	pace_sent(&p, false);
	pace_troubled(&p, now);
	assert_true(pace_wait_ms(&p, now) <= PACE_PAUSE_MS);
}

static void retries_are_bounded_by_time_and_by_what_is_answered(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, 8000, 8000, 1, 0);
	assert_true(p.retries >= 8000);
	pace_init(&p, 100, 8000, 1, 0);
	int sent = 0;
	for (; pace_may_retry(&p); sent++)
		pace_sent(&p, true);
	assert_int_equal(sent, PACE_RETRIES);
	pace_room(&p, 1000);
	for (sent = 0; pace_may_retry(&p); sent++)
		pace_sent(&p, true);
	assert_int_equal(sent, PACE_RETRIES_A_SECOND);
	pace_answered(&p, 1000);
	for (sent = 0; pace_may_retry(&p); sent++)
		pace_sent(&p, true);
	assert_int_equal(sent, PACE_RETRIES_AN_ANSWER);
	pace_room(&p, 100000000);
	for (sent = 0; pace_may_retry(&p); sent++)
		pace_sent(&p, true);
	assert_int_equal(sent, PACE_RETRIES);
}

static void back_off_is_full_jitter_under_a_bound(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, 10, 0, 99, 0);
	for (unsigned tries = 0; tries < 100; tries++) {
		int64_t least = PACE_BACKOFF_MAX_MS, most = 0;
		for (int i = 0; i < 200; i++) {
			int64_t ms = pace_backoff_ms(&p, tries);
			assert_in_range(ms, 0, PACE_BACKOFF_MAX_MS);
			least = ms < least ? ms : least;
			most = ms > most ? ms : most;
		}
		/* Spread over the whole of it. */
		assert_true(least < most / 4);
		assert_true(tries > 1 || most <= PACE_BACKOFF_MS);
		assert_true(tries < 10 || most > PACE_BACKOFF_MAX_MS / 2);
	}
}

static void what_never_left_takes_no_room(void **state)
{
	(void)state;
	struct pace p;
	pace_init(&p, 2, 0, 1, 0);
	pace_sent(&p, false);
	pace_sent(&p, false);
	assert_int_equal(pace_room(&p, 0), 0);
	pace_unsent(&p);
	assert_int_equal(pace_room(&p, 0), 1);
	pace_set_ceiling(&p, 5);
	assert_int_equal(pace_room(&p, 0), 4);
	pace_set_ceiling(&p, 1);
	assert_int_equal(pace_room(&p, 0), 0);
}

static void a_median_needs_some_and_forgets_the_old(void **state)
{
	(void)state;
	struct durations d = { 0 };
	for (int i = 0; i < DURATIONS_NEEDED; i++) {
		assert_int_equal(durations_median(&d), -1);
		durations_add(&d, 100 + i);
	}
	assert_in_range(durations_median(&d), 103, 104);
	durations_add(&d, 1000000);
	assert_in_range(durations_median(&d), 103, 105);
	for (int i = 0; i < DURATIONS_KEPT; i++)
		durations_add(&d, 7);
	assert_int_equal(durations_median(&d), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		        a_service_that_refuses_everything_for_ten_seconds_is_left_in_peace),
		cmocka_unit_test(a_thousand_go_at_once),
		cmocka_unit_test(eight_thousand_follow_lambdas_scaling),
		cmocka_unit_test(a_small_account_is_learnt_and_kept_busy),
		cmocka_unit_test(refusals_by_chance_do_not_bring_it_to_a_halt),
		cmocka_unit_test(what_a_service_asks_for_is_heeded_within_bounds),
		cmocka_unit_test(trouble_in_a_row_pauses_everything_longer_each_time),
		cmocka_unit_test(retries_are_bounded_by_time_and_by_what_is_answered),
		cmocka_unit_test(back_off_is_full_jitter_under_a_bound),
		cmocka_unit_test(what_never_left_takes_no_room),
		cmocka_unit_test(a_median_needs_some_and_forgets_the_old),
	};
	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
