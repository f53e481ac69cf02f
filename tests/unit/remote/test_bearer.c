/* The token that a worker is asked with, and what the request says besides. */
#include <string.h>

#include "common/io.h"
#include "engine/remote/bearer.h"
#include "common/base64.h"
#include "engine/remote/wire_impl.h"
#include "tests/unit/remote/scene.h"

/* --- a worker that knows one token -------------------------------------------------------------
 */

struct guard {
	const char *wanted; /* the token; others are answered 401 */
	const char *file;   /* where the first one refused makes it be put, unseen; NULL: nowhere */
	char *last;         /* request's head */
};

static bool says(const char *head, const char *line)
{
	scoped_free char *whole = xformat("\r\n%s", line);
	const char *at = strstr(head, whole);
	return at && (!at[strlen(whole)] || at[strlen(whole)] == '\r');
}

/* In place, and with the old time: nobody sees from outside that it was changed. */
static void change_unseen(const char *path, const char *text)
{
	struct stat st;
	scoped_file FILE *f = fopen(path, "r+");
	assert_int_equal(stat(path, &st), 0);
	assert_true(f && fputs(text, f) >= 0 && fflush(f) == 0);
	const struct timespec times[] = { st.st_atim, st.st_mtim };
	assert_int_equal(futimens(fileno(f), times), 0);
}

static void guard(void *arg, unsigned number, const struct remote_request *request,
                  struct fake_act *act)
{
	struct guard *g = arg;
	scoped_free char *line = xformat("Authorization: Bearer %s", g->wanted);
	(void)number, (void)request;
	free(g->last);
	g->last = xstrdup(act->head);
	if (says(act->head, line))
		return;
	fake_act_error(act, 401, "Unauthorized", "no");
	if (g->file)
		change_unseen(g->file, g->wanted);
}

static void run_done(struct scene *s, const char *name)
{
	struct task t;
	task_init(&t, name);
	task_run(s, &t);
	expect_done(s, &t);
	task_release(&t);
}

static void run_failed(struct scene *s, const char *name, enum outcome outcome, const char *words)
{
	struct task t;
	task_init(&t, name);
	task_run(s, &t);
	expect_failed(&t, outcome, words);
	task_release(&t);
}

/* --- files -------------------------------------------------------------------------------------
 */

struct token_file {
	char *directory, *path;
};

static void put_token(const struct token_file *f, const char *text)
{
	scoped_free char *path = xformat("%s.new", f->path);
	scoped_file FILE *file = fopen(path, "w");
	assert_true(file && fputs(text, file) >= 0 && fflush(file) == 0);
	assert_int_equal(rename(path, f->path), 0);
}

static void begin_with_file(struct scene *s, struct token_file *f, const char *text,
                            struct guard *g)
{
	f->directory = test_directory();
	f->path = xformat("%s/token", f->directory);
	put_token(f, text);
	struct http_engine_options options = { .token_file = f->path };
	scene_begin_http(s, &options, guard, g);
}

static void end_with_file(struct scene *s, struct token_file *f, struct guard *g)
{
	scene_end(s);
	free(g->last);
	free(f->path);
	test_directory_remove(f->directory);
}

static void the_token_is_sent_and_how_long_we_wait(void **state)
{
	struct scene s;
	struct token_file f;
	struct guard g = { .wanted = "one" };
	(void)state;
	begin_with_file(&s, &f, "one\n", &g);
	run_done(&s, "a");
	/* The thunk's hour, and two minutes for the way. */
	assert_true(says(g.last, "Ggfs-Timeout-Ms: 3720000"));
	end_with_file(&s, &f, &g);
}

static void a_file_that_changed_is_read_anew(void **state)
{
	struct scene s;
	struct token_file f;
	struct guard g = { .wanted = "one" };
	(void)state;
	begin_with_file(&s, &f, "one", &g);
	run_done(&s, "a");
	put_token(&f, "two");
	g.wanted = "two";
	run_done(&s, "b");
	assert_int_equal(fake_worker_requests(s.worker), 2);
	end_with_file(&s, &f, &g);
}

static void a_token_that_is_refused_is_read_anew(void **state)
{
	struct scene s;
	struct token_file f;
	struct guard g = { .wanted = "two" };
	(void)state;
	begin_with_file(&s, &f, "one", &g);
	g.file = f.path;
	run_done(&s, "a");
	assert_int_equal(fake_worker_requests(s.worker), 2);
	end_with_file(&s, &f, &g);
}

static void a_token_that_is_refused_and_stays_is_not_sent_again(void **state)
{
	struct scene s;
	struct token_file f;
	struct guard g = { .wanted = "two" };
	(void)state;
	begin_with_file(&s, &f, "one", &g);
	run_failed(&s, "a", OUTCOME_DENIED, "401");
	assert_int_equal(fake_worker_requests(s.worker), 1);
	end_with_file(&s, &f, &g);
}

static void what_was_read_stays_while_the_file_is_none(void **state)
{
	static const char *const bad[] = { "", "two words", "\n\n" };
	struct scene s;
	struct token_file f;
	struct guard g = { .wanted = "one" };
	(void)state;
	begin_with_file(&s, &f, "one", &g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put_token(&f, bad[i]);
		run_done(&s, bad[i]);
	}
	assert_int_equal(unlink(f.path), 0);
	run_done(&s, "b");
	put_token(&f, "two");
	g.wanted = "two";
	run_done(&s, "c");
	end_with_file(&s, &f, &g);
}

static void what_is_no_token_is_refused_at_the_beginning(void **state)
{
	struct error err;
	struct net *net;
	struct bearer *b = NULL;
	char *directory = test_directory();
	scoped_free char *long_one = xmalloc(BEARER_BYTES_MAX + 2);
	scoped_free char *absent = xformat("%s/absent", directory);
	(void)state;
	assert_ok(net_new(&(struct http_options){ 0 }, &net, &err));
	memset(long_one, 'x', BEARER_BYTES_MAX + 1);
	long_one[BEARER_BYTES_MAX + 1] = '\0';
	const char *bad[] = { "", "a b", "a\nX-Other: b", "a\x7f", long_one };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_error(bearer_new(net, &(struct bearer_options){ .token = bad[i] }, &b, &err),
		             -EINVAL);
	assert_error(bearer_new(net, &(struct bearer_options){ .file = absent }, &b, &err),
	             -ENOENT);
	assert_error(bearer_new(net, &(struct bearer_options){ .file = directory }, &b, &err),
	             -EINVAL);
	assert_null(b);
	net_free(net);
	test_directory_remove(directory);
}

/* --- the metadata server -----------------------------------------------------------------------
 */

struct metadata {
	int64_t left_s;    /* of each token */
	int status;        /* 0: 200 */
	unsigned failures; /* so many answers have it */
	int64_t delay_ms;
	bool nonsense;
	char *last; /* token */
	char *head;
};

static void add_part(struct buf *b, const char *json)
{
	size_t from = b->len;
	base64_add(b, json, strlen(json));
	for (; from < b->len; from++)
		b->data[from] = b->data[from] == '+'   ? '-'
		                : b->data[from] == '/' ? '_'
		                                       : b->data[from];
	while (b->len && b->data[b->len - 1] == '=')
		b->data[--b->len] = '\0';
}

static void metadata(void *arg, unsigned number, const struct remote_request *request,
                     struct fake_act *act)
{
	struct metadata *m = arg;
	scoped_buf struct buf token = BUF_INIT;
	int64_t now = wall_ns() / 1000000000;
	(void)request;
	scoped_free char *claims =
	        xformat("{\"iss\":\"g\",\"sub\":\"%u\",\"aud\":\"a\",\"iat\":%lld,\"exp\":%lld}",
	                number, (long long)now, (long long)(now + m->left_s));
	add_part(&token, "{\"alg\":\"RS256\"}");
	buf_add_char(&token, '.');
	add_part(&token, claims);
	buf_add_str(&token, ".AAAA");
	buf_reset(&act->body);
	buf_add_str(&act->body, m->nonsense ? "<html>" : token.data);
	act->status = m->status && number < m->failures ? m->status : 200;
	act->delay_ms = m->delay_ms;
	free(m->last);
	free(m->head);
	m->last = buf_steal(&token, NULL);
	m->head = xstrdup(act->head);
}

static struct fake_worker *begin_with_metadata(struct scene *s, struct metadata *m,
                                               fake_act_fn *act, void *arg)
{
	struct fake_worker *server = fake_worker_new(metadata, m);
	const char *host = fake_worker_url(server) + strlen("http://");
	scoped_free char *name = xstrndup(host, strcspn(host, "/"));
	struct http_engine_options options = { .audience = "https://a.example/?b c" };
	assert_int_equal(setenv("GCE_METADATA_HOST", name, 1), 0);
	scene_begin_http(s, &options, act, arg);
	return server;
}

static void end_with_metadata(struct scene *s, struct fake_worker *server, struct metadata *m)
{
	scene_end(s);
	fake_worker_free(server);
	free(m->last);
	free(m->head);
}

/* Takes what the metadata server gave out last. */
static void newest_only(void *arg, unsigned number, const struct remote_request *request,
                        struct fake_act *act)
{
	const struct metadata *m = arg;
	struct guard g = { .wanted = m->last ? m->last : "" };
	guard(&g, number, request, act);
	free(g.last);
}

static void an_id_token_is_fetched_once_and_sent(void **state)
{
	struct scene s;
	struct metadata m = { .left_s = 3600 };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &m, newest_only, &m);
	run_done(&s, "a");
	run_done(&s, "b");
	assert_int_equal(fake_worker_requests(server), 1);
	assert_true(says(m.head, "Metadata-Flavor: Google"));
	assert_non_null(strstr(
	        m.head, "/identity?format=full&audience=https%3A%2F%2Fa.example%2F%3Fb%20c "));
	end_with_metadata(&s, server, &m);
}

static void a_token_that_ends_soon_is_fetched_again(void **state)
{
	struct scene s;
	struct metadata m = { .left_s = BEARER_REFRESH_BEFORE_S - 1 };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &m, newest_only, &m);
	run_done(&s, "a");
	run_done(&s, "b");
	assert_int_equal(fake_worker_requests(server), 2);
	end_with_metadata(&s, server, &m);
}

static void trouble_of_the_metadata_servers_passes(void **state)
{
	struct scene s;
	struct metadata m = { .left_s = 3600, .status = 503, .failures = 2 };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &m, newest_only, &m);
	run_done(&s, "a");
	assert_int_equal(fake_worker_requests(server), 3);
	assert_int_equal(fake_worker_requests(s.worker), 1);
	end_with_metadata(&s, server, &m);
}

static void no_account_and_nonsense_are_told(void **state)
{
	struct scene s;
	struct metadata none = { .left_s = 3600, .status = 404, .failures = UINT32_MAX };
	struct metadata nonsense = { .left_s = 3600, .nonsense = true };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &none, newest_only, &none);
	run_failed(&s, "a", OUTCOME_DENIED,
	           "Google's metadata server gives no ID token: status 404");
	assert_int_equal(fake_worker_requests(s.worker), 0);
	end_with_metadata(&s, server, &none);
	server = begin_with_metadata(&s, &nonsense, newest_only, &nonsense);
	run_failed(&s, "a", OUTCOME_DENIED,
	           "Google's metadata server: the token has not three parts");
	end_with_metadata(&s, server, &nonsense);
}

static void a_fresh_token_that_is_refused_is_not_fetched_again(void **state)
{
	struct scene s;
	struct metadata m = { .left_s = 3600 };
	struct guard g = { .wanted = "another" };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &m, guard, &g);
	run_failed(&s, "a", OUTCOME_DENIED, "401");
	assert_int_equal(fake_worker_requests(server), 1);
	end_with_metadata(&s, server, &m);
	free(g.last);
}

static bool is_asked(void *arg)
{
	return fake_worker_waiting(arg) > 0;
}

static void who_leaves_while_he_waits_is_not_called(void **state)
{
	struct scene s;
	struct task t;
	struct metadata m = { .left_s = 3600, .delay_ms = 600000 };
	(void)state;
	struct fake_worker *server = begin_with_metadata(&s, &m, newest_only, &m);
	task_init(&t, "a");
	task_start(&s, &t);
	assert_true(eventually(is_asked, server));
	s.engine->ops->free(s.engine);
	s.engine = NULL;
	task_wait(&t);
	task_release(&t);
	assert_int_equal(fake_worker_requests(s.worker), 0);
	end_with_metadata(&s, server, &m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_is_sent_and_how_long_we_wait),
		cmocka_unit_test(a_file_that_changed_is_read_anew),
		cmocka_unit_test(a_token_that_is_refused_is_read_anew),
		cmocka_unit_test(a_token_that_is_refused_and_stays_is_not_sent_again),
		cmocka_unit_test(what_was_read_stays_while_the_file_is_none),
		cmocka_unit_test(what_is_no_token_is_refused_at_the_beginning),
		cmocka_unit_test(an_id_token_is_fetched_once_and_sent),
		cmocka_unit_test(a_token_that_ends_soon_is_fetched_again),
		cmocka_unit_test(trouble_of_the_metadata_servers_passes),
		cmocka_unit_test(no_account_and_nonsense_are_told),
		cmocka_unit_test(a_fresh_token_that_is_refused_is_not_fetched_again),
		cmocka_unit_test(who_leaves_while_he_waits_is_not_called),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
