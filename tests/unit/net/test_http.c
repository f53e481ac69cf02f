#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/http.h"
#include "http_server.h"

enum { GIVE_UP_MS = 30000, MANY = 600, BODY = 300000 };

/* One test's client, and what its transfers came to. */
struct fixture {
	struct server *server;
	struct loop *loop;
	struct loop_timer *give_up;
	struct http *http;
	unsigned under_way, good, bad, canceled, fresh;
	int last_code;
	enum http_fault last_fault;
	char *last_reason;
	struct buf last_body;
	bool within_start;
	/* For sinks and sources. */
	struct http_transfer *transfer;
	uint64_t sunk, earliest_offset;
	unsigned rewinds, left;
};

static void on_give_up(void *arg)
{
	(void)arg;
	fail_msg("what should have ended the loop never happened");
}

static void set_up(struct fixture *f, unsigned connections_max)
{
	struct error err;
	struct http_options options = { .connections_max = connections_max };
	*f = (struct fixture){ .server = server_start() };
	assert_ok(loop_new(&f->loop, &err));
	f->give_up = loop_after(f->loop, GIVE_UP_MS, on_give_up, NULL);
	assert_ok(http_new(f->loop, &options, &f->http, &err));
}

static void tear_down(struct fixture *f)
{
	http_free(f->http);
	loop_cancel(f->give_up);
	loop_free(f->loop);
	server_stop(f->server);
	free(f->last_reason);
	buf_release(&f->last_body);
}

static void done(void *arg, struct http_response *r)
{
	struct fixture *f = arg;
	assert_false(f->within_start);
	f->under_way--;
	f->good += r->code == 0 && r->status == 200;
	f->bad += r->code < 0 && r->code != -ECANCELED;
	f->canceled += r->code == -ECANCELED;
	f->fresh += r->connected_anew;
	f->last_code = r->code;
	f->last_fault = r->fault;
	free(f->last_reason);
	f->last_reason = r->reason ? xstrdup(r->reason) : NULL;
	buf_release(&f->last_body);
	f->last_body = r->body;
	r->body = BUF_INIT;
	if (!f->under_way)
		loop_stop(f->loop);
}

static int start(struct fixture *f, struct http_request request, const char *path,
                 struct error *err)
{
	scoped_free char *url = server_url(f->server, path);
	request.url = url;
	request.method = request.method ? request.method : "GET";
	request.arg = f;
	request.done = request.done ? request.done : done;
	f->within_start = true;
	int r = http_start(f->http, &request, &f->transfer, err);
	f->within_start = false;
	f->under_way += r == 0;
	return r;
}

static void run(struct fixture *f)
{
	struct error err;
	assert_ok(loop_run(f->loop, &err));
}

static void one(struct fixture *f, struct http_request request, const char *path)
{
	struct error err;
	assert_ok(start(f, request, path, &err));
	run(f);
}

/* --- many --- */

static void hundreds_at_once_each_get_an_answer_and_their_connections_serve_again(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, MANY);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			assert_ok(start(&f, (struct http_request){ 0 }, "/ok", &err));
		run(&f);
	}
	assert_int_equal(f.good, 3 * MANY);
	assert_int_equal(f.fresh, server_connections(f.server));
	assert_true(f.fresh <= MANY);
	tear_down(&f);
}

static void more_than_there_may_be_is_eagain_until_one_has_ended(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 4);
	for (int i = 0; i < 4; i++)
		assert_ok(start(&f, (struct http_request){ 0 }, "/ok", &err));
	assert_error(start(&f, (struct http_request){ 0 }, "/ok", &err), -EAGAIN);
	run(&f);
	one(&f, (struct http_request){ 0 }, "/ok");
	assert_int_equal(f.good, 5);
	tear_down(&f);
}

static void done_and_start_next(void *arg, struct http_response *r)
{
	struct fixture *f = arg;
	struct error err;
	if (f->left) {
		f->left--;
		assert_ok(start(f, (struct http_request){ .done = done_and_start_next }, "/ok",
		                &err));
	}
	done(arg, r);
}

static void a_done_may_start_the_next_which_gets_the_same_connection(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 1);
	f.left = 9;
	one(&f, (struct http_request){ .done = done_and_start_next }, "/ok");
	assert_int_equal(f.good, 10);
	assert_int_equal(server_connections(f.server), 1);
	tear_down(&f);
}

/* Whether a descriptor is a connection to one of four servers. */
static bool is_client_end(const char *name, struct server *const servers[4])
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	if (getpeername(atoi(name), (struct sockaddr *)&peer, &len) < 0 ||
	    peer.sin_family != AF_INET)
		return false;
	for (int i = 0; i < 4; i++)
		if (ntohs(peer.sin_port) == server_port(servers[i]))
			return true;
	return false;
}

static void idle_connections_to_one_host_give_way_to_another(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 300);
	struct server *other = server_start();
	for (int round = 0; round < 4; round++) {
		struct server *mine = f.server;
		if (round % 2)
			f.server = other;
		for (int i = 0; i < 300; i++)
			assert_ok(start(&f, (struct http_request){ 0 }, "/ok", &err));
		run(&f);
		f.server = mine;
	}
	assert_int_equal(f.good, 1200);
	tear_down(&f);
	server_stop(other);
}

static void connections_idle_ones_included_are_never_more_than_allowed(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 5);
	struct server *others[4] = { f.server, server_start(), server_start(), server_start() };
	for (int i = 0; i < 12; i++) {
		f.server = others[i % 4];
		for (int j = 0; j < 2; j++)
			assert_ok(start(&f, (struct http_request){ 0 }, "/ok", &err));
		run(&f);
		unsigned descriptors = 0;
		DIR *open_ones = opendir("/proc/self/fd");
		for (struct dirent *e; (e = readdir(open_ones));)
			descriptors += is_client_end(e->d_name, others);
		closedir(open_ones);
		assert_in_range(descriptors, 1, 5);
	}
	f.server = others[0];
	assert_int_equal(f.good, 24);
	tear_down(&f);
	for (int i = 1; i < 4; i++)
		server_stop(others[i]);
}

/* --- ending --- */

static void freeing_the_client_ends_what_is_under_way_with_ecanceled_once_each(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 100);
	for (int i = 0; i < 50; i++)
		assert_ok(start(&f, (struct http_request){ 0 }, "/hold", &err));
	http_free(f.http);
	assert_int_equal(f.canceled, 50);
	f.http = NULL;
	tear_down(&f);
}

static void a_cancelled_transfer_is_not_told_and_leaves_room(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 20);
	struct http_transfer *held[20];
	/* More than look up the host's name at once: some have not begun. */
	for (int i = 0; i < 20; i++) {
		assert_ok(start(&f, (struct http_request){ 0 }, "/hold", &err));
		held[i] = f.transfer;
	}
	for (int i = 19; i >= 0; i -= 2)
		http_cancel(held[i]);
	for (int i = 0; i < 20; i += 2)
		http_cancel(held[i]);
	f.under_way = 0;
	one(&f, (struct http_request){ 0 }, "/ok");
	assert_int_equal(f.good, 1);
	assert_int_equal(f.canceled, 0);
	tear_down(&f);
}

static int sink_and_cancel(void *arg, const void *bytes, size_t len)
{
	struct fixture *f = arg;
	(void)bytes;
	f->sunk += len;
	http_cancel(f->transfer);
	f->under_way--;
	loop_stop(f->loop);
	return 0;
}

static void a_sink_may_cancel_its_own_transfer(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	one(&f, (struct http_request){ .sink = sink_and_cancel }, "/bytes/1000000");
	assert_true(f.sunk > 0 && f.sunk < 1000000);
	one(&f, (struct http_request){ 0 }, "/ok");
	assert_int_equal(f.good, 1);
	tear_down(&f);
}

static void every_step_of_a_transfer_may_be_its_last(void **state)
{
	(void)state;
	struct error err;
	/* The loop is stopped after so many turns, and the client freed at whatever is under way.
	 */
	for (int turns = 0; turns < 12; turns++) {
		struct fixture f;
		set_up(&f, 40);
		for (int i = 0; i < 20; i++)
			assert_ok(start(&f, (struct http_request){ 0 }, "/bytes/200000", &err));
		for (int i = 0; i < turns && f.under_way; i++) {
			loop_post(f.loop, (loop_fn *)loop_stop, f.loop);
			run(&f);
		}
		http_free(f.http);
		f.http = NULL;
		assert_int_equal(f.good + f.canceled, 20);
		tear_down(&f);
	}
}

/* --- bodies --- */

static int count_sink(void *arg, const void *bytes, size_t len)
{
	struct fixture *f = arg;
	(void)bytes;
	f->sunk += len;
	return f->left && f->sunk > f->left ? -ENOSPC : 0;
}

static void a_sink_gets_all_bytes_and_its_fault_ends_the_transfer(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	one(&f, (struct http_request){ .sink = count_sink }, "/bytes/3000000");
	assert_int_equal(f.sunk, 3000000);
	assert_int_equal(f.last_body.len, 0);
	f.sunk = 0;
	f.left = 100000;
	one(&f, (struct http_request){ .sink = count_sink }, "/bytes/3000000");
	assert_int_equal(f.last_code, -ENOSPC);
	assert_int_equal(f.last_fault, HTTP_FAULT_SINK);
	assert_non_null(f.last_reason);
	tear_down(&f);
}

static ssize_t pattern_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	struct fixture *f = arg;
	unsigned char *to = bytes;
	f->rewinds += offset == 0;
	if (f->left && offset >= f->left)
		return f->left % 2 ? -EBADMSG : 0;
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)((offset + i) * 7 >> 3);
	return (ssize_t)len;
}

static void a_source_is_sent_whole(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	struct http_request put = { .method = "PUT", .source = pattern_source, .body_len = BODY };
	one(&f, put, "/echo");
	assert_int_equal(f.last_body.len, BODY);
	for (size_t i = 0; i < BODY; i++)
		assert_int_equal((unsigned char)f.last_body.data[i], (unsigned char)(i * 7 >> 3));
	tear_down(&f);
}

static void a_source_that_fails_or_ends_early_ends_the_transfer(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	struct http_request put = { .method = "PUT", .source = pattern_source, .body_len = BODY };
	f.left = 100001;
	one(&f, put, "/echo");
	assert_int_equal(f.last_code, -EBADMSG);
	f.left = 100000;
	one(&f, put, "/echo");
	assert_int_equal(f.last_code, -EIO);
	assert_int_equal(f.last_fault, HTTP_FAULT_SINK);
	tear_down(&f);
}

static void a_body_is_sent_anew_when_a_kept_connection_proves_lost(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	one(&f, (struct http_request){ 0 }, "/cut-second");
	struct http_request put = { .method = "PUT", .source = pattern_source, .body_len = BODY };
	one(&f, put, "/cut-second");
	assert_int_equal(f.good, 2);
	assert_int_equal(f.rewinds, 2);
	assert_int_equal(server_requests(f.server), 3);
	tear_down(&f);
}

static void a_fresh_connection_that_is_cut_is_a_fault(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, 4);
	one(&f, (struct http_request){ .method = "POST", .body = "x", .body_len = 1 }, "/cut");
	assert_int_equal(f.last_code, -ECONNRESET);
	assert_int_equal(f.last_fault, HTTP_FAULT_CUT);
	assert_int_equal(server_requests(f.server), 1);
	tear_down(&f);
}

static unsigned threads(void)
{
	unsigned count = 0;
	DIR *tasks = opendir("/proc/self/task");
	for (struct dirent *e; (e = readdir(tasks));)
		count += e->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void an_unknown_name_is_told_to_all_who_wait_for_it(void **state)
{
	(void)state;
	struct fixture f;
	struct error err;
	set_up(&f, 100);
	struct http_request request = {
		.method = "GET", .url = "http://no-such-host.invalid/", .arg = &f, .done = done
	};
	for (int i = 0; i < 100; i++) {
		assert_ok(http_start(f.http, &request, NULL, &err));
		f.under_way++;
	}
	/* libcurl has a thread look a name up for each transfer that it is given. */
	loop_post(f.loop, (loop_fn *)loop_stop, f.loop);
	run(&f);
	/* And the two of this test, and one of a sanitizer. */
	assert_in_range(threads(), 2, 3 + 8);
	run(&f);
	assert_int_equal(f.bad, 100);
	assert_int_equal(f.last_fault, HTTP_FAULT_RESOLVE);
	assert_int_equal(f.last_code, -EHOSTUNREACH);
	tear_down(&f);
}

/* --- descriptors --- */

static void the_limit_of_descriptors_is_raised_or_bounds_the_connections(void **state)
{
	(void)state;
	struct rlimit before, now;
	struct error err;
	struct loop *loop;
	struct http *http = NULL;
	struct http_options options = { .connections_max = 2000 };
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(before.rlim_max >= 2256);
	struct rlimit low = { .rlim_cur = 512, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_ok(loop_new(&loop, &err));
	assert_ok(http_new(loop, &options, &http, &err));
	assert_int_equal(http_connections_max(http), 2000);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_true(now.rlim_cur >= 2000);
	http_free(http);
	loop_free(loop);
}

static void too_few_descriptors_are_emfile(void **state)
{
	(void)state;
	struct error err;
	struct loop *loop;
	struct http *http = NULL;
	struct http_options options = { 0 };
	assert_ok(loop_new(&loop, &err));
	struct rlimit few = { .rlim_cur = 400, .rlim_max = 400 };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_ok(http_new(loop, &options, &http, &err));
	assert_int_equal(http_connections_max(http), 200);
	http_free(http);
	few = (struct rlimit){ .rlim_cur = 100, .rlim_max = 100 };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_error(http_new(loop, &options, &http, &err), -EMFILE);
	assert_non_null(strstr(err.text, "100"));
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		        hundreds_at_once_each_get_an_answer_and_their_connections_serve_again),
		cmocka_unit_test(more_than_there_may_be_is_eagain_until_one_has_ended),
		cmocka_unit_test(a_done_may_start_the_next_which_gets_the_same_connection),
		cmocka_unit_test(idle_connections_to_one_host_give_way_to_another),
		cmocka_unit_test(connections_idle_ones_included_are_never_more_than_allowed),
		cmocka_unit_test(
		        freeing_the_client_ends_what_is_under_way_with_ecanceled_once_each),
		cmocka_unit_test(a_cancelled_transfer_is_not_told_and_leaves_room),
		cmocka_unit_test(a_sink_may_cancel_its_own_transfer),
		cmocka_unit_test(every_step_of_a_transfer_may_be_its_last),
		cmocka_unit_test(a_sink_gets_all_bytes_and_its_fault_ends_the_transfer),
		cmocka_unit_test(a_source_is_sent_whole),
		cmocka_unit_test(a_source_that_fails_or_ends_early_ends_the_transfer),
		cmocka_unit_test(a_body_is_sent_anew_when_a_kept_connection_proves_lost),
		cmocka_unit_test(a_fresh_connection_that_is_cut_is_a_fault),
		cmocka_unit_test(an_unknown_name_is_told_to_all_who_wait_for_it),
		cmocka_unit_test(the_limit_of_descriptors_is_raised_or_bounds_the_connections),
		/* Last: a hard limit cannot be raised again. */
		cmocka_unit_test(too_few_descriptors_are_emfile),
	};
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
