#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/net.h"
#include "http_server.h"

enum { THREADS = 8, CALLS_EACH = 25 };

struct caller {
	struct net *net;
	const char *url;
	unsigned good;
};

static void *call_repeatedly(void *arg)
{
	struct caller *c = arg;
	struct http_request request = { .method = "GET", .url = c->url };
	for (int i = 0; i < CALLS_EACH; i++) {
		struct http_response r;
		net_call(c->net, &request, &r);
		c->good += r.code == 0 && r.status == 200 && r.body.len == 2 &&
		           memcmp(r.body.data, "ok", 2) == 0;
		http_response_release(&r);
	}
	return NULL;
}

static void calls_of_several_threads_each_get_their_answer(void **state)
{
	(void)state;
	struct error err;
	struct http_options options = { .connections_max = THREADS };
	struct net *net;
	struct server *s = server_start();
	scoped_free char *url = server_url(s, "/ok");
	pthread_t threads[THREADS];
	struct caller callers[THREADS];
	assert_ok(net_new(&options, &net, &err));
	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){ .net = net, .url = url };
		assert_int_equal(pthread_create(&threads[i], NULL, call_repeatedly, &callers[i]),
		                 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(callers[i].good, CALLS_EACH);
	}
	assert_int_equal(server_requests(s), THREADS * CALLS_EACH);
	assert_true(server_connections(s) <= THREADS);
	net_free(net);
	server_stop(s);
}

static void a_call_that_is_none_is_refused(void **state)
{
	(void)state;
	struct error err;
	struct http_options options = { .connections_max = 4 };
	struct net *net;
	struct http_response r;
	assert_ok(net_new(&options, &net, &err));
	struct http_request request = { .method = "GET", .url = "gopher://127.0.0.1/" };
	assert_int_equal(net_call(net, &request, &r), -EINVAL);
	assert_non_null(r.reason);
	http_response_release(&r);
	net_free(net);
}

struct late {
	struct net *net;
	const char *url;
	atomic_uint begun, ended;
};

static void late_done(void *arg, struct http_response *r)
{
	struct late *late = arg;
	assert_int_equal(r->code, -ECANCELED);
	atomic_fetch_add(&late->ended, 1);
}

static void begin_late(void *arg)
{
	struct late *late = arg;
	struct error err;
	struct http_request request = {
		.method = "GET", .url = late->url, .arg = late, .done = late_done
	};
	assert_ok(http_start(net_http(late->net), &request, NULL, &err));
	atomic_fetch_add(&late->begun, 1);
}

static void freeing_runs_what_was_posted_and_ends_what_is_under_way(void **state)
{
	(void)state;
	struct error err;
	struct http_options options = { .connections_max = 64 };
	struct late late = { 0 };
	struct server *s = server_start();
	scoped_free char *url = server_url(s, "/hold");
	late.url = url;
	assert_ok(net_new(&options, &late.net, &err));
	for (int i = 0; i < 50; i++)
		net_post(late.net, begin_late, &late);
	net_free(late.net);
	assert_int_equal(late.begun, 50);
	assert_int_equal(late.ended, 50);
	server_stop(s);
}

static int sink(void *arg, const void *bytes, size_t len)
{
	buf_add(arg, bytes, len);
	return 0;
}

static ssize_t source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	(void)arg;
	memset(bytes, 'a' + (int)(offset % 2), len);
	return (ssize_t)len;
}

static void sinks_and_sources_of_a_call_get_their_own_argument(void **state)
{
	(void)state;
	struct error err;
	struct http_options options = { .connections_max = 4 };
	struct net *net;
	struct http_response r;
	scoped_buf struct buf b = BUF_INIT;
	struct server *s = server_start();
	scoped_free char *url = server_url(s, "/echo");
	assert_ok(net_new(&options, &net, &err));
	struct http_request request = { .method = "PUT",
		                        .url = url,
		                        .sink = sink,
		                        .source = source,
		                        .body_len = 1000,
		                        .arg = &b };
	assert_int_equal(net_call(net, &request, &r), 0);
	assert_int_equal(b.len, 1000);
	assert_int_equal(r.sent_bytes, 1000);
	assert_int_equal(r.received_bytes, 1000);
	http_response_release(&r);
	net_free(net);
	server_stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_of_several_threads_each_get_their_answer),
		cmocka_unit_test(a_call_that_is_none_is_refused),
		cmocka_unit_test(freeing_runs_what_was_posted_and_ends_what_is_under_way),
		cmocka_unit_test(sinks_and_sources_of_a_call_get_their_own_argument),
	};
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
