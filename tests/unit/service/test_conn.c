/* Frames and descriptors over a pair of sockets. */
#include <errno.h>
#include <sys/socket.h>

#include "engine/service/conn.h"
#include "tests/lib/test.h"

struct pair {
	struct conn a, b;
};

static int set_up(void **state)
{
	int fds[2];
	struct pair *p = xcalloc(1, sizeof(*p));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	conn_init(&p->a, fds[0]);
	conn_init(&p->b, fds[1]);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *p = *state;
	conn_release(&p->a);
	conn_release(&p->b);
	free(p);
	return 0;
}

static struct buf frame(uint16_t type, const void *bytes, size_t len)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b, type, type + 1000u);
	buf_add(&b, bytes, len);
	wire_end(&b, mark);
	return b;
}

/* Turns about until b has a whole frame. */
static void pass_one(struct pair *p, struct wire_header *h, const char **payload, size_t *len)
{
	struct error err = ERROR_INIT;
	int r;
	while ((r = conn_next(&p->b, h, payload, len, &err)) == 0) {
		assert_ok(conn_flush(&p->a, &err));
		r = conn_receive(&p->b, &err);
		assert_true(r == 0 || r == -EAGAIN);
	}
	assert_int_equal(r, 1);
}

static void frames_larger_than_the_socket_arrive_whole_and_in_order(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	struct wire_header h;
	const char *payload;
	size_t len, big = 3 << 20;
	scoped_free char *bytes = xcalloc(1, big);
	memset(bytes, 'x', big);
	struct buf first = frame(1, bytes, big), second = frame(2, "y", 1);
	assert_ok(conn_send(&p->a, &first, -1, &err));
	assert_ok(conn_send(&p->a, &second, -1, &err));
	assert_true(conn_pending(&p->a));
	pass_one(p, &h, &payload, &len);
	assert_int_equal(h.type, 1);
	assert_int_equal(len, big);
	assert_memory_equal(payload, bytes, big);
	pass_one(p, &h, &payload, &len);
	assert_int_equal(h.type, 2);
	assert_int_equal(h.id, 1002);
	assert_false(conn_pending(&p->a));
}

static void descriptors_come_in_the_order_of_their_frames(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	struct wire_header h;
	const char *payload;
	size_t len;
	for (uint16_t i = 0; i < 3; i++) {
		struct buf b = frame(i, NULL, 0);
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC | (i ? O_APPEND : 0));
		assert_true(fd >= 0);
		assert_ok(conn_send(&p->a, &b, i == 1 ? -1 : fd, &err));
		if (i == 1)
			close(fd);
	}
	for (int i = 0; i < 3; i++)
		pass_one(p, &h, &payload, &len);
	scoped_fd int first = conn_claim_fd(&p->b), second = conn_claim_fd(&p->b);
	assert_false(fcntl(first, F_GETFL) & O_APPEND);
	assert_true(fcntl(second, F_GETFL) & O_APPEND);
	assert_true(fcntl(second, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(conn_claim_fd(&p->b), -1);
}

static void a_peer_that_is_gone_is_econnreset(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	conn_release(&p->a);
	assert_error(conn_receive(&p->b, &err), -ECONNRESET);
	struct buf b = frame(1, NULL, 0);
	assert_error(conn_send(&p->b, &b, -1, &err), -ECONNRESET);
}

static void a_malformed_header_is_ebadmsg(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	struct wire_header h;
	const char *payload;
	size_t len;
	char garbage[WIRE_HEADER_SIZE];
	memset(garbage, 0xee, sizeof(garbage));
	assert_int_equal(write(p->a.fd, garbage, sizeof(garbage)), sizeof(garbage));
	assert_ok(conn_receive(&p->b, &err));
	assert_error(conn_next(&p->b, &h, &payload, &len, &err), -EBADMSG);
}

/* The bytes of three frames, split at every place there is. */
static void frames_may_come_in_any_pieces(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	scoped_buf struct buf all = BUF_INIT;
	for (uint16_t i = 1; i <= 3; i++) {
		scoped_buf struct buf b = frame(i, "payload", i);
		buf_add(&all, b.data, b.len);
	}
	for (size_t cut = 1; cut < all.len; cut++) {
		struct wire_header h;
		const char *payload;
		size_t len;
		uint16_t next = 1;
		for (int half = 0; half < 2; half++) {
			const char *from = half ? all.data + cut : all.data;
			size_t size = half ? all.len - cut : cut;
			assert_int_equal(write(p->a.fd, from, size), size);
			assert_ok(conn_receive(&p->b, &err));
			while (conn_next(&p->b, &h, &payload, &len, &err) == 1) {
				assert_int_equal(h.type, next++);
				assert_int_equal(len, h.type);
				assert_memory_equal(payload, "payload", len);
			}
		}
		assert_int_equal(next, 4);
		assert_int_equal(conn_receive(&p->b, &err), -EAGAIN);
	}
}

static void a_peer_that_leaves_in_a_frame_is_econnreset(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	struct wire_header h;
	const char *payload;
	size_t len;
	scoped_buf struct buf b = frame(1, "payload", 7);
	assert_int_equal(write(p->a.fd, b.data, b.len - 1), b.len - 1);
	conn_release(&p->a);
	assert_ok(conn_receive(&p->b, &err));
	assert_int_equal(conn_next(&p->b, &h, &payload, &len, &err), 0);
	assert_error(conn_receive(&p->b, &err), -ECONNRESET);
}

static void a_frame_over_the_limit_is_not_sent(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	size_t most = WIRE_FRAME_MAX - (WIRE_HEADER_SIZE - WIRE_LENGTH_SIZE);
	scoped_free char *bytes = xcalloc(1, most + 1);
	struct buf b = frame(1, bytes, most + 1);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_error(conn_send(&p->a, &b, fd, &err), -EMSGSIZE);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* was the conn's */
	assert_false(conn_pending(&p->a));
	b = frame(1, bytes, most);
	assert_ok(conn_send(&p->a, &b, -1, &err));
}

static void more_descriptors_than_frames_want_are_ebadmsg(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	int r = 0;
	for (int i = 0; r == 0 && i <= CONN_FDS_MAX; i++) {
		struct buf b = frame(1, NULL, 0);
		assert_ok(conn_send(&p->a, &b, open("/dev/null", O_RDONLY | O_CLOEXEC), &err));
		r = conn_receive(&p->b, &err);
	}
	assert_int_equal(r, -EBADMSG);
}

static void a_peer_that_does_not_read_is_given_up(void **state)
{
	struct pair *p = *state;
	struct error err = ERROR_INIT;
	size_t big = CONN_UNSENT_MAX / 4;
	scoped_free char *bytes = xcalloc(1, big);
	int r = 0;
	for (int i = 0; r == 0 && i < 8; i++) {
		struct buf b = frame(1, bytes, big);
		r = conn_send(&p->a, &b, -1, &err);
	}
	assert_int_equal(r, -ENOBUFS);
}

#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONN_TEST(frames_larger_than_the_socket_arrive_whole_and_in_order),
		CONN_TEST(descriptors_come_in_the_order_of_their_frames),
		CONN_TEST(a_peer_that_is_gone_is_econnreset),
		CONN_TEST(a_malformed_header_is_ebadmsg),
		CONN_TEST(frames_may_come_in_any_pieces),
		CONN_TEST(a_peer_that_leaves_in_a_frame_is_econnreset),
		CONN_TEST(a_frame_over_the_limit_is_not_sent),
		CONN_TEST(more_descriptors_than_frames_want_are_ebadmsg),
		CONN_TEST(a_peer_that_does_not_read_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
