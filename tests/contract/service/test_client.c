/* Requests to a real service, one after another and many at once. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/service/messages.h"
#include "engine/service/start.h"
#include "tests/contract/service/fixture.h"

static void blobs_go_in_and_come_out(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct digest a, b, absent = { { 9 } };
	assert_ok(client_put_bytes(x->client, "hello", 5, &a, &err));
	scoped_fd int file = memfd_create("t", MFD_CLOEXEC);
	assert_ok(write_full(file, "hello", 5));
	uint64_t size;
	assert_ok(client_put_fd(x->client, file, &b, &size, &err));
	assert_true(digest_equal(&a, &b));
	assert_int_equal(size, 5);
	struct ref ref = { .kind = REF_BLOB, .digest = a };
	fixture_assert_blob(x, &ref, "hello");
	assert_error(client_get(x->client, &absent, &err), -ENOENT);
}

static void only_regular_files_become_blobs(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct digest d;
	scoped_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_error(client_put_fd(x->client, null, &d, NULL, &err), -EINVAL);
	assert_ok(client_put_bytes(x->client, "still there", 11, &d, &err));
}

static void a_force_makes_looks_ready_and_is_logged(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_ref struct ref ref = fixture_slow(x, 0, "made");
	struct force_look look;
	assert_ok(client_look(x->client, &ref, &look, &err));
	assert_int_equal(look.state, STATE_UNFORCED);
	struct client_force_options options = { .jobs = 2 };
	struct client_force_result result;
	assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
	fixture_assert_blob(x, &result.ref, "made");
	assert_false(result.memoised);
	client_force_result_release(&result);
	assert_ok(client_look(x->client, &ref, &look, &err));
	assert_int_equal(look.state, STATE_READY);
	force_look_release(&look);
	struct memo memo = MEMO_INIT;
	assert_ok(client_memo(x->client, &ref.digest, &memo, &err));
	assert_int_equal(memo.count, 1);
	memo_release(&memo);
	assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
	assert_true(result.memoised);
	client_force_result_release(&result);
}

static void a_failure_is_told_remembered_and_forgotten_by_retry(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_ref struct ref ref = fixture_failing(x, "no such luck");
	struct client_force_options options = { 0 };
	struct client_force_result result;
	struct force_look look;
	assert_int_equal(client_force(x->client, &ref, 1, &options, &result, &err), -EREMOTEIO);
	assert_non_null(strstr(result.reason, "exit status 3"));
	client_force_result_release(&result);
	assert_ok(client_look(x->client, &ref, &look, &err));
	assert_int_equal(look.state, STATE_FAILED);
	assert_string_equal(look.failure.stderr_tail, "no such luck");
	force_look_release(&look);
	assert_ok(client_retry(x->client, &ref.digest, &err));
	assert_ok(client_look(x->client, &ref, &look, &err));
	assert_int_equal(look.state, STATE_UNFORCED);
	force_look_release(&look);
}

static void keep_going_makes_the_rest_and_without_it_they_are_given_up(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct ref refs[3] = { fixture_failing(x, "a"), fixture_slow(x, 20, "b"),
		               fixture_slow(x, 40, "c") };
	struct client_force_options options = { .jobs = 1, .keep_going = true };
	struct client_force_result results[3];
	assert_int_equal(client_force(x->client, refs, 3, &options, results, &err), -EREMOTEIO);
	assert_int_equal(results[1].code, 0);
	assert_int_equal(results[2].code, 0);
	for (int i = 0; i < 3; i++) {
		client_force_result_release(&results[i]);
		ref_release(&refs[i]);
	}
	refs[0] = fixture_failing(x, "d");
	refs[1] = fixture_slow(x, 60000, "e");
	refs[2] = fixture_slow(x, 60001, "f");
	options = (struct client_force_options){ .jobs = 1 };
	assert_int_equal(client_force(x->client, refs, 3, &options, results, &err), -EREMOTEIO);
	assert_int_equal(results[2].code, -ECANCELED);
	for (int i = 0; i < 3; i++) {
		client_force_result_release(&results[i]);
		ref_release(&refs[i]);
	}
}

static void what_no_model_knows_is_to_be_run_for_real(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct infer_answer answer;
	struct infer_request request = { .cwd = x->top,
		                         .tool = xstrdup("/usr/bin/true"),
		                         .umask = 022 };
	strv_add(&request.argv, "true");
	assert_ok(client_infer(x->client, &request, &answer, &err));
	assert_int_equal(answer.kind, INFER_RUN_REAL);
	assert_true(answer.reason[0] != '\0');
	infer_answer_release(&answer);
	request.cwd = NULL;
	infer_request_release(&request);
}

static void an_unknown_engine_is_refused_with_the_names_there_are(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_ref struct ref ref = fixture_slow(x, 0, "x");
	struct client_force_options options = { .engine = "nonsense" };
	struct client_force_result result;
	assert_error(client_force(x->client, &ref, 1, &options, &result, &err), -EINVAL);
	assert_non_null(strstr(err.text, "local"));
}

static volatile int interrupted;

static void on_alarm(int number)
{
	(void)number;
	interrupted = 1;
}

static void an_interrupted_force_returns_and_drops_what_has_not_started(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct ref refs[2] = { fixture_slow(x, 2000, "one"), fixture_slow(x, 2001, "two") };
	struct client_force_options options = { .jobs = 1, .interrupted = &interrupted };
	struct client_force_result results[2];
	signal(SIGALRM, on_alarm);
	ualarm(200000, 0);
	int64_t begun = now_ms();
	assert_error(client_force(x->client, refs, 2, &options, results, &err), -EINTR);
	assert_true(now_ms() - begun < 1900); /* before anything can have been made */
	struct client_service_info info = { 0 };
	do {
		client_service_info_release(&info);
		assert_ok(client_info(x->client, &info, &err));
	} while (info.counts.queued > 0 && now_ms() - begun < FIXTURE_WAIT_MS);
	assert_int_equal(info.counts.queued, 0);
	client_service_info_release(&info);
	ref_release(&refs[0]);
	ref_release(&refs[1]);
}

static void a_hundred_clients_at_once_are_all_answered(void **state)
{
	struct fixture *x = *state;
	enum { CLIENTS = 100 };
	pid_t pids[CLIENTS];
	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		struct fixture mine = *x;
		struct client_force_options options = { 0 };
		struct client_force_result result;
		scoped_free char *text = xformat("%d", i % 50); /* each thunk twice */
		if (client_open(&x->options, &mine.client, NULL) < 0)
			_exit(1);
		struct ref ref = fixture_slow(&mine, 1, text);
		int r = client_force(mine.client, &ref, 1, &options, &result, NULL);
		_exit(r == 0 && result.ref.size_bytes == strlen(text) ? 0 : 2);
	}
	for (int i = 0; i < CLIENTS; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	struct error err;
	struct client_service_info info = { 0 };
	assert_ok(client_info(x->client, &info, &err));
	assert_int_equal(info.counts.done, 50);
	client_service_info_release(&info);
}

static void a_client_that_dies_takes_its_unstarted_force_along(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct ref refs[2] = { fixture_slow(x, 300, "runs"), fixture_slow(x, 301, "waits") };
	pid_t pid = fork();
	if (pid == 0) {
		struct client *c = NULL;
		struct client_force_options options = { .jobs = 1 };
		struct client_force_result results[2];
		if (client_open(&x->options, &c, NULL) == 0)
			client_force(c, refs, 2, &options, results, NULL);
		_exit(0);
	}
	fixture_wait_running(x, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fixture_wait_running(x, 0);
	struct force_look first, second;
	assert_ok(client_look(x->client, &refs[0], &first, &err));
	assert_ok(client_look(x->client, &refs[1], &second, &err));
	assert_int_equal(first.state, STATE_READY); /* paid for, so kept */
	assert_int_equal(second.state, STATE_UNFORCED);
	force_look_release(&first);
	ref_release(&refs[0]);
	ref_release(&refs[1]);
}

/* Whether the service hangs up on who says these bytes. */
static bool is_dropped(struct fixture *x, const void *bytes, size_t len)
{
	struct error err;
	scoped_fd int fd = start_dial(x->store, &err);
	assert_true(fd >= 0);
	assert_ok(write_full(fd, bytes, len));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char answer[512];
	ssize_t n = 1;
	while (n > 0 && poll(&p, 1, 2000) > 0)
		n = read(fd, answer, sizeof(answer));
	return n <= 0;
}

static void whoever_does_not_speak_the_protocol_is_dropped_and_nobody_else(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct digest d;
	char garbage[64];
	memset(garbage, 0xff, sizeof(garbage));
	assert_true(is_dropped(x, garbage, sizeof(garbage)));
	for (uint16_t type = MESSAGE_INFER; type <= MESSAGE_INPUT + 3; type++) {
		scoped_buf struct buf b = BUF_INIT;
		if (type == MESSAGE_STOP)
			continue;                      /* is heard from anyone who may connect */
		size_t mark = wire_begin(&b, type, 1); /* before the greeting */
		wire_end(&b, mark);
		assert_true(is_dropped(x, b.data, b.len));
	}
	for (uint16_t type = MESSAGE_INFER; type <= MESSAGE_INPUT + 3; type++) {
		scoped_buf struct buf b = BUF_INIT;
		char version[] = "0", store[] = "";
		struct message_hello hello = { .protocol = PROTOCOL_VERSION,
			                       .version = version,
			                       .store = store };
		size_t mark = wire_begin(&b, MESSAGE_HELLO, 1);
		message_hello_encode(&b, &hello);
		wire_end(&b, mark);
		mark = wire_begin(&b, type, 2);
		buf_add(&b, "\xff\xff\xff\xff\xff", 5);
		wire_end(&b, mark);
		if (type != MESSAGE_PUT) /* needs a descriptor, and so is dropped as well */
			assert_true(is_dropped(x, b.data, b.len));
	}
	assert_ok(client_put_bytes(x->client, "still there", 11, &d, &err));
}

static void an_older_protocol_is_refused_with_a_sentence(void **state)
{
	struct fixture *x = *state;
	struct error err;
	char version[] = "0.0.1", store[] = "";
	struct message_hello hello = { .protocol = 0, .version = version, .store = store };
	scoped_buf struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b, MESSAGE_HELLO, 1);
	message_hello_encode(&b, &hello);
	wire_end(&b, mark);
	int fd = start_dial(x->store, &err);
	assert_true(fd >= 0);
	struct conn c;
	conn_init(&c, fd);
	struct wire_header h;
	const char *payload;
	size_t len;
	assert_ok(start_ask(&c, &b, START_WAIT_MS, &h, &payload, &len, &err));
	assert_int_equal(h.type, MESSAGE_ERROR);
	assert_error(message_error_decode(payload, len, &err), -EPROTO);
	assert_non_null(strstr(err.text, "ggfs stop"));
	conn_release(&c);
}

static void somebody_elses_process_is_refused(void **state)
{
	struct fixture *x = *state;
	if (geteuid() != 0) {
		print_message("# only root can become somebody else\n");
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		scoped_free char *service = xformat("%s/service", x->store);
		/* Even where the directories let them through. */
		chmod(x->top, 0777), chmod(x->store, 0777), chmod(service, 0777);
		scoped_free char *socket = xformat("%s/socket", service);
		chmod(socket, 0777);
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(3);
		struct client *c = NULL;
		struct client_options options = x->options;
		options.never_start = true;
		_exit(client_open(&options, &c, NULL) < 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(blobs_go_in_and_come_out),
		SERVICE_TEST(only_regular_files_become_blobs),
		SERVICE_TEST(a_force_makes_looks_ready_and_is_logged),
		SERVICE_TEST(a_failure_is_told_remembered_and_forgotten_by_retry),
		SERVICE_TEST(keep_going_makes_the_rest_and_without_it_they_are_given_up),
		SERVICE_TEST(what_no_model_knows_is_to_be_run_for_real),
		SERVICE_TEST(an_unknown_engine_is_refused_with_the_names_there_are),
		SERVICE_TEST(an_interrupted_force_returns_and_drops_what_has_not_started),
		SERVICE_TEST(a_hundred_clients_at_once_are_all_answered),
		SERVICE_TEST(a_client_that_dies_takes_its_unstarted_force_along),
		SERVICE_TEST(whoever_does_not_speak_the_protocol_is_dropped_and_nobody_else),
		SERVICE_TEST(an_older_protocol_is_refused_with_a_sentence),
		SERVICE_TEST(somebody_elses_process_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
