/* Clients and links of a service that misbehaves in ways the real one does not. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "engine/service/link.h"
#include "engine/service/start.h"
#include "tests/contract/service/fake.h"
#include "tests/contract/service/fixture.h"

enum { ROUND_MS = 20 };

static int set_up(void **state)
{
	int r = fixture_set_up_without(state);
	struct fixture *x = *state;
	x->options.never_start = true;
	return r;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static bool eventually(const atomic_int *what, int least)
{
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; *what < least && now_ms() < end;)
		pause_ms(1);
	return *what >= least;
}

static struct ref some_thunk(void)
{
	static char output[] = "out";
	return (struct ref){ .kind = REF_THUNK, .output = output };
}

static void keep_deadline(struct fake *f, const char *payload, size_t len)
{
	struct message_force m;
	if (message_force_decode(payload, len, &m, NULL) < 0)
		return;
	if (f->deadline_count < 4)
		f->deadlines[f->deadline_count++] = m.deadline_ms;
	message_force_release(&m);
}

static int result_for(struct fake *f, uint32_t id)
{
	struct client_force_result result = { .ref = { .kind = REF_BLOB, .size_bytes = 4 } };
	struct buf payload = BUF_INIT;
	message_result_encode(&payload, 0, &result);
	return fake_answer(f, MESSAGE_RESULT, id, &payload);
}

static int look_for(struct fake *f, uint32_t id)
{
	struct force_look look = { .state = STATE_UNFORCED };
	struct buf payload = BUF_INIT;
	message_look_encode(&payload, &look);
	return fake_answer(f, MESSAGE_ANSWER, id, &payload);
}

/* --- what the test's service does ------------------------------------------------------------- */

static int hang_up(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	(void)f, (void)h, (void)p, (void)len;
	return -1;
}

static int say_ok(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	(void)p, (void)len;
	return fake_answer(f, MESSAGE_OK, h->id, NULL);
}

/* Hangs up on the first force after a while, answers the second. */
static int answer_at_the_second_time(struct fake *f, const struct wire_header *h, const char *p,
                                     size_t len)
{
	if (h->type != MESSAGE_FORCE)
		return 0;
	keep_deadline(f, p, len);
	if (f->deadline_count < 2) {
		pause_ms(ROUND_MS);
		return -1;
	}
	int r = result_for(f, h->id);
	return r < 0 ? r : fake_answer(f, MESSAGE_OK, h->id, NULL);
}

/* Forces are answered with looks and looks with results. */
static int mix_up(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	(void)p, (void)len;
	return h->type == MESSAGE_FORCE  ? look_for(f, h->id)
	       : h->type == MESSAGE_LOOK ? result_for(f, h->id)
	                                 : 0;
}

static int say_nothing(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	(void)f, (void)h, (void)p, (void)len;
	return 0;
}

/* Hangs up on the first mount; counts forces from then on, answers looks. */
static int count_forces(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	atomic_int *forces = f->arg;
	(void)p, (void)len;
	if (h->type == MESSAGE_MOUNT && f->connections == 1)
		return -1;
	if (h->type == MESSAGE_FORCE)
		++*forces;
	return h->type == MESSAGE_LOOK ? look_for(f, h->id) : 0;
}

static int answer_others_first(struct fake *f, const struct wire_header *h, const char *p,
                               size_t len)
{
	(void)p, (void)len;
	struct buf wrong = BUF_INIT, right = BUF_INIT;
	struct digest d = { { 1 } };
	wire_digest(&wrong, &d);
	wire_u64(&wrong, 1);
	d.bytes[0] = 2;
	wire_digest(&right, &d);
	wire_u64(&right, 2);
	int r = fake_answer(f, MESSAGE_DIGEST, h->id + 7, &wrong);
	return r < 0 ? r : fake_answer(f, MESSAGE_DIGEST, h->id, &right);
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void a_force_that_ends_without_its_answers_is_eproto(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	fake_start(&f, x->store, say_ok, NULL);
	assert_ok(client_open(&x->options, &x->client, &err));
	struct ref ref = some_thunk();
	struct client_force_options options = { 0 };
	struct client_force_result result;
	assert_error(client_force(x->client, &ref, 1, &options, &result, &err), -EPROTO);
	struct digest d;
	assert_error(client_put_bytes(x->client, "x", 1, &d, &err), -EPROTO);
	fake_stop(&f);
}

static void a_request_whose_service_always_ends_is_given_up_with_a_sentence(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	struct digest d;
	fake_start(&f, x->store, hang_up, NULL);
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_error(client_put_bytes(x->client, "x", 1, &d, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "service/log"));
	assert_int_equal(f.connections, CLIENT_TRIES_MAX);
	struct ref ref = some_thunk();
	struct client_force_options options = { 0 };
	struct client_force_result result;
	assert_error(client_force(x->client, &ref, 1, &options, &result, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "service/log"));
	assert_int_equal(f.connections, 2 * CLIENT_TRIES_MAX);
	fake_stop(&f);
}

static void answers_to_other_requests_are_passed_over(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	struct digest d;
	fake_start(&f, x->store, answer_others_first, NULL);
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_ok(client_put_bytes(x->client, "x", 1, &d, &err));
	assert_int_equal(d.bytes[0], 2);
	fake_stop(&f);
}

static void a_client_that_asks_again_has_less_time_left(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	fake_start(&f, x->store, answer_at_the_second_time, NULL);
	assert_ok(client_open(&x->options, &x->client, &err));
	struct ref ref = some_thunk();
	struct client_force_options options = { .deadline_ms = 60000 };
	struct client_force_result result;
	assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
	client_force_result_release(&result);
	assert_true(f.deadlines[1] <= f.deadlines[0] - ROUND_MS / 2);
	fake_stop(&f);
}

static void a_service_that_does_not_answer_is_etimedout(void **state)
{
	int fds[2];
	struct error err;
	struct conn c;
	struct wire_header h;
	const char *payload;
	size_t len;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	conn_init(&c, fds[0]);
	scoped_buf struct buf b = BUF_INIT;
	wire_end(&b, wire_begin(&b, MESSAGE_INFO, 1));
	assert_error(start_ask(&c, &b, ROUND_MS, &h, &payload, &len, &err), -ETIMEDOUT);
	conn_release(&c);
	close(fds[1]);
}

static void a_deaf_service_is_etimedout_for_the_impatient(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	struct digest d;
	fake_start(&f, x->store, say_nothing, NULL);
	x->options.patience_ms = ROUND_MS;
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_error(client_put_bytes(x->client, "x", 1, &d, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(f.frames, 2); /* it was asked whether it is there */
	fake_stop(&f);
}

/* Answers the second question about itself, and then the put. */
static int answer_late(struct fake *f, const struct wire_header *h, const char *p, size_t len)
{
	uint32_t *id = f->arg;
	struct buf payload = BUF_INIT;
	struct digest d = { { 1 } };
	(void)p, (void)len;
	if (h->type == MESSAGE_PUT_BYTES) {
		*id = h->id;
		return 0;
	}
	if (f->frames < 3)
		return fake_answer(f, MESSAGE_OK, h->id, NULL);
	wire_digest(&payload, &d);
	wire_u64(&payload, 1);
	return fake_answer(f, MESSAGE_DIGEST, *id, &payload);
}

static void a_service_that_takes_its_time_is_waited_for(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct fake f;
	struct digest d;
	uint32_t id = 0;
	fake_start(&f, x->store, answer_late, &id);
	x->options.patience_ms = ROUND_MS;
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_ok(client_put_bytes(x->client, "x", 1, &d, &err));
	assert_int_equal(f.frames, 3);
	fake_stop(&f);
}

/* --- links -------------------------------------------------------------------------------------
 */

struct heard {
	atomic_int answers, looks, code, look_code;
	char reason[256];
	_Atomic(struct link *) link; /* its thread may be quicker than link_open */
	bool forces_when_reconnected;
};

static void on_done(void *arg, const struct force_answer *answer)
{
	struct heard *h = arg;
	h->code = answer->code;
	snprintf(h->reason, sizeof(h->reason), "%s", answer->reason ? answer->reason : "");
	h->answers++;
}

static void on_look(void *arg, int code, const struct force_look *look)
{
	struct heard *h = arg;
	assert_true((code == 0) == (look != NULL));
	h->look_code = code;
	h->looks++;
}

static void on_reconnected(void *arg)
{
	struct heard *h = arg;
	struct ref ref = some_thunk();
	while (h->forces_when_reconnected && !h->link)
		pause_ms(1);
	for (int i = 0; h->forces_when_reconnected && i < 5; i++)
		link_force_start(h->link, &ref, "test[1]", 0, false, on_done, h);
}

static void open_link(struct fixture *x, struct heard *h)
{
	struct error err;
	scoped_fd int backing = open(x->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct link_options options = { .client = x->options,
		                        .mountpoint = "/mnt/of/this/test",
		                        .backing_fd = backing,
		                        .reconnected = on_reconnected,
		                        .arg = h };
	struct link *l = NULL;
	assert_ok(link_open(&options, &l, &err));
	h->link = l;
}

/* Looks until one gets through to the service; its code. */
static int look_through(struct heard *h)
{
	struct ref ref = some_thunk();
	h->look_code = -EAGAIN;
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; h->look_code == -EAGAIN && now_ms() < end;) {
		int before = h->looks;
		link_look(h->link, &ref, on_look, h);
		assert_true(eventually(&h->looks, before + 1));
	}
	return h->look_code;
}

static void what_a_link_is_told_must_be_what_it_asked(void **state)
{
	struct fixture *x = *state;
	struct fake f;
	struct heard h = { 0 };
	struct ref ref = some_thunk();
	fake_start(&f, x->store, mix_up, NULL);
	open_link(x, &h);
	assert_int_equal(look_through(&h), -EBADMSG);
	link_force_start(h.link, &ref, "test[1]", 0, false, on_done, &h);
	assert_true(eventually(&h.answers, 1));
	assert_int_equal(h.code, -EIO);
	link_free(h.link);
	fake_stop(&f);
}

static void a_link_asks_each_request_once_on_a_connection(void **state)
{
	struct fixture *x = *state;
	struct fake f;
	struct heard h = { .forces_when_reconnected = true };
	atomic_int forces = 0;
	fake_start(&f, x->store, count_forces, &forces);
	open_link(x, &h);
	assert_true(eventually(&forces, 5));
	assert_int_equal(look_through(&h), 0); /* whatever was sent before has arrived */
	assert_int_equal(forces, 5);
	link_free(h.link);
	assert_int_equal(h.answers, 5);
	assert_int_equal(h.code, -ESHUTDOWN);
	fake_stop(&f);
}

static void a_force_that_its_service_never_survives_is_enetdown_in_the_end(void **state)
{
	struct fixture *x = *state;
	struct fake f;
	struct heard h = { 0 };
	struct ref ref = some_thunk();
	fake_start(&f, x->store, hang_up, NULL);
	open_link(x, &h);
	link_force_start(h.link, &ref, "test[1]", 0, false, on_done, &h);
	assert_true(eventually(&h.answers, 1));
	assert_int_equal(h.code, -ENETDOWN);
	assert_non_null(strstr(h.reason, "again and again"));
	assert_true(f.connections >= LINK_LOST_MAX && f.connections <= LINK_LOST_MAX + 1);
	link_free(h.link);
	fake_stop(&f);
}

static void a_deadline_passes_also_while_there_is_no_service(void **state)
{
	struct fixture *x = *state;
	struct heard h = { 0 };
	struct ref ref = some_thunk();
	open_link(x, &h);
	link_force_start(h.link, &ref, "test[1]", ROUND_MS, false, on_done, &h);
	link_force_start(h.link, &ref, "test[1]", 0, false, on_done, &h); /* has none */
	assert_true(eventually(&h.answers, 1));
	assert_int_equal(h.code, -ETIMEDOUT);
	link_free(h.link);
	assert_int_equal(h.answers, 2);
}

static void a_deadline_passes_also_when_the_service_hangs(void **state)
{
	struct fixture *x = *state;
	struct fake f;
	struct heard h = { 0 };
	struct ref ref = some_thunk();
	fake_start(&f, x->store, say_nothing, NULL);
	open_link(x, &h);
	link_force_start(h.link, &ref, "test[1]", ROUND_MS, false, on_done, &h);
	assert_true(eventually(&h.answers, 1));
	assert_int_equal(h.code, -ETIMEDOUT);
	link_free(h.link);
	fake_stop(&f);
}

static void a_link_that_asks_again_has_less_time_left(void **state)
{
	struct fixture *x = *state;
	struct fake f;
	struct heard h = { 0 };
	struct ref ref = some_thunk();
	fake_start(&f, x->store, answer_at_the_second_time, NULL);
	open_link(x, &h);
	link_force_start(h.link, &ref, "test[1]", 60000, false, on_done, &h);
	assert_true(eventually(&h.answers, 1));
	assert_int_equal(h.code, 0);
	assert_true(f.deadlines[1] <= f.deadlines[0] - ROUND_MS / 2);
	link_free(h.link);
	fake_stop(&f);
}

/* A program that takes its time and is no service: the link is always on its way. */
static void a_link_may_end_while_it_connects(void **state)
{
	struct fixture *x = *state;
	struct error err;
	static const char script[] = "#!/bin/sh\nexec sleep 0.2\n";
	scoped_free char *program = xformat("%s/sleeper", x->top);
	assert_ok(replace_file_at(AT_FDCWD, program, script, strlen(script), 0755, &err));
	struct fixture starting = *x;
	starting.options.never_start = false;
	starting.options.service = program;
	for (unsigned wait = 0; wait < 300; wait += 100) {
		struct heard h = { 0 };
		struct ref ref = some_thunk();
		int64_t begun = now_ms();
		open_link(&starting, &h);
		link_force_start(h.link, &ref, "test[1]", 0, false, on_done, &h);
		pause_ms(wait);
		link_free(h.link);
		assert_int_equal(h.answers, 1);
		assert_int_equal(h.code, -ESHUTDOWN);
		assert_true(now_ms() - begun < START_WAIT_MS / 3);
	}
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	scoped_dir DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		count++;
	return count;
}

/* Whichever of its end and its connection comes first. */
static void a_link_that_ends_as_it_connects_leaves_no_descriptor(void **state)
{
	enum { ROUNDS = 300, STEP_US = 2 };
	struct fixture *x = *state;
	struct fake f;
	fake_start(&f, x->store, say_nothing, NULL);
	size_t before = open_descriptors();
	for (int i = 0; i < ROUNDS; i++) {
		struct heard h = { 0 };
		open_link(x, &h);
		nanosleep(&(struct timespec){ .tv_nsec = i * STEP_US * 1000L }, NULL);
		link_free(h.link);
	}
	fake_stop(&f);
	assert_int_equal(open_descriptors(), before - 2); /* the fake's own two */
}

#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_force_that_ends_without_its_answers_is_eproto),
		FAKE_TEST(a_request_whose_service_always_ends_is_given_up_with_a_sentence),
		FAKE_TEST(answers_to_other_requests_are_passed_over),
		FAKE_TEST(a_client_that_asks_again_has_less_time_left),
		cmocka_unit_test(a_service_that_does_not_answer_is_etimedout),
		FAKE_TEST(a_deaf_service_is_etimedout_for_the_impatient),
		FAKE_TEST(a_service_that_takes_its_time_is_waited_for),
		FAKE_TEST(what_a_link_is_told_must_be_what_it_asked),
		FAKE_TEST(a_link_asks_each_request_once_on_a_connection),
		FAKE_TEST(a_force_that_its_service_never_survives_is_enetdown_in_the_end),
		FAKE_TEST(a_deadline_passes_also_while_there_is_no_service),
		FAKE_TEST(a_deadline_passes_also_when_the_service_hangs),
		FAKE_TEST(a_link_that_asks_again_has_less_time_left),
		FAKE_TEST(a_link_may_end_while_it_connects),
		FAKE_TEST(a_link_that_ends_as_it_connects_leaves_no_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
