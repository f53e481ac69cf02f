/* How services come, go, and are replaced, while others wait for them. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/service/start.h"
#include "tests/contract/service/fixture.h"

static void nobody_runs_until_somebody_asks(void **state)
{
	struct fixture *x = *state;
	struct error err;
	x->options.never_start = true;
	assert_error(client_open(&x->options, &x->client, &err), -ECONNREFUSED);
	x->options.never_start = false;
	fixture_connect(x);
	assert_true(fixture_service_pid(x) > 0);
}

static void twenty_that_start_it_at_once_share_one(void **state)
{
	struct fixture *x = *state;
	enum { STARTERS = 20 };
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	for (int i = 0; i < STARTERS; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid > 0)
			continue;
		int service = client_open(&x->options, &x->client, NULL) < 0 ?
		                      -1 :
		                      fixture_service_pid(x);
		_exit(write(pipe_fds[1], &service, sizeof(service)) == sizeof(service) ? 0 : 1);
	}
	close(pipe_fds[1]);
	int first = 0, pid;
	for (int i = 0; i < STARTERS; i++) {
		assert_int_equal(read_full(pipe_fds[0], &pid, sizeof(pid)), sizeof(pid));
		first = i ? first : pid;
		assert_true(pid > 0);
		assert_int_equal(pid, first);
		wait(NULL);
	}
	close(pipe_fds[0]);
}

/* A force on a connection of its own, in a child; true if it gave the text. */
static pid_t force_in_child(struct fixture *x, const struct ref *ref, const char *text)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct fixture mine = *x;
	struct client_force_options options = { 0 };
	struct client_force_result result;
	if (client_open(&x->options, &mine.client, NULL) < 0)
		_exit(1);
	int r = client_force(mine.client, ref, 1, &options, &result, NULL);
	_exit(r == 0 && result.ref.size_bytes == strlen(text) ? 0 : 2);
}

static void assert_child_content(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_service_killed_in_a_force_is_not_noticed_by_who_waits(void **state)
{
	struct fixture *x = *state;
	scoped_ref struct ref ref = fixture_slow(x, 400, "after all");
	pid_t waiter = force_in_child(x, &ref, "after all");
	fixture_wait_running(x, 1);
	int killed = fixture_service_pid(x);
	kill(killed, SIGKILL);
	assert_child_content(waiter);
	assert_int_not_equal(fixture_service_pid(x), killed); /* this connection is made anew as well */
}

static void a_newer_client_replaces_the_service_and_who_waits_goes_on(void **state)
{
	struct fixture *x = *state;
	struct error err;
	scoped_ref struct ref ref = fixture_slow(x, 400, "went on");
	pid_t waiter = force_in_child(x, &ref, "went on");
	fixture_wait_running(x, 1);
	int old = fixture_service_pid(x);
	struct client_options newer = x->options;
	struct client *c = NULL;
	newer.version = "99.0";
	assert_ok(client_open(&newer, &c, &err));
	struct client_service_info info = { 0 };
	assert_ok(client_info(c, &info, &err));
	assert_int_not_equal(info.pid, old);
	client_service_info_release(&info);
	client_free(c);
	assert_child_content(waiter);
}

static void an_older_client_is_served_by_a_newer_service(void **state)
{
	struct fixture *x = *state;
	struct error err;
	int pid = fixture_service_pid(x);
	struct client_options older = x->options;
	struct client *c = NULL;
	older.version = "0.0.1";
	assert_ok(client_open(&older, &c, &err));
	client_free(c);
	assert_int_equal(fixture_service_pid(x), pid);
}

static void a_stopped_service_is_gone_with_its_socket(void **state)
{
	struct fixture *x = *state;
	struct error err;
	int pid = fixture_service_pid(x);
	assert_ok(client_stop(x->client, &err));
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; kill(pid, 0) == 0 && now_ms() < end;)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(kill(pid, 0), -1);
	scoped_free char *socket = xformat("%s/service/socket", x->store);
	assert_int_equal(access(socket, F_OK), -1);
	assert_ok(client_stop(x->client, &err)); /* there is none: fine */
}

static void a_service_that_nobody_needs_ends_by_itself(void **state)
{
	struct fixture *x = *state;
	struct error err;
	pid_t pid = fork();
	if (pid == 0) {
		execl(x->options.service, "ggfs", "service", "--store", x->store, "--idle", "100",
		      (char *)NULL);
		_exit(127);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	x->options.never_start = true;
	assert_error(client_open(&x->options, &x->client, &err), -ECONNREFUSED);
	x->options.never_start = false;
}

static void a_second_service_of_one_store_gives_up(void **state)
{
	struct fixture *x = *state;
	int pid = fixture_service_pid(x);
	pid_t second = fork();
	if (second == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		execl(x->options.service, "ggfs", "service", "--store", x->store, (char *)NULL);
		_exit(127);
	}
	int status;
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(fixture_service_pid(x), pid);
}

static void a_store_the_service_refuses_is_told_to_who_started_it(void **state)
{
	struct fixture *x = *state;
	struct error err;
	assert_ok(make_dirs_at(AT_FDCWD, x->store, 0700, &err));
	scoped_free char *format = xformat("%s/format", x->store);
	assert_ok(replace_file_at(AT_FDCWD, format, "ggfs-store 99\n", 14, 0644, &err));
	assert_error(client_open(&x->options, &x->client, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "newer"));
}

static bool link_leads_to(int pid, const char *name, const char *target)
{
	char found[PATH_MAX];
	scoped_free char *path = xformat("/proc/%d/%s", pid, name);
	ssize_t len = readlink(path, found, sizeof(found) - 1);
	if (len < 0)
		return false;
	found[len] = '\0';
	return strcmp(found, target) == 0;
}

static void a_service_keeps_nothing_of_who_started_it(void **state)
{
	struct fixture *x = *state;
	int ends[2];
	scoped_free char *stand_ins = xformat("%s/stand-ins", x->top);
	scoped_free char *path = xformat("%s:%s", stand_ins, getenv("PATH"));
	setenv("PATH", path, 1);
	setenv("GGFS_STUBS", stand_ins, 1);
	setenv("MAKEFLAGS", "-j8 --jobserver-auth=3,4", 1);
	assert_int_equal(pipe(ends), 0); /* inheritable, as a jobserver's is */
	fixture_connect(x);
	unsetenv("GGFS_STUBS");
	unsetenv("MAKEFLAGS");
	int pid = fixture_service_pid(x);
	assert_true(link_leads_to(pid, "cwd", "/"));
	for (int fd = 0; fd < 3; fd++) {
		scoped_free char *name = xformat("fd/%d", fd);
		assert_true(link_leads_to(pid, name, "/dev/null"));
	}
	close(ends[1]);
	char byte;
	assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody else holds the other end */
	close(ends[0]);
	scoped_buf struct buf environment = BUF_INIT;
	struct error err;
	scoped_free char *file = xformat("/proc/%d/environ", pid);
	assert_ok(read_file_at(AT_FDCWD, file, &environment, 1 << 20, &err));
	assert_null(memmem(environment.data, environment.len, "/stand-ins:", 11));
	assert_null(memmem(environment.data, environment.len, "MAKEFLAGS", 9));
	assert_null(memmem(environment.data, environment.len, "GGFS_STUBS", 10));
}

#define LIFE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define BIRTH_TEST(name)                                                                           \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_without, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIRTH_TEST(nobody_runs_until_somebody_asks),
		BIRTH_TEST(twenty_that_start_it_at_once_share_one),
		LIFE_TEST(a_service_killed_in_a_force_is_not_noticed_by_who_waits),
		LIFE_TEST(a_newer_client_replaces_the_service_and_who_waits_goes_on),
		LIFE_TEST(an_older_client_is_served_by_a_newer_service),
		LIFE_TEST(a_stopped_service_is_gone_with_its_socket),
		BIRTH_TEST(a_service_that_nobody_needs_ends_by_itself),
		LIFE_TEST(a_second_service_of_one_store_gives_up),
		BIRTH_TEST(a_store_the_service_refuses_is_told_to_who_started_it),
		BIRTH_TEST(a_service_keeps_nothing_of_who_started_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
