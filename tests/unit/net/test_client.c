#include "tests/lib/test.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "common/aws/client.h"
#include "http_server.h"

enum { CALLS = 40, GIVE_UP_MS = 20000 };

static char *const static_environ[] = {
	(char[]){ "AWS_ACCESS_KEY_ID=AKIDEXAMPLE" },
	(char[]){ "AWS_SECRET_ACCESS_KEY=secret" },
	(char[]){ "AWS_SESSION_TOKEN=token+/=" },
	(char[]){ "HOME=/nonexistent" },
	NULL,
};

struct fixture {
	struct server *server;
	struct aws_config *config;
	struct net *net;
	struct aws *aws;
	char *host;
	/* Of what is started on the net's thread. */
	const char *path;
	struct aws_call *calls[CALLS];
	atomic_uint begun, told, canceled;
};

static void set_up(struct fixture *f, char *const *environment)
{
	struct error err;
	struct http_options http = { .connections_max = 2 * CALLS };
	struct aws_config_options options = { .environ = (char **)(uintptr_t)environment };
	if (!f->server)
		f->server = server_start();
	scoped_free char *url = server_url(f->server, "");
	f->host = xstrdup(strstr(url, "://") + 3);
	assert_ok(aws_config_load(&options, &f->config, &err));
	assert_ok(net_new(&http, &f->net, &err));
	assert_ok(aws_new(f->net, f->config, &f->aws, &err));
}

static void tear_down(struct fixture *f)
{
	aws_free(f->aws);
	net_free(f->net);
	aws_config_free(f->config);
	server_stop(f->server);
	free(f->host);
}

static struct aws_request request_to(const struct fixture *f, const char *service, const char *path)
{
	struct aws_request r = { .service = service,
		                 .region = "eu-west-1",
		                 .scheme = "http",
		                 .host = f->host,
		                 .path = path };
	r.http.method = "GET";
	return r;
}

/* The lines of a head after its first, as a server has them. */
static void split_head(char *head, struct strv *lines)
{
	for (char *at = strstr(head, "\r\n"); at && at[2] != '\r'; at = strstr(at + 2, "\r\n")) {
		char *end = strstr(at + 2, "\r\n");
		strv_add_take(lines, xstrndup(at + 2, (size_t)(end - at) - 2));
	}
}

static void check_signature(struct fixture *f, struct aws_request *r, bool s3)
{
	struct error err;
	struct http_response response;
	assert_int_equal(aws_call(f->aws, r, &response), 0);
	assert_int_equal(response.status, 200);
	scoped_strv struct strv lines = STRV_INIT;
	split_head(response.body.data, &lines);
	char method[16], target[1024];
	assert_int_equal(sscanf(response.body.data, "%15s %1023s", method, target), 2);
	char *query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	struct sha256_hex hash = sha256_hex(r->http.body ? r->http.body : "", r->http.body_len);
	struct aws_keys keys = { .access_key = (char[]){ "AKIDEXAMPLE" },
		                 .secret_key = (char[]){ "secret" },
		                 .session_token = (char[]){ "token+/=" } };
	struct sigv4_request came = { .method = method,
		                      .path = target,
		                      .query = query ? query : "",
		                      .headers = (const char *const *)lines.items,
		                      .header_count = lines.count,
		                      .payload_sha256 = hash.text,
		                      .service = r->service,
		                      .region = "eu-west-1",
		                      .s3 = s3 };
	assert_ok(sigv4_verify(&keys, &came, time(NULL), &err));
	http_response_release(&response);
}

static void what_is_sent_is_what_was_signed(void **state)
{
	(void)state;
	static const char *const headers[] = { "X-Amz-Meta-B: two  spaces", "x-amz-meta-a:",
		                               "Content-Type: text/plain; charset=x",
		                               "Range: bytes=0-1", "x-amz-meta-c:  \t padded  " };
	static const char *const paths[] = { "/head", "/a//head/../x", "/%41%2F%20/head",
		                             "/$LATEST:/head", "/\"{}|^`/head" };
	static const char *const methods[] = { "GET", "PUT", "POST", "DELETE" };
	struct fixture f = { 0 };
	set_up(&f, static_environ);
	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < 4; j++) {
			struct aws_request r = request_to(&f, i % 2 ? "s3" : "lambda", paths[i]);
			r.query = j % 2 ? "b=%2F&a=&c&a=1" : NULL;
			r.http.method = methods[j];
			r.http.headers = headers;
			r.http.header_count = 5;
			if (j == 1 || j == 2) {
				r.http.body = "some bytes";
				r.http.body_len = 10;
			}
			check_signature(&f, &r, i % 2);
		}
	}
	tear_down(&f);
}

static void the_schemes_own_port_is_not_in_the_signed_host(void **state)
{
	(void)state;
	/* Through a proxy, which gets the request that port 80 would. */
	struct fixture f = { .server = server_start() };
	scoped_free char *url = server_url(f.server, "");
	setenv("http_proxy", url, 1);
	set_up(&f, static_environ);
	struct http_response response;
	struct aws_request r = request_to(&f, "s3", "/head");
	r.host = "far.invalid:80";
	assert_int_equal(aws_call(f.aws, &r, &response), 0);
	assert_non_null(strstr(response.body.data, "\r\nHost: far.invalid\r\n"));
	http_response_release(&response);
	unsetenv("http_proxy");
	tear_down(&f);
}

/* --- ending --- */

static void done(void *arg, struct http_response *r)
{
	struct fixture *f = arg;
	atomic_fetch_add(&f->told, 1);
	atomic_fetch_add(&f->canceled, r->code == -ECANCELED);
}

static void begin_all(void *arg)
{
	struct fixture *f = arg;
	struct error err;
	struct aws_request r = request_to(f, "s3", f->path);
	r.http.arg = f;
	r.http.done = done;
	for (int i = 0; i < CALLS; i++)
		assert_ok(aws_start(f->aws, &r, &f->calls[i], &err));
	atomic_store(&f->begun, 1);
}

static void cancel_all(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < CALLS; i++)
		aws_cancel(f->calls[i]);
	atomic_store(&f->begun, 2);
}

static void await(struct fixture *f, unsigned begun)
{
	for (int64_t end = now_ms() + GIVE_UP_MS; atomic_load(&f->begun) < begun;) {
		assert_true(now_ms() < end);
		usleep(1000);
	}
}

/* An environment whose keys never come. */
static void set_up_waiting(struct fixture *f, char *variables[3])
{
	f->server = server_start();
	scoped_free char *url = server_url(f->server, "/hold");
	variables[0] = xformat("AWS_CONTAINER_CREDENTIALS_FULL_URI=%s", url);
	variables[1] = xstrdup("HOME=/nonexistent");
	variables[2] = NULL;
	set_up(f, variables);
}

static void calls_that_wait_for_keys_or_for_an_answer_may_be_cancelled(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 2; waiting++) {
		char *variables[3] = { NULL };
		struct fixture f = { .path = "/hold" };
		if (waiting)
			set_up_waiting(&f, variables);
		else
			set_up(&f, static_environ);
		net_post(f.net, begin_all, &f);
		net_post(f.net, cancel_all, &f);
		await(&f, 2);
		tear_down(&f);
		assert_int_equal(f.told, 0);
		free(variables[0]);
		free(variables[1]);
	}
}

static void freeing_the_client_ends_calls_with_ecanceled_once_each(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 2; waiting++) {
		char *variables[3] = { NULL };
		struct fixture f = { .path = "/hold" };
		if (waiting)
			set_up_waiting(&f, variables);
		else
			set_up(&f, static_environ);
		net_post(f.net, begin_all, &f);
		await(&f, 1);
		tear_down(&f);
		assert_int_equal(f.told, CALLS);
		assert_int_equal(f.canceled, CALLS);
		free(variables[0]);
		free(variables[1]);
	}
}

static void without_credentials_calls_end_with_eacces_and_why(void **state)
{
	(void)state;
	char *environment[] = { (char[]){ "HOME=/nonexistent" },
		                (char[]){ "AWS_EC2_METADATA_DISABLED=true" }, NULL };
	struct fixture f = { 0 };
	struct error err;
	struct http_response response;
	char *text = NULL;
	set_up(&f, environment);
	struct aws_request r = request_to(&f, "s3", "/ok");
	assert_int_equal(aws_call(f.aws, &r, &response), -EACCES);
	assert_non_null(strstr(response.reason, "no AWS credentials"));
	http_response_release(&response);
	assert_error(aws_describe_credentials(f.aws, &text, &err), -EACCES);
	assert_null(text);
	assert_int_equal(server_requests(f.server), 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_is_what_was_signed),
		cmocka_unit_test(the_schemes_own_port_is_not_in_the_signed_host),
		cmocka_unit_test(calls_that_wait_for_keys_or_for_an_answer_may_be_cancelled),
		cmocka_unit_test(freeing_the_client_ends_calls_with_ecanceled_once_each),
		cmocka_unit_test(without_credentials_calls_end_with_eacces_and_why),
	};
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
