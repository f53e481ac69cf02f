/*
 * How much CPU and memory the HTTP client takes with many requests in flight: a server of our own
 * in another process on the loopback keeps each request for a while before it answers.
 *
 *   bench_http [--in-flight N] [--requests N] [--latency MS] [--body BYTES]
 *              [--url URL --ca FILE]   another server instead
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/http.h"
#include "common/io.h"

enum { BACKLOG = 4096, EVENTS = 256, HEAD_MAX = 2048 };

/* --- the server --- */

struct client {
	int fd;
	size_t len, body_left;
	bool in_body;
	int64_t due_ms;
	struct client *next_due;
	char head[HEAD_MAX];
};

struct server {
	int epoll_fd, listen_fd;
	int64_t latency_ms;
	struct client *due, **due_end; /* in order, for all wait equally long */
};

static void accept_all(struct server *s)
{
	int fd;
	while ((fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = xcalloc(1, sizeof(*c));
		c->fd = fd;
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
		epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	}
}

static void request_is_whole(struct server *s, struct client *c)
{
	c->len = 0;
	c->in_body = false;
	c->due_ms = now_ms() + s->latency_ms;
	c->next_due = NULL;
	*s->due_end = c;
	s->due_end = &c->next_due;
}

static void take_bytes(struct server *s, struct client *c, size_t got)
{
	if (c->in_body) {
		c->body_left -= got;
	} else {
		c->len += got;
		c->head[c->len] = '\0';
		char *end = strstr(c->head, "\r\n\r\n");
		if (!end)
			return;
		char *length = strcasestr(c->head, "content-length: ");
		c->in_body = true;
		c->body_left = length ? strtoul(length + 16, NULL, 10) : 0;
		c->body_left -= c->len - (size_t)(end + 4 - c->head);
	}
	if (!c->body_left)
		request_is_whole(s, c);
}

static void read_client(struct server *s, struct client *c)
{
	size_t room = c->in_body ? sizeof(c->head) - 1 : sizeof(c->head) - 1 - c->len;
	ssize_t got = read(c->fd, c->head + (c->in_body ? 0 : c->len), room);
	if (got > 0) {
		take_bytes(s, c, (size_t)got);
	} else if (got == 0 || errno != EAGAIN) {
		close(c->fd);
		free(c);
	}
}

static void answer_due(struct server *s)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	                             "X-Amzn-RequestId: 7d2c7ecc-0000-0000-0000-000000000000\r\n"
	                             "Content-Length: 2\r\n\r\n{}";
	int64_t now = now_ms();
	while (s->due && s->due->due_ms <= now) {
		struct client *c = s->due;
		s->due = c->next_due;
		if (!s->due)
			s->due_end = &s->due;
		ssize_t ignored = write(c->fd, answer, sizeof(answer) - 1);
		(void)ignored;
	}
}

static void serve(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL }, events[EVENTS];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	s->due_end = &s->due;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &event);
	for (;;) {
		int64_t left = s->due ? s->due->due_ms - now_ms() : 1000;
		int count = epoll_wait(s->epoll_fd, events, EVENTS, left > 0 ? (int)left : 0);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				read_client(s, events[i].data.ptr);
			else
				accept_all(s);
		}
		answer_due(s);
	}
}

/* Forks the server; returns its process, and its port. */
static pid_t start_server(int64_t latency_ms, int *port)
{
	struct server s = { .latency_ms = latency_ms };
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	s.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(s.listen_fd, (struct sockaddr *)&address, len) < 0 ||
	    listen(s.listen_fd, BACKLOG) < 0 ||
	    getsockname(s.listen_fd, (struct sockaddr *)&address, &len) < 0)
		abort();
	*port = ntohs(address.sin_port);
	pid_t pid = fork();
	if (pid == 0)
		serve(&s);
	close(s.listen_fd);
	return pid;
}

/* --- the client --- */

struct bench {
	struct loop *loop;
	struct http *http;
	struct http_request request;
	unsigned long left, in_flight, good, bad, connections;
};

static void done(void *arg, struct http_response *r);

static void start_one(struct bench *b)
{
	struct error err = ERROR_INIT;
	b->left--;
	b->in_flight++;
	if (http_start(b->http, &b->request, NULL, &err) < 0) {
		fprintf(stderr, "bench_http: %s\n", err.text);
		exit(1);
	}
}

static void done(void *arg, struct http_response *r)
{
	struct bench *b = arg;
	b->in_flight--;
	b->good += r->status == 200;
	b->bad += r->status != 200;
	b->connections += r->connected_anew;
	if (r->code < 0 && b->bad < 5)
		fprintf(stderr, "bench_http: %s\n", r->reason);
	if (b->left)
		start_one(b);
	else if (!b->in_flight)
		loop_stop(b->loop);
}

static double cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double resident_mib(void)
{
	long pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &ignored, &pages) != 2)
		abort();
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* One round of requests; what it took. */
static void run_round(struct bench *b, const char *name, unsigned long requests,
                      unsigned long in_flight)
{
	struct error err = ERROR_INIT;
	b->left = requests;
	b->good = b->bad = b->connections = 0;
	double cpu = cpu_s();
	int64_t began = now_us();
	while (b->left && b->in_flight < in_flight)
		start_one(b);
	if (loop_run(b->loop, &err) < 0)
		abort();
	double wall = 1e-6 * (double)(now_us() - began);
	cpu = cpu_s() - cpu;
	printf("%-6s %7lu requests, %5lu in flight, %lu failed, %lu connections: %.2f s, %.1f us "
	       "CPU "
	       "each, %.1f MiB resident\n",
	       name, requests, in_flight, b->bad, b->connections, wall,
	       1e6 * cpu / (double)requests, resident_mib());
}

struct settings {
	unsigned long in_flight, requests, body;
	int64_t latency_ms;
	const char *url; /* NULL: a server of our own */
	struct http_options http;
};

static int read_options(int argc, char **argv, struct settings *out)
{
	static const struct option known[] = {
		{ "in-flight", 1, NULL, 'n' }, { "requests", 1, NULL, 'r' },
		{ "latency", 1, NULL, 'l' },   { "body", 1, NULL, 'b' },
		{ "url", 1, NULL, 'u' },       { "ca", 1, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	*out = (struct settings){
		.in_flight = 8000, .requests = 40000, .body = 4000, .latency_ms = 100
	};
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) > 0;) {
		if (option == 'n')
			out->in_flight = strtoul(optarg, NULL, 10);
		else if (option == 'r')
			out->requests = strtoul(optarg, NULL, 10);
		else if (option == 'l')
			out->latency_ms = strtol(optarg, NULL, 10);
		else if (option == 'b')
			out->body = strtoul(optarg, NULL, 10);
		else if (option == 'u')
			out->url = optarg;
		else if (option == 'c')
			out->http.ca_bundle = optarg;
		else
			return -1;
	}
	return 0;
}

static void run_rounds(struct bench *b, const struct settings *s, const char *url)
{
	static const char *const headers[] = { "content-type: application/json",
		                               "x-amz-invocation-type: RequestResponse" };
	scoped_free char *bytes = xcalloc(1, s->body + 1);
	memset(bytes, 'x', s->body);
	b->request = (struct http_request){ .method = "POST",
		                            .url = url,
		                            .headers = headers,
		                            .header_count = 2,
		                            .body = bytes,
		                            .body_len = s->body,
		                            .arg = b,
		                            .done = done };
	printf("start  %.1f MiB resident\n", resident_mib());
	run_round(b, "cold", s->in_flight, s->in_flight);
	run_round(b, "warm", s->requests, s->in_flight);
	run_round(b, "few", 320, 16);
}

int main(int argc, char **argv)
{
	struct settings s;
	struct error err = ERROR_INIT;
	struct bench b = { 0 };
	int port = 0;
	if (read_options(argc, argv, &s) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (loop_new(&b.loop, &err) < 0 || http_new(b.loop, &s.http, &b.http, &err) < 0) {
		fprintf(stderr, "bench_http: %s\n", err.text);
		return 1;
	}
	pid_t server = s.url ? 0 : start_server(s.latency_ms, &port);
	scoped_free char *url =
	        s.url ? xstrdup(s.url)
	              : xformat("http://127.0.0.1:%d/2015-03-31/functions/f/invocations", port);
	run_rounds(&b, &s, url);
	http_free(b.http);
	loop_free(b.loop);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return b.bad > 0;
}
