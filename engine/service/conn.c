#include "engine/service/conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct conn_frame {
	struct conn_frame *next;
	char *bytes;
	size_t len, sent;
	int fd;
};

void conn_init(struct conn *c, int fd)
{
	*c = (struct conn){ .fd = fd };
}

static void frame_free(struct conn_frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	free(frame->bytes);
	free(frame);
}

static void drop_first(struct conn *c)
{
	struct conn_frame *frame = c->first;
	c->first = frame->next;
	if (!c->first)
		c->last = NULL;
	c->unsent -= frame->len;
	frame_free(frame);
}

void conn_release(struct conn *c)
{
	while (c->first)
		drop_first(c);
	for (size_t i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	buf_release(&c->in);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct conn){ .fd = -1 };
}

static ssize_t send_with_fd(int socket, const void *bytes, size_t len, int fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd >= 0) {
		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int conn_flush(struct conn *c, struct error *err)
{
	while (c->first) {
		struct conn_frame *frame = c->first;
		ssize_t n = send_with_fd(c->fd, frame->bytes + frame->sent,
		                         frame->len - frame->sent, frame->sent ? -1 : frame->fd);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return error_set(err, -ECONNRESET, "the other side is gone: %s",
			                 strerror(errno));
		frame->sent += (size_t)n;
		if (frame->sent == frame->len)
			drop_first(c);
	}
	return 0;
}

int conn_send(struct conn *c, struct buf *bytes, int fd, struct error *err)
{
	if (bytes->len > WIRE_FRAME_MAX + WIRE_LENGTH_SIZE) {
		int r = error_set(err, -EMSGSIZE, "a message of %zu bytes is larger than %d",
		                  bytes->len, WIRE_FRAME_MAX);
		scoped_close_(&fd);
		buf_release(bytes);
		return r;
	}
	struct conn_frame *frame = xcalloc(1, sizeof(*frame));
	frame->fd = fd;
	frame->bytes = buf_steal(bytes, &frame->len);
	if (c->last)
		c->last->next = frame;
	else
		c->first = frame;
	c->last = frame;
	c->unsent += frame->len;
	int r = conn_flush(c, err);
	if (r == 0 && c->unsent > CONN_UNSENT_MAX)
		return error_set(err, -ENOBUFS, "the other side does not read: %zu bytes wait",
		                 c->unsent);
	return r;
}

bool conn_pending(const struct conn *c)
{
	return c->first != NULL;
}

static int keep_fds(struct conn *c, struct msghdr *message, struct error *err)
{
	int r = message->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;
	for (struct cmsghdr *m = CMSG_FIRSTHDR(message); m; m = CMSG_NXTHDR(message, m)) {
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
			if (c->fd_count < CONN_FDS_MAX)
				c->fds[c->fd_count++] = fd;
			else {
				close(fd);
				r = -EBADMSG;
			}
		}
	}
	return r < 0 ? error_set(err, r, "more descriptors came than messages want") : 0;
}

int conn_receive(struct conn *c, struct error *err)
{
	enum { STEP = 1 << 16 };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(CONN_FDS_MAX * sizeof(int))];
	} control;
	if (c->in_at) {
		memmove(c->in.data, c->in.data + c->in_at, c->in.len - c->in_at);
		c->in.len -= c->in_at;
		c->in_at = 0;
	}
	buf_reserve(&c->in, STEP);
	struct iovec iov = { .iov_base = c->in.data + c->in.len, .iov_len = STEP };
	struct msghdr message = { .msg_iov = &iov,
		                  .msg_iovlen = 1,
		                  .msg_control = control.space,
		                  .msg_controllen = sizeof(control.space) };
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return error_set(err, -ECONNRESET, "the other side is gone%s%s", n < 0 ? ": " : "",
		                 n < 0 ? strerror(errno) : "");
	c->in.len += (size_t)n;
	return keep_fds(c, &message, err);
}

int conn_next(struct conn *c, struct wire_header *header, const char **payload, size_t *len,
              struct error *err)
{
	size_t have = c->in.len - c->in_at;
	if (have < WIRE_HEADER_SIZE)
		return 0;
	const char *at = c->in.data + c->in_at;
	if (!wire_header_decode(at, header))
		return error_set(err, -EBADMSG, "a frame's header is malformed");
	size_t whole = (size_t)header->length + WIRE_LENGTH_SIZE;
	if (have < whole) {
		buf_reserve(&c->in, whole - have);
		return 0;
	}
	*payload = c->in.data + c->in_at + WIRE_HEADER_SIZE;
	*len = whole - WIRE_HEADER_SIZE;
	c->in_at += whole;
	return 1;
}

int conn_claim_fd(struct conn *c)
{
	if (c->fd_count == 0)
		return -1;
	int fd = c->fds[0];
	memmove(c->fds, c->fds + 1, --c->fd_count * sizeof(c->fds[0]));
	return fd;
}
