/* Services that speak an older protocol, and words said again to another service. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/service/client.h"
#include "tests/contract/service/fake.h"
#include "tests/contract/service/fixture.h"

enum { OLDER = PROTOCOL_VERSION - 1 };

static int set_up(void **state)
{
	int r = fixture_set_up_without(state);
	struct fixture *x = *state;
	x->options.never_start = true;
	return r;
}

/* --- older services --------------------------------------------------------------------------- */

static int end_at_a_stop(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	(void)p, (void)len;
	if (h->type == MESSAGE_STOP) {
		fake_answer(f, MESSAGE_OK, h->id, NULL);
		_exit(0);
	}
	return 0;
}

/* A process, as a service is one: whoever stops it waits for its end. */
static pid_t older_service(struct fixture *x)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct fake f;
		fake_start_as(&f, OLDER, x->store, end_at_a_stop, NULL);
		if (write(ready[1], "", 1) == 1)
			pthread_join(f.thread, NULL);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void assert_ended_well(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_service_of_an_older_protocol_is_refused_with_a_sentence(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	fake_start_as(&f, OLDER, x->store, end_at_a_stop, NULL);
	assert_error(client_open(&x->options, &x->client, &err), -EPROTO);
	assert_non_null(strstr(err.text, "ggfs stop"));
	assert_int_equal(f.frames, 0);
	fake_stop(&f);
}

static void a_service_of_an_older_protocol_is_replaced(void **state)
{
	struct fixture *x = *state;
	pid_t older = older_service(x);
	x->options.never_start = false;
	fixture_connect(x);
	assert_int_not_equal(fixture_service_pid(x), older);
	assert_ended_well(older);
}

static void a_service_of_any_protocol_can_be_stopped(void **state)
{
	struct fixture *x = *state;
	struct error err;
	pid_t older = older_service(x);
	assert_ok(client_stop_service(&x->options, &err));
	assert_ended_well(older);
	assert_error(client_stop_service(&x->options, &err), -ECONNREFUSED);
}

/* --- asked again ------------------------------------------------------------------------------ */

/* Does what it is told and ends before it says so; knows of nothing the second time. */
static int know_nothing_afterwards(struct fake *f, const struct wire_header *h, const char *p,
                                   size_t len)
{
	(void)p, (void)len;
	if (f->frames == 1)
		return -1;
	struct buf payload = BUF_INIT;
	message_error_encode(&payload, -ENOENT, "nothing is known of this");
	return fake_answer(f, MESSAGE_ERROR, h->id, &payload);
}

typedef int word_fn(struct client *c, const struct digest *thunk, struct error *err);

static void assert_same_when_said_again(struct fixture *x, word_fn *word)
{
	struct error err;
	struct fake f;
	struct digest d = { { 1 } };
	fake_start(&f, x->store, know_nothing_afterwards, NULL);
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_ok(word(x->client, &d, &err));
	assert_int_equal(f.frames, 2);
	assert_error(word(x->client, &d, &err), -ENOENT); /* it was heard the first time */
	fake_stop(&f);
}

static void a_retry_asked_again_after_a_lost_connection_has_worked(void **state)
{
	assert_same_when_said_again(*state, client_retry);
}

static void a_cancel_asked_again_after_a_lost_connection_has_worked(void **state)
{
	assert_same_when_said_again(*state, client_cancel);
}

#define PROTOCOL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROTOCOL_TEST(a_service_of_an_older_protocol_is_refused_with_a_sentence),
		PROTOCOL_TEST(a_service_of_an_older_protocol_is_replaced),
		PROTOCOL_TEST(a_service_of_any_protocol_can_be_stopped),
		PROTOCOL_TEST(a_retry_asked_again_after_a_lost_connection_has_worked),
		PROTOCOL_TEST(a_cancel_asked_again_after_a_lost_connection_has_worked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
