#include "tests/contract/service/fake.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "engine/service/start.h"
#include "tests/lib/test.h"

int fake_answer(struct fake *f, uint16_t type, uint32_t id, struct buf *payload)
{
	scoped_buf struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, type, id);
	if (payload) {
		buf_add(&frame, payload->data, payload->len);
		buf_release(payload);
	}
	wire_end(&frame, mark);
	return conn_send(&f->conn, &frame, -1, NULL);
}

static int greet_back(struct fake *f, uint32_t id)
{
	char version[] = GGFS_VERSION, store[] = "/fake";
	struct message_hello hello = { f->protocol, 1, version, store };
	struct buf payload = BUF_INIT;
	message_hello_encode(&payload, &hello);
	f->connections++;
	return fake_answer(f, MESSAGE_ANSWER, id, &payload);
}

static int take_frame(struct fake *f)
{
	struct wire_header header;
	const char *payload;
	size_t len;
	int r = conn_next(&f->conn, &header, &payload, &len, NULL);
	if (r == 0)
		return conn_receive(&f->conn, NULL);
	if (r < 0 || header.type == MESSAGE_HELLO)
		return r < 0 ? r : greet_back(f, header.id);
	f->frames++;
	return f->on_frame(f, &header, payload, len);
}

/* True when fd can be read, false when the test has had enough. */
static bool await(struct fake *f, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		               { .fd = f->end_fd, .events = POLLIN } };
	while (poll(p, 2, -1) < 0)
		;
	return p[1].revents == 0;
}

static void *fake_thread(void *arg)
{
	struct fake *f = arg;
	while (await(f, f->listen_fd)) {
		int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			continue;
		conn_init(&f->conn, fd);
		int r = 0;
		while (r >= 0) {
			r = take_frame(f);
			if (r == -EAGAIN)
				r = await(f, fd) ? 0 : -ECANCELED;
		}
		conn_release(&f->conn);
	}
	return NULL;
}

void fake_start(struct fake *f, const char *store, fake_frame_fn *on_frame, void *arg)
{
	fake_start_as(f, PROTOCOL_VERSION, store, on_frame, arg);
}

void fake_start_as(struct fake *f, uint32_t protocol, const char *store, fake_frame_fn *on_frame,
                   void *arg)
{
	struct error err;
	scoped_free char *service = xformat("%s/service", store);
	*f = (struct fake){ .protocol = protocol, .on_frame = on_frame, .arg = arg, .conn.fd = -1 };
	assert_ok(make_dirs_at(AT_FDCWD, service, 0700, &err));
	scoped_fd int dir = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->listen_fd = start_listen(dir, &err);
	assert_true(f->listen_fd >= 0);
	f->end_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
}

void fake_stop(struct fake *f)
{
	uint64_t one = 1;
	assert_int_equal(write(f->end_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(f->thread, NULL);
	close(f->listen_fd);
	close(f->end_fd);
}
