/* A mount's line to the service: never blocks, and outlives the service. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "engine/service/link.h"
#include "engine/service/start.h"
#include "tests/contract/service/fixture.h"

/* What the link's callbacks have said. */
struct heard {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int answers, code; /* of forces */
	uint64_t size_bytes;
	int looks, look_code, look_state;
	int settled, reconnected;
};

static struct heard heard_new(void)
{
	struct heard h = { .code = 1, .look_code = 1 };
	pthread_mutex_init(&h.lock, NULL);
	pthread_cond_init(&h.changed, NULL);
	return h;
}

static void count_up(struct heard *h, int *what)
{
	++*what;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static void on_done(void *arg, const struct force_answer *answer)
{
	struct heard *h = arg;
	pthread_mutex_lock(&h->lock);
	h->code = answer->code;
	h->size_bytes = answer->code == 0 ? answer->ref->size_bytes : 0;
	count_up(h, &h->answers);
}

static void on_look(void *arg, int code, const struct force_look *look)
{
	struct heard *h = arg;
	pthread_mutex_lock(&h->lock);
	h->look_code = code;
	h->look_state = code == 0 ? (int)look->state : -1;
	count_up(h, &h->looks);
}

static void on_settled(void *arg, const struct digest *thunk, int code)
{
	struct heard *h = arg;
	(void)thunk, (void)code;
	pthread_mutex_lock(&h->lock);
	count_up(h, &h->settled);
}

static void on_reconnected(void *arg)
{
	struct heard *h = arg;
	pthread_mutex_lock(&h->lock);
	count_up(h, &h->reconnected);
}

/* Waits until *what is at least least. */
static void await(struct heard *h, const int *what, int least)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += FIXTURE_WAIT_MS / 1000;
	pthread_mutex_lock(&h->lock);
	while (*what < least && pthread_cond_timedwait(&h->changed, &h->lock, &end) == 0)
		;
	int got = *what;
	pthread_mutex_unlock(&h->lock);
	assert_true(got >= least);
}

static struct link *open_link(struct fixture *x, struct heard *h)
{
	struct error err;
	struct link *l = NULL;
	scoped_fd int backing = open(x->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct link_options options = { .client = x->options,
		                        .mountpoint = "/mnt/of/this/test",
		                        .backing_fd = backing,
		                        .settled = on_settled,
		                        .reconnected = on_reconnected,
		                        .arg = h };
	assert_ok(link_open(&options, &l, &err));
	return l;
}

/* Looks until the service answers: the link has connected. */
static void await_connection(struct link *l, struct heard *h, const struct ref *ref)
{
	for (int i = 1; h->look_code != 0 && i < 10000; i++) {
		link_look(l, ref, on_look, h);
		await(h, &h->looks, i);
		if (h->look_code != 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	assert_int_equal(h->look_code, 0);
}

static void a_force_is_answered_and_settlings_are_told(void **state)
{
	struct fixture *x = *state;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 1, "12345");
	await_connection(l, &h, &ref);
	assert_int_equal(h.look_state, STATE_UNFORCED);
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	await(&h, &h.answers, 1);
	assert_int_equal(h.code, 0);
	assert_int_equal(h.size_bytes, 5);
	await(&h, &h.settled, 1);
	link_free(l);
}

static void a_mount_is_known_to_the_service_also_after_another_has_come(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 1, "x");
	await_connection(l, &h, &ref);
	struct client_service_info info = { 0 };
	assert_ok(client_info(x->client, &info, &err));
	assert_true(strv_contains(&info.mounts, "/mnt/of/this/test"));
	kill(info.pid, SIGKILL);
	client_service_info_release(&info);
	await(&h, &h.reconnected, 1);
	assert_ok(client_info(x->client, &info, &err));
	assert_true(strv_contains(&info.mounts, "/mnt/of/this/test"));
	client_service_info_release(&info);
	link_free(l);
}

static void a_service_killed_in_a_force_is_not_noticed(void **state)
{
	struct fixture *x = *state;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 400, "after all");
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	fixture_wait_running(x, 1);
	kill(fixture_service_pid(x), SIGKILL);
	await(&h, &h.answers, 1);
	assert_int_equal(h.code, 0);
	assert_int_equal(h.size_bytes, 9);
	link_free(l);
}

static void a_service_replaced_by_a_newer_one_is_not_noticed(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 400, "went on");
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	fixture_wait_running(x, 1);
	int old = fixture_service_pid(x);
	struct client_options newer = x->options;
	struct client *c = NULL;
	newer.version = "99.0";
	assert_ok(client_open(&newer, &c, &err));
	client_free(c);
	await(&h, &h.answers, 1);
	assert_int_equal(h.code, 0);
	assert_int_equal(h.size_bytes, 7);
	await(&h, &h.reconnected, 1);
	assert_int_not_equal(fixture_service_pid(x), old);
	link_free(l);
}

/* Without a connection of its own that could start one. */
static bool no_service_comes(struct fixture *x, int64_t within_ms)
{
	for (int64_t end = now_ms() + within_ms; now_ms() < end;) {
		scoped_fd int fd = start_dial(x->store, NULL);
		if (fd >= 0)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	return true;
}

static void a_stopped_service_stays_so_until_the_mount_needs_it(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 1, "needed");
	await_connection(l, &h, &ref);
	assert_ok(client_stop(x->client, &err));
	assert_true(no_service_comes(x, 3 * LINK_QUIET_MOST_MS));
	assert_int_equal(h.reconnected, 0);
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	await(&h, &h.answers, 1);
	assert_int_equal(h.code, 0);
	await(&h, &h.reconnected, 1);
	link_free(l);
}

static void a_look_at_a_stopped_service_has_it_come_back(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 1, "x");
	await_connection(l, &h, &ref);
	assert_ok(client_stop(x->client, &err));
	assert_true(no_service_comes(x, 2 * LINK_QUIET_MOST_MS));
	h.look_code = -EAGAIN;
	h.looks = 0;
	await_connection(l, &h, &ref);
	link_free(l);
}

static void a_mount_joins_the_service_that_somebody_else_needed(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 1, "x");
	await_connection(l, &h, &ref);
	assert_ok(client_stop(x->client, &err));
	fixture_service_pid(x);
	await(&h, &h.reconnected, 1);
	struct client_service_info info = { 0 };
	assert_ok(client_info(x->client, &info, &err));
	assert_true(strv_contains(&info.mounts, "/mnt/of/this/test"));
	client_service_info_release(&info);
	link_free(l);
}

static void a_service_stopped_in_a_force_comes_back_at_once(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 400, "went on");
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	fixture_wait_running(x, 1);
	assert_ok(client_stop(x->client, &err));
	await(&h, &h.answers, 1);
	assert_int_equal(h.code, 0);
	link_free(l);
}

static void every_mount_is_told_what_settles(void **state)
{
	enum { LINKS = 5 };
	struct fixture *x = *state;
	struct error err;
	struct heard h[LINKS];
	struct link *l[LINKS];
	scoped_ref struct ref ref = fixture_slow(x, 1, "told");
	for (int i = 0; i < LINKS; i++) {
		h[i] = heard_new();
		l[i] = open_link(x, &h[i]);
		await_connection(l[i], &h[i], &ref);
	}
	struct client_force_options options = { 0 };
	struct client_force_result result;
	assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
	client_force_result_release(&result);
	for (int i = 0; i < LINKS; i++) {
		await(&h[i], &h[i].settled, 1);
		link_free(l[i]);
	}
}

static void looks_do_not_wait_for_a_service(void **state)
{
	struct fixture *x = *state;
	struct heard h = heard_new();
	struct ref ref = { .kind = REF_BLOB };
	x->options.never_start = true;
	struct link *l = open_link(x, &h);
	link_look(l, &ref, on_look, &h);
	await(&h, &h.looks, 1);
	assert_int_equal(h.look_code, -EAGAIN);
	link_free(l);
	x->options.never_start = false;
}

static void a_withdrawn_force_is_not_answered(void **state)
{
	struct fixture *x = *state;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref slow = fixture_slow(x, 100, "a"), quick = fixture_slow(x, 101, "b");
	struct link_force *force = link_force_start(l, &slow, "test[1]", 0, false, on_done, &h);
	assert_true(link_force_cancel(l, force));
	assert_false(link_force_cancel(l, force));
	force = link_force_start(l, &quick, "test[1]", 0, false, on_done, &h);
	await(&h, &h.answers, 1);
	assert_int_equal(h.answers, 1);
	assert_false(link_force_cancel(l, force)); /* too late */
	link_free(l);
	assert_int_equal(h.answers, 1);
}

static void what_is_left_is_answered_when_the_link_ends(void **state)
{
	struct fixture *x = *state;
	struct heard h = heard_new();
	struct link *l = open_link(x, &h);
	scoped_ref struct ref ref = fixture_slow(x, 60000, "never");
	link_force_start(l, &ref, "test[1]", 0, false, on_done, &h);
	link_free(l);
	assert_int_equal(h.answers, 1);
	assert_int_equal(h.code, -ESHUTDOWN);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(a_force_is_answered_and_settlings_are_told),
		LINK_TEST(a_mount_is_known_to_the_service_also_after_another_has_come),
		LINK_TEST(a_service_killed_in_a_force_is_not_noticed),
		LINK_TEST(a_service_replaced_by_a_newer_one_is_not_noticed),
		LINK_TEST(a_stopped_service_stays_so_until_the_mount_needs_it),
		LINK_TEST(a_look_at_a_stopped_service_has_it_come_back),
		LINK_TEST(a_mount_joins_the_service_that_somebody_else_needed),
		LINK_TEST(a_service_stopped_in_a_force_comes_back_at_once),
		LINK_TEST(every_mount_is_told_what_settles),
		cmocka_unit_test_setup_teardown(looks_do_not_wait_for_a_service,
		                                fixture_set_up_without, fixture_tear_down),
		LINK_TEST(a_withdrawn_force_is_not_answered),
		LINK_TEST(what_is_left_is_answered_when_the_link_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
