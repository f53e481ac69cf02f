#include "tests/contract/service/fixture.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/service/messages.h"
#include "engine/service/start.h"

int fixture_set_up_without(void **state)
{
	struct fixture *x = xcalloc(1, sizeof(*x));
	x->top = test_directory();
	x->store = xformat("%s/store", x->top);
	x->options = (struct client_options){ .store = x->store,
		                              .service = getenv("GGFS_TEST_SERVICE") };
	*state = x;
	return 0;
}

void fixture_connect(struct fixture *x)
{
	struct error err;
	assert_ok(client_open(&x->options, &x->client, &err));
	scoped_fd int fd = open(getenv("GGFS_TEST_FUNCTION"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	x->function = (struct ref){ .kind = REF_BLOB };
	assert_ok(client_put_fd(x->client, fd, &x->function.digest, &x->function.size_bytes, &err));
}

int fixture_set_up(void **state)
{
	int r = fixture_set_up_without(state);
	fixture_connect(*state);
	return r;
}

int fixture_tear_down(void **state)
{
	struct fixture *x = *state;
	struct client_options options = x->options;
	struct client *c = NULL;
	client_free(x->client);
	options.never_start = true;
	if (client_open(&options, &c, NULL) == 0)
		client_stop(c, NULL);
	client_free(c);
	free(x->store);
	test_directory_remove(x->top);
	free(x);
	return 0;
}

void fixture_greet(struct conn *c)
{
	struct error err;
	char version[] = "0", store[] = "";
	struct message_hello hello = { PROTOCOL_VERSION, 0, version, store };
	scoped_buf struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b, MESSAGE_HELLO, 1);
	message_hello_encode(&b, &hello);
	wire_end(&b, mark);
	struct wire_header h;
	const char *payload;
	size_t len;
	assert_ok(start_ask(c, &b, START_WAIT_MS, &h, &payload, &len, &err));
	assert_int_equal(h.type, MESSAGE_ANSWER);
}

static struct ref put_thunk(struct fixture *x, struct thunk *t)
{
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	struct ref ref = { .kind = REF_THUNK, .output = xstrdup("out") };
	t->program = xstrdup("f");
	manifest_add_file(&t->inputs, "f", 0755, &x->function);
	thunk_add_output(t, OUTPUT_FILE, "out");
	assert_ok(thunk_finish(t, &err));
	thunk_encode(t, &text);
	assert_ok(client_put_bytes(x->client, text.data, text.len, &ref.digest, &err));
	return ref;
}

struct ref fixture_slow(struct fixture *x, unsigned ms, const char *text)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	strv_add(&t.args, "f");
	strv_add(&t.args, "slow");
	strv_add_format(&t.args, "%u", ms);
	strv_add(&t.args, "out");
	strv_add(&t.args, text);
	return put_thunk(x, &t);
}

struct ref fixture_failing(struct fixture *x, const char *message)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	strv_add(&t.args, "f");
	strv_add(&t.args, "fail");
	strv_add(&t.args, message);
	return put_thunk(x, &t);
}

int fixture_service_pid(struct fixture *x)
{
	struct error err;
	struct client_service_info info = { 0 };
	assert_ok(client_info(x->client, &info, &err));
	int pid = info.pid;
	client_service_info_release(&info);
	return pid;
}

void fixture_wait_running(struct fixture *x, unsigned count)
{
	struct error err;
	struct client *c = NULL;
	uint64_t running = UINT64_MAX;
	assert_ok(client_open(&x->options, &c, &err));
	for (int64_t end = now_ms() + FIXTURE_WAIT_MS; running != count && now_ms() < end;) {
		struct client_service_info info = { 0 };
		assert_ok(client_info(c, &info, &err));
		running = info.counts.running;
		client_service_info_release(&info);
		if (running != count)
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	client_free(c);
	assert_int_equal(running, count);
}

void fixture_assert_blob(struct fixture *x, const struct ref *ref, const char *text)
{
	struct error err;
	scoped_buf struct buf bytes = BUF_INIT;
	assert_int_equal(ref->kind, REF_BLOB);
	scoped_fd int fd = client_get(x->client, &ref->digest, &err);
	assert_true(fd >= 0);
	assert_ok(read_all(fd, &bytes, 1 << 20));
	assert_string_equal(bytes.data, text);
}
