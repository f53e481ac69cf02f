#include "http_server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/io.h"

enum { CONNECTIONS_MAX = 1024, HEAD_MAX = 16 << 10 };

struct server {
	int fd, port;
	pthread_t thread;
	atomic_uint requests, cut_seconds;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool released;
	unsigned count;
	int fds[CONNECTIONS_MAX];
	pthread_t threads[CONNECTIONS_MAX];
};

struct connection {
	struct server *server;
	int fd;
	struct buf in; /* what has come */
};

/* One request, head and body, at the beginning of in; false: the connection is at its end. */
static bool read_request(struct connection *c, size_t *head_len, size_t *body_len)
{
	char bytes[16384];
	for (;;) {
		char *end = c->in.len ? strstr(c->in.data, "\r\n\r\n") : NULL;
		if (end) {
			const char *length = strcasestr(c->in.data, "content-length: ");
			*head_len = (size_t)(end + 4 - c->in.data);
			*body_len = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
			if (c->in.len >= *head_len + *body_len)
				return true;
		}
		ssize_t got = recv(c->fd, bytes, sizeof(bytes), 0);
		if (got <= 0)
			return false;
		buf_add(&c->in, bytes, (size_t)got);
	}
}

static bool answer(struct connection *c, const void *body, size_t len)
{
	scoped_buf struct buf b = BUF_INIT;
	buf_add_format(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	buf_add(&b, body, len);
	return send(c->fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len;
}

static void wait_for_release(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->released)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* Whether the connection is to be kept. */
static bool respond(struct connection *c, size_t head_len, size_t body_len)
{
	struct server *s = c->server;
	char path[256] = "";
	sscanf(c->in.data, "%*s %255s", path);
	atomic_fetch_add(&s->requests, 1);
	if (strcmp(path, "/cut") == 0)
		return false;
	if (strcmp(path, "/cut-second") == 0 && atomic_fetch_add(&s->cut_seconds, 1) == 1)
		return false;
	if (strcmp(path, "/hold") == 0)
		wait_for_release(s);
	if (strcmp(path, "/echo") == 0)
		return answer(c, c->in.data + head_len, body_len);
	if (strstr(path, "/head"))
		return answer(c, c->in.data, head_len);
	if (strncmp(path, "/bytes/", 7) == 0) {
		size_t len = strtoul(path + 7, NULL, 10);
		scoped_free char *body = xcalloc(1, len + 1);
		return answer(c, body, len);
	}
	return answer(c, "ok", 2);
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	size_t head, body;
	while (read_request(c, &head, &body)) {
		bool keep = respond(c, head, body);
		size_t left = c->in.len - head - body;
		memmove(c->in.data, c->in.data + head + body, left);
		c->in.len = left;
		c->in.data[left] = '\0';
		if (!keep)
			break;
	}
	shutdown(c->fd, SHUT_RDWR);
	buf_release(&c->in);
	free(c);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct server *s = arg;
	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return NULL;
		struct connection *c = xcalloc(1, sizeof(*c));
		*c = (struct connection){ .server = s, .fd = fd };
		pthread_mutex_lock(&s->lock);
		if (s->count == CONNECTIONS_MAX)
			abort();
		s->fds[s->count] = fd;
		if (pthread_create(&s->threads[s->count++], NULL, serve, c))
			abort();
		pthread_mutex_unlock(&s->lock);
	}
}

struct server *server_start(void)
{
	struct server *s = xcalloc(1, sizeof(*s));
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&address, len) < 0 || listen(s->fd, 1024) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&address, &len) < 0)
		abort();
	s->port = ntohs(address.sin_port);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	if (pthread_create(&s->thread, NULL, accept_all, s))
		abort();
	return s;
}

void server_release(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->released = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void server_stop(struct server *s)
{
	server_release(s);
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (unsigned i = 0; i < s->count; i++) {
		shutdown(s->fds[i], SHUT_RDWR);
		pthread_join(s->threads[i], NULL);
		close(s->fds[i]);
	}
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

char *server_url(const struct server *s, const char *path)
{
	return xformat("http://127.0.0.1:%d%s", s->port, path);
}

int server_port(const struct server *s)
{
	return s->port;
}

unsigned server_requests(struct server *s)
{
	return atomic_load(&s->requests);
}

unsigned server_connections(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}
