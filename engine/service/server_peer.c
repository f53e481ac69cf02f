#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"
#include "engine/model/view.h"
#include "engine/service/server_impl.h"

enum { ACCEPT_REST_MS = 200 };

void peer_ref(struct peer *p)
{
	p->refs++;
}

void peer_unref(struct peer *p)
{
	if (--p->refs > 0)
		return;
	free(p->mountpoint);
	free(p);
}

/* A mount may already have a newer connection: then the table's entry is that one's. */
static void forget_mount(struct peer *p)
{
	for (struct peer *q = p->server->peers; q; q = q->next)
		if (q->mountpoint && strcmp(q->mountpoint, p->mountpoint) == 0)
			return;
	mount_table_remove(p->server->mounts, p->mountpoint);
}

void peer_close(struct peer *p)
{
	struct server *s = p->server;
	if (p->closed)
		return;
	p->closed = true;
	loop_unwatch(p->watch);
	if (p->previous)
		p->previous->next = p->next;
	else
		s->peers = p->next;
	if (p->next)
		p->next->previous = p->previous;
	s->peer_count--;
	if (p->mountpoint)
		forget_mount(p);
	server_forces_drop(p);
	conn_release(&p->conn);
	peer_unref(p);
}

static void peer_watch(struct peer *p)
{
	loop_watch_events(p->watch, EPOLLIN | (conn_pending(&p->conn) ? EPOLLOUT : 0));
}

void peer_send(struct peer *p, struct buf *frame, int fd)
{
	struct error err = ERROR_INIT;
	if (p->closed) {
		if (fd >= 0)
			close(fd);
		buf_release(frame);
		return;
	}
	uint32_t id = wire_id(frame);
	int r = conn_send(&p->conn, frame, fd, &err);
	if (r == -EMSGSIZE) {
		peer_send_error(p, id, r, err.text);
		return;
	}
	if (r == 0) {
		peer_watch(p);
		return;
	}
	/* Not closed from in here, where callers still hold it: the hang-up comes as an event. */
	log_info("a client is dropped: %s", err.text);
	shutdown(p->conn.fd, SHUT_RDWR);
}

void peer_send_error(struct peer *p, uint32_t id, int code, const char *text)
{
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ERROR, id);
	message_error_encode(&frame, code, text);
	wire_end(&frame, mark);
	peer_send(p, &frame, -1);
}

void peer_send_ok(struct peer *p, uint32_t id, int fd)
{
	struct buf frame = BUF_INIT;
	wire_end(&frame, wire_begin(&frame, MESSAGE_OK, id));
	peer_send(p, &frame, fd);
}

void server_tell_going(struct server *s)
{
	for (struct peer *p = s->peers; p; p = p->next) {
		struct buf frame = BUF_INIT;
		if (!p->mountpoint)
			continue;
		wire_end(&frame, wire_begin(&frame, MESSAGE_GOING, 0));
		peer_send(p, &frame, -1);
	}
}

static int peer_read(struct peer *p, struct error *err)
{
	int r = conn_receive(&p->conn, err);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	for (;;) {
		struct wire_header header;
		const char *payload;
		size_t len;
		r = conn_next(&p->conn, &header, &payload, &len, err);
		if (r <= 0)
			return r;
		r = server_handle(p, &header, payload, len, err);
		if (r < 0)
			return r;
	}
}

static void peer_event(void *arg, uint32_t events)
{
	struct peer *p = arg;
	struct error err = ERROR_INIT;
	int r = 0;
	peer_ref(p);
	if (events & EPOLLOUT)
		r = conn_flush(&p->conn, &err);
	if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = peer_read(p, &err);
	if (r < 0 && r != -ECONNRESET)
		log_warning("a client is dropped: %s", err.text);
	if (r < 0)
		peer_close(p);
	else if (!p->closed)
		peer_watch(p);
	peer_unref(p);
}

/* Whoever may read the store may use its service: its owner, and root. */
static int allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

static int peer_new(struct server *s, int fd, struct error *err)
{
	struct peer *p = xcalloc(1, sizeof(*p));
	p->server = s;
	p->refs = 1;
	conn_init(&p->conn, fd);
	int r = loop_watch(s->loop, fd, EPOLLIN, peer_event, p, &p->watch, err);
	if (r < 0) {
		conn_release(&p->conn);
		peer_unref(p);
		return r;
	}
	p->next = s->peers;
	if (s->peers)
		s->peers->previous = p;
	s->peers = p;
	s->peer_count++;
	return 0;
}

static void accept_again(void *arg)
{
	struct server *s = arg;
	s->accept_timer = NULL;
	loop_watch_events(s->listen_watch, EPOLLIN);
}

/* Out of descriptors or memory: who wants in waits in the socket's queue until there are some. */
static void rest_from_accepting(struct server *s)
{
	log_warning("no client can be let in now: %s", strerror(errno));
	loop_watch_events(s->listen_watch, 0);
	if (!s->accept_timer)
		s->accept_timer = loop_after(s->loop, ACCEPT_REST_MS, accept_again, s);
}

void server_accept(void *arg, uint32_t events)
{
	struct server *s = arg;
	(void)events;
	struct error err = ERROR_INIT;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			rest_from_accepting(s);
		return;
	}
	int r = allowed(fd);
	if (r == 0 && s->peer_count >= SERVER_CLIENTS_MAX)
		r = -EUSERS;
	if (r < 0) {
		log_warning("a client is refused: %s", strerror(-r));
		close(fd);
		return;
	}
	if (peer_new(s, fd, &err) < 0)
		log_warning("a client is refused: %s", err.text);
}
