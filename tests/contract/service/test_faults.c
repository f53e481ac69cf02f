/* What goes wrong around a service: its starter, its store, its limits, its askers. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/service/link.h"
#include "engine/service/messages.h"
#include "engine/service/start.h"
#include "tests/contract/service/fixture.h"

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

static void read_link(int pid, int fd, char *out, size_t size)
{
	scoped_free char *path = xformat("/proc/%d/fd/%d", pid, fd);
	ssize_t len = readlink(path, out, size - 1);
	out[len < 0 ? 0 : len] = '\0';
}

static void assert_streams_are_null(int pid)
{
	for (int fd = 0; fd < 3; fd++) {
		char target[256];
		read_link(pid, fd, target, sizeof(target));
		assert_string_equal(target, "/dev/null");
	}
}

/* Opens a client in a child that has these standard streams closed. */
static void start_without_streams(struct fixture *x, const int *closed, size_t count)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct client *c = NULL;
		for (size_t i = 0; i < count; i++)
			close(closed[i]);
		_exit(client_open(&x->options, &c, NULL) == 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_starter_with_closed_streams_starts_a_service_with_its_own(void **state)
{
	struct fixture *x = *state;
	struct error err;
	const int closed[] = { 0, 1, 2 };
	const size_t counts[] = { 1, 2, 3 };
	for (size_t i = 0; i < 3; i++) {
		start_without_streams(x, closed, counts[i]);
		fixture_connect(x);
		int pid = fixture_service_pid(x);
		char target[256];
		assert_streams_are_null(pid);
		read_link(pid, 3, target, sizeof(target));
		assert_int_equal(strncmp(target, "pipe:", 5), 0);
		assert_ok(client_stop(x->client, &err));
		client_free(x->client);
		x->client = NULL;
	}
}

static void what_a_service_runs_does_not_inherit_its_ready_pipe(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_buf struct buf info = BUF_INIT;
	scoped_free char *path = xformat("/proc/%d/fdinfo/3", fixture_service_pid(x));
	assert_ok(read_file_at(AT_FDCWD, path, &info, 4096, &err));
	const char *flags = strstr(info.data, "flags:");
	assert_non_null(flags);
	assert_true(strtoul(flags + strlen("flags:"), NULL, 8) & O_CLOEXEC);
}

static void the_first_service_of_a_store_has_a_log_as_well(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_buf struct buf log = BUF_INIT;
	scoped_free char *path = xformat("%s/service/log", x->store);
	assert_ok(read_file_at(AT_FDCWD, path, &log, 1 << 20, &err));
	assert_non_null(strstr(log.data, "serves"));
}

static void a_program_that_is_no_service_is_given_up_soon_with_a_sentence(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct client_options options = x->options;
	options.service = "/bin/true";
	int64_t begun = now_ms();
	assert_error(client_open(&options, &x->client, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "/bin/true"));
	assert_true(now_ms() - begun < START_WAIT_MS / 2);
	options.service = "/no/such/ggfs";
	assert_error(client_open(&options, &x->client, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "/no/such/ggfs"));
}

static void a_store_that_cannot_be_made_is_told_to_who_wanted_it(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_free char *file = xformat("%s/file", x->top);
	scoped_free char *store = xformat("%s/store", file);
	assert_ok(replace_file_at(AT_FDCWD, file, "", 0, 0644, &err));
	struct client_options options = x->options;
	options.store = store;
	int r = client_open(&options, &x->client, &err);
	assert_true(r < 0);
	assert_non_null(strstr(err.text, store));
}

static void a_store_of_somebody_else_is_told_to_who_wanted_it(void **state)
{
	struct fixture *x = *state;
	struct error err;
	if (geteuid() != 0) {
		print_message("only root can give a store away\n");
		skip();
	}
	assert_ok(make_dirs_at(AT_FDCWD, x->store, 0700, &err));
	assert_int_equal(chown(x->store, 65534, 65534), 0);
	assert_error(client_open(&x->options, &x->client, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, x->store));
	assert_non_null(
	        strstr(err.text, "own")); /* "owned by ...", "belongs to ..., not our own" */
}

/* rm -rf of a store, while its service lives on for others or for its idle time. */
static void a_service_whose_store_is_gone_leaves_its_successor_alone(void **state)
{
	struct fixture *x = *state;
	struct error err;
	int old = fixture_service_pid(x);
	assert_ok(remove_tree_at(AT_FDCWD, x->store, &err));
	struct client *c = NULL;
	assert_ok(client_open(&x->options, &c, &err));
	struct client_service_info info = { 0 };
	assert_ok(client_info(c, &info, &err));
	int new = info.pid;
	assert_int_not_equal(new, old);
	client_service_info_release(&info);
	kill(old, SIGTERM);
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; kill(old, 0) == 0 && now_ms() < end;)
		pause_ms(1);
	struct client_options there = x->options;
	there.never_start = true;
	client_free(c);
	assert_ok(client_open(&there, &c, &err));
	client_free(c);
	assert_int_equal(fixture_service_pid(x), new); /* whoever was at the old one moves over */
}

static void a_service_whose_store_is_gone_ends_although_it_has_clients(void **state)
{
	struct fixture *x = *state;
	struct error err;
	pid_t pid = fork();
	if (pid == 0) {
		execl(x->options.service, "ggfs", "service", "--store", x->store, "--idle", "200",
		      (char *)NULL);
		_exit(127);
	}
	struct client_options there = x->options;
	there.never_start = true;
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS;
	     client_open(&there, &x->client, NULL) < 0 && now_ms() < end;)
		pause_ms(1);
	assert_non_null(x->client);
	assert_ok(remove_tree_at(AT_FDCWD, x->store, &err));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static uint64_t processor_ms(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static pid_t service_with_few_files(struct fixture *x, rlim_t files)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit limit = { files, files };
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		close(null);
		if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
			execl(x->options.service, "ggfs", "service", "--store", x->store,
			      (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void a_service_out_of_descriptors_rests_and_goes_on_when_there_are_some(void **state)
{
	enum { FILES = 64, DIALS = 80, WATCHED_MS = 500 };
	struct fixture *x = *state;
	struct error err;
	int fds[DIALS], count = 0;
	pid_t pid = service_with_few_files(x, FILES);
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; now_ms() < end; pause_ms(1))
		if ((fds[0] = start_dial(x->store, NULL)) >= 0)
			break;
	for (count = 1; count < DIALS; count++)
		assert_true((fds[count] = start_dial(x->store, &err)) >= 0);
	pause_ms(50);
	uint64_t before = processor_ms(pid);
	pause_ms(WATCHED_MS);
	assert_true(processor_ms(pid) - before < WATCHED_MS / 20);
	while (count > 0)
		close(fds[--count]);
	x->options.never_start = true;
	assert_ok(client_open(&x->options, &x->client, &err));
	assert_ok(client_stop(x->client, &err));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	x->options.never_start = false;
}

static void a_request_larger_than_a_frame_is_refused_here_and_nobody_is_dropped(void **state)
{
	struct fixture *x = *state;
	struct error err;
	enum { REFS = 1000000 };
	scoped_free char *output = xmalloc(64);
	memset(output, 'o', 63);
	output[63] = '\0';
	scoped_free struct ref *refs = xcalloc(REFS, sizeof(*refs));
	for (size_t i = 0; i < REFS; i++)
		refs[i] = (struct ref){ .kind = REF_THUNK, .output = output };
	scoped_free struct client_force_result *results = xcalloc(REFS, sizeof(*results));
	struct client_force_options options = { 0 };
	int pid = fixture_service_pid(x);
	assert_error(client_force(x->client, refs, REFS, &options, results, &err), -EMSGSIZE);
	assert_int_equal(fixture_service_pid(x), pid);
}

static void check_counts(void *arg, const struct client_progress *progress)
{
	uint64_t *worst = arg;
	const struct force_counts *c = &progress->counts;
	const uint64_t all[] = { c->queued, c->running, c->done, c->failed, c->memoised };
	for (size_t i = 0; i < 5; i++)
		if (all[i] > *worst)
			*worst = all[i];
}

static void counts_of_forces_close_together_are_never_below_nothing(void **state)
{
	struct fixture *x = *state;
	struct error err;
	uint64_t worst = 0;
	for (int i = 0; i < 60; i++) {
		scoped_free char *text = xformat("count %d", i);
		scoped_ref struct ref ref = fixture_slow(x, 0, text);
		struct client_force_options options = { .progress = check_counts, .arg = &worst };
		struct client_force_result result;
		assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
		client_force_result_release(&result);
	}
	assert_true(worst <= 60);
}

static void a_relative_input_is_refused_with_a_sentence(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int pid = fixture_service_pid(x);
	assert_error(client_input(x->client, "relative/file", false, &m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "absolute"));
	assert_int_equal(fixture_service_pid(x), pid);
}

static void a_mount_must_lend_a_directory(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct conn c;
	scoped_buf struct buf b = BUF_INIT;
	int fd = start_dial(x->store, &err);
	assert_true(fd >= 0);
	conn_init(&c, fd);
	fixture_greet(&c);
	size_t mark = wire_begin(&b, MESSAGE_MOUNT, 2);
	wire_string(&b, "/somewhere");
	wire_end(&b, mark);
	assert_ok(conn_send(&c, &b, memfd_create("no directory", MFD_CLOEXEC), &err));
	assert_error(conn_receive(&c, &err), -ECONNRESET);
	conn_release(&c);
	struct client_service_info info = { 0 };
	assert_ok(client_info(x->client, &info, &err));
	assert_int_equal(info.mounts.count, 0);
	client_service_info_release(&info);
}

static void frames_behind_a_stop_are_not_served(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct conn c;
	scoped_buf struct buf b = BUF_INIT;
	int fd = start_dial(x->store, &err);
	assert_true(fd >= 0);
	conn_init(&c, fd);
	fixture_greet(&c);
	wire_end(&b, wire_begin(&b, MESSAGE_STOP, 2));
	wire_end(&b, wire_begin(&b, MESSAGE_INFO, 3));
	assert_ok(conn_send(&c, &b, -1, &err));
	struct wire_header h;
	const char *payload;
	size_t len;
	int r = 0;
	bool stopped = false;
	while (r >= 0) {
		if ((r = conn_next(&c, &h, &payload, &len, NULL)) == 0)
			r = conn_receive(&c, NULL);
		else
			stopped |= r == 1 && h.id == 2;
		assert_false(r == 1 && h.id == 3);
	}
	assert_true(stopped);
	conn_release(&c);
}

static void a_link_lends_its_directory_to_each_service(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct link *l = NULL;
	scoped_free char *point = xformat("%s/point", x->top);
	scoped_free char *hidden = xformat("%s/hidden", x->top);
	scoped_free char *lent = xformat("%s/lent", point); /* as the mount would show it */
	assert_ok(make_dirs_at(AT_FDCWD, point, 0755, &err));
	assert_ok(make_dirs_at(AT_FDCWD, hidden, 0755, &err));
	scoped_fd int backing = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(replace_file_at(backing, "lent", "text", 4, 0644, &err));
	struct link_options options = { .client = x->options,
		                        .mountpoint = point,
		                        .backing_fd = backing };
	assert_ok(link_open(&options, &l, &err));
	for (int life = 0; life < 2; life++) {
		int r = -ENOENT;
		size_t count = 0;
		for (int64_t end = now_ms() + FIXTURE_WAIT_MS; r < 0 && now_ms() < end;) {
			scoped_manifest struct manifest m = MANIFEST_INIT;
			r = client_input(x->client, lent, false, &m, &err);
			count = m.count;
		}
		assert_ok(r);
		assert_true(count >= 1);
		kill(fixture_service_pid(x), SIGKILL);
	}
	link_free(l);
}

static int count_record(void *arg, const struct log_record *record)
{
	int *count = arg;
	++*count;
	assert_string_equal(record->label, "out");
	return *count == 2 ? 7 : 0;
}

static void the_log_tells_forces_and_ends_where_its_reader_wants(void **state)
{
	struct fixture *x = *state;
	struct error err;
	int count = 0;
	for (int i = 0; i < 3; i++) {
		scoped_free char *text = xformat("logged %d", i);
		scoped_ref struct ref ref = fixture_slow(x, 0, text);
		struct client_force_options options = { 0 };
		struct client_force_result result;
		assert_ok(client_force(x->client, &ref, 1, &options, &result, &err));
		client_force_result_release(&result);
	}
	assert_ok(client_log(x->client, 1, count_record, &count, &err));
	assert_int_equal(count, 1);
	count = 0;
	assert_int_equal(client_log(x->client, SIZE_MAX, count_record, &count, &err), 7);
}

static void a_put_of_a_peer_that_left_does_no_harm(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct digest d;
	enum { ROUNDS = 20, BYTES = 1 << 20 };
	scoped_fd int file = memfd_create("put", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, BYTES), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct conn c;
		scoped_buf struct buf b = BUF_INIT;
		int fd = start_dial(x->store, &err);
		assert_true(fd >= 0);
		conn_init(&c, fd);
		fixture_greet(&c);
		wire_end(&b, wire_begin(&b, MESSAGE_PUT, 2));
		assert_ok(conn_send(&c, &b, fcntl(file, F_DUPFD_CLOEXEC, 0), &err));
		conn_release(&c);
	}
	assert_ok(client_put_bytes(x->client, "alive", 5, &d, &err));
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define BIRTH_TEST(name)                                                                           \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_without, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIRTH_TEST(a_starter_with_closed_streams_starts_a_service_with_its_own),
		FAULT_TEST(what_a_service_runs_does_not_inherit_its_ready_pipe),
		FAULT_TEST(the_first_service_of_a_store_has_a_log_as_well),
		BIRTH_TEST(a_program_that_is_no_service_is_given_up_soon_with_a_sentence),
		BIRTH_TEST(a_store_that_cannot_be_made_is_told_to_who_wanted_it),
		BIRTH_TEST(a_store_of_somebody_else_is_told_to_who_wanted_it),
		FAULT_TEST(a_service_whose_store_is_gone_leaves_its_successor_alone),
		BIRTH_TEST(a_service_whose_store_is_gone_ends_although_it_has_clients),
		BIRTH_TEST(a_service_out_of_descriptors_rests_and_goes_on_when_there_are_some),
		FAULT_TEST(a_request_larger_than_a_frame_is_refused_here_and_nobody_is_dropped),
		FAULT_TEST(counts_of_forces_close_together_are_never_below_nothing),
		FAULT_TEST(a_relative_input_is_refused_with_a_sentence),
		FAULT_TEST(a_mount_must_lend_a_directory),
		FAULT_TEST(frames_behind_a_stop_are_not_served),
		FAULT_TEST(a_link_lends_its_directory_to_each_service),
		FAULT_TEST(the_log_tells_forces_and_ends_where_its_reader_wants),
		FAULT_TEST(a_put_of_a_peer_that_left_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
