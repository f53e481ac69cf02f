/* A log that is long: it is read while the service goes on. */
#include <string.h>

#include "engine/service/messages.h"
#include "engine/service/start.h"
#include "objstore/index.h"
#include "tests/contract/service/fixture.h"

enum { RECORDS = 700, TAIL = FAILURE_STDERR_MAX }; /* more than an answer holds */

/* Into the index of a store that no service has yet. */
static void fill_log(struct fixture *x)
{
	struct error err;
	struct store *store = NULL;
	struct index *index = NULL;
	bool rebuilt;
	scoped_free char *tail = xcalloc(1, TAIL + 1);
	memset(tail, 'w', TAIL);
	assert_ok(make_dirs_at(AT_FDCWD, x->store, 0700, &err));
	assert_ok(store_open_local(x->store, true, STORE_SYNC_NONE, &store, &err));
	assert_ok(index_open(store, &index, &rebuilt, &err));
	for (int i = 0; i < RECORDS; i++) {
		char label[] = "out", asker[] = "test[1]", engine[] = "local";
		struct log_record record = { .when_ns = i + 1,
			                     .label = label,
			                     .asker = asker,
			                     .engine = engine,
			                     .micros = 1,
			                     .stderr_tail = tail };
		index_log_add(index, &record);
	}
	index_free(index);
	store_free(store);
}

struct seen {
	int count;
	int64_t first, last;
};

static int see_record(void *arg, const struct log_record *record)
{
	struct seen *seen = arg;
	seen->first = seen->count++ ? seen->first : record->when_ns;
	if (seen->count > 1)
		assert_true(record->when_ns == seen->last + 1);
	seen->last = record->when_ns;
	assert_int_equal(strlen(record->stderr_tail), TAIL);
	return 0;
}

static void of_a_log_larger_than_a_frame_the_newest_records_are_given(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct seen seen = { 0 };
	fill_log(x);
	fixture_connect(x);
	assert_ok(client_log(x->client, SIZE_MAX, see_record, &seen, &err));
	assert_int_equal(seen.last, RECORDS);
	assert_true(seen.count > RECORDS / 2 && seen.count < RECORDS);
	seen = (struct seen){ 0 };
	assert_ok(client_log(x->client, 3, see_record, &seen, &err));
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.first, RECORDS - 2);
}

/* Both come in one piece, so that a service that reads the log at once answers it first. */
static void others_are_answered_while_a_log_is_read(void **state)
{
	struct fixture *x = *state;
	struct error err;
	struct conn c;
	scoped_buf struct buf b = BUF_INIT;
	fill_log(x);
	fixture_connect(x);
	int fd = start_dial(x->store, &err);
	assert_true(fd >= 0);
	conn_init(&c, fd);
	fixture_greet(&c);
	size_t mark = wire_begin(&b, MESSAGE_LOG, 2);
	wire_u32(&b, RECORDS);
	wire_end(&b, mark);
	wire_end(&b, wire_begin(&b, MESSAGE_INFO, 3));
	struct wire_header h;
	const char *payload;
	size_t len;
	assert_ok(start_ask(&c, &b, FIXTURE_WAIT_MS, &h, &payload, &len, &err));
	assert_int_equal(h.id, 3);
	conn_release(&c);
}

#define LOG_TEST(name)                                                                             \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_without, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(of_a_log_larger_than_a_frame_the_newest_records_are_given),
		LOG_TEST(others_are_answered_while_a_log_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
