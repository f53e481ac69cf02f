#include "tests/unit/remote/fake_worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/io.h"
#include "engine/thunk.h"

enum { CONNECTIONS_MAX = 512, REQUEST_MAX = 64 << 20 };

struct connection {
	int fd;
	struct buf in;
	struct buf out;
	size_t sent;
	bool answering;
	int64_t due_ms;
	struct fake_act act;
	bool continued;
};

struct fake_worker {
	fake_act_fn *act;
	void *arg;
	char *url;
	int listener, stop;
	pthread_t thread;
	struct connection connections[CONNECTIONS_MAX];
	size_t count;
	pthread_mutex_t mutex;
	unsigned requests, at_once, waiting; /* guarded by mutex */
};

/* --- answers -----------------------------------------------------------------------------------
 */

void fake_output(const struct digest *thunk, char text[80])
{
	snprintf(text, 80, "made of %s\n", digest_hex(thunk).text);
}

static bool find_thunk(const struct remote_request *request, const struct digest *name,
                       struct thunk *out)
{
	const struct remote_blob *text = remote_blobs_find(&request->blobs, name);
	return text && thunk_decode(text->bytes, text->len, out, NULL) == 0;
}

/* t is NULL when it was not there. */
static void add_result(struct remote_answer *a, const struct digest *thunk, const struct thunk *t)
{
	struct remote_result *r = &a->results[a->result_count++];
	r->thunk = *thunk;
	r->stderr_tail = xstrdup("");
	r->memo.thunk = *thunk;
	r->memo.engine = xstrdup("worker");
	r->memo.micros = 1000;
	r->usage = (struct remote_usage){ .micros = 2000, .function_micros = 1000 };
	r->exit_status = 0;
	if (!t) {
		r->outcome = OUTCOME_BAD_INPUT;
		r->reason = xstrdup("the thunk itself is not there");
		return;
	}
	char *made = xmalloc(80);
	fake_output(thunk, made);
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(made) };
	digest_of(&ref.digest, made, strlen(made));
	remote_blobs_add(&a->blobs, &ref.digest, made, strlen(made));
	for (size_t i = 0; i < t->output_count; i++)
		memo_add_output(&r->memo, t->outputs[i].path, &ref);
}

/* Puts in what those before it gave; which of the results that is, by names. */
static void add_next(struct remote_answer *a, const struct remote_request *request,
                     const struct digest *names, const struct digest *name)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest resolved;
	if (!find_thunk(request, name, &t))
		return;
	for (size_t i = 0; i < a->result_count; i++)
		if (thunk_substitute(&t, &names[i], &a->results[i].memo, NULL) < 0)
			return;
	if (thunk_finish(&t, NULL) < 0)
		return;
	thunk_digest(&t, &resolved);
	add_result(a, &resolved, &t);
}

void fake_answer_begin(struct remote_answer *a, const struct remote_request *request)
{
	*a = (struct remote_answer){ .version = xstrdup(GGFS_VERSION), .worker = xstrdup("fake") };
	size_t count = request->thunk_count + request->next_count;
	struct digest *names = xcalloc(count, sizeof(*names));
	a->results = xcalloc(count, sizeof(*a->results));
	for (size_t i = 0; i < request->thunk_count; i++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		bool found = find_thunk(request, &request->thunks[i], &t);
		names[a->result_count] = request->thunks[i];
		add_result(a, &request->thunks[i], found ? &t : NULL);
	}
	for (size_t i = 0; i < request->next_count; i++) {
		names[a->result_count] = request->next[i];
		add_next(a, request, names, &request->next[i]);
	}
	free(names);
}

void fake_answer_release(struct remote_answer *a)
{
	for (size_t i = 0; i < a->blobs.count; i++)
		free((void *)(uintptr_t)a->blobs.items[i].bytes);
	remote_answer_release(a);
}

void fake_act_answer(struct fake_act *act, const struct remote_answer *a)
{
	buf_reset(&act->body);
	remote_answer_encode(a, &act->body);
}

void fake_act_error(struct fake_act *act, int status, const char *type, const char *message)
{
	act->status = status;
	buf_reset(&act->body);
	buf_add_format(&act->body, "{\"Type\":\"User\",\"message\":\"%s\"}", message);
	free(act->headers);
	act->headers = xformat("x-amzn-errortype: %s\r\n", type);
}

/* --- the server --------------------------------------------------------------------------------
 */

static void count(struct fake_worker *w, bool begins, unsigned *number)
{
	pthread_mutex_lock(&w->mutex);
	if (begins) {
		*number = w->requests++;
		w->waiting++;
		if (w->waiting > w->at_once)
			w->at_once = w->waiting;
	} else {
		w->waiting--;
	}
	pthread_mutex_unlock(&w->mutex);
}

static void take_request(struct fake_worker *w, struct connection *c, const char *head,
                         const char *body, size_t len)
{
	struct remote_request request = { 0 };
	struct remote_answer answer;
	unsigned number = 0;
	c->act = (struct fake_act){ .head = head, .status = 200 };
	count(w, true, &number);
	if (remote_request_decode(body, len, &request, NULL) == 0) {
		fake_answer_begin(&answer, &request);
		fake_act_answer(&c->act, &answer);
		fake_answer_release(&answer);
		if (w->act)
			w->act(w->arg, number, &request, &c->act);
	} else {
		fake_act_error(&c->act, 400, "Malformed", "no request");
		if (w->act && strncmp(head, "GET ", 4) == 0)
			w->act(w->arg, number, &request, &c->act);
	}
	c->act.head = NULL;
	remote_request_release(&request);
	c->answering = true;
	c->due_ms = now_ms() + c->act.delay_ms;
	buf_reset(&c->out);
	buf_add_format(&c->out, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", c->act.status,
	               c->act.body.len, c->act.headers ? c->act.headers : "");
	size_t head_len = c->out.len;
	buf_add(&c->out, c->act.body.data ? c->act.body.data : "", c->act.body.len);
	c->sent = 0;
	if (c->act.cut == CUT_MIDDLE)
		c->out.len = head_len + c->act.body.len / 2;
	else if (c->act.cut == CUT_BEFORE)
		c->out.len = 0;
}

static const char *header_of(const struct buf *in, const char *name)
{
	return strcasestr(in->data, name);
}

/* Whether a whole request was there. */
static bool take_bytes(struct fake_worker *w, struct connection *c)
{
	char *end = c->in.len ? strstr(c->in.data, "\r\n\r\n") : NULL;
	if (!end || c->answering)
		return false;
	const char *length = header_of(&c->in, "\r\nContent-Length:");
	size_t head = (size_t)(end + 4 - c->in.data);
	size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
	if (!c->continued && header_of(&c->in, "\r\nExpect:")) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
		c->continued = true;
		if (write(c->fd, go_on, strlen(go_on)) < 0)
			return false;
	}
	if (c->in.len < head + body)
		return false;
	*end = '\0';
	take_request(w, c, c->in.data, c->in.data + head, body);
	c->continued = false;
	buf_reset(&c->in);
	return true;
}

static void drop(struct fake_worker *w, struct connection *c)
{
	if (c->answering)
		count(w, false, NULL);
	close(c->fd);
	buf_release(&c->in);
	buf_release(&c->out);
	buf_release(&c->act.body);
	free(c->act.headers);
	*c = w->connections[--w->count];
	w->connections[w->count] = (struct connection){ .fd = -1 };
}

/* False: the connection is gone. */
static bool serve(struct fake_worker *w, struct connection *c, short events)
{
	char bytes[65536];
	if (events & (POLLIN | POLLHUP | POLLERR)) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		/* As a web server answers who speaks TLS to it. */
		if (n > 0 && c->in.len == 0 && (bytes[0] < 'A' || bytes[0] > 'Z')) {
			static const char bad[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
			send(c->fd, bad, strlen(bad), MSG_NOSIGNAL);
			return false;
		}
		if (n > 0)
			buf_add(&c->in, bytes, (size_t)n);
		take_bytes(w, c);
	}
	if (!c->answering || now_ms() < c->due_ms)
		return true;
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		c->sent += (size_t)n;
	}
	if (c->act.cut != CUT_NOT)
		return false;
	count(w, false, NULL);
	c->answering = false;
	buf_release(&c->act.body);
	free(c->act.headers);
	c->act = (struct fake_act){ 0 };
	return true;
}

static void accept_one(struct fake_worker *w)
{
	int one = 1;
	if (w->count == CONNECTIONS_MAX)
		return;
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	w->connections[w->count++] = (struct connection){ .fd = fd };
}

static void *server_main(void *arg)
{
	struct fake_worker *w = arg;
	for (;;) {
		struct pollfd fds[CONNECTIONS_MAX + 2];
		int64_t wait = 1000, now = now_ms();
		size_t n = w->count;
		fds[0] = (struct pollfd){ .fd = w->stop, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = w->listener, .events = POLLIN };
		for (size_t i = 0; i < n; i++) {
			const struct connection *c = &w->connections[i];
			fds[i + 2] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
			if (c->answering && c->due_ms - now < wait)
				wait = c->due_ms > now ? c->due_ms - now : 0;
		}
		if (poll(fds, n + 2, (int)wait) < 0)
			continue;
		if (fds[0].revents)
			break;
		/* Backwards, since a dropped one is replaced by the last. */
		for (size_t i = n; i-- > 0;)
			if (!serve(w, &w->connections[i], fds[i + 2].revents))
				drop(w, &w->connections[i]);
		if (fds[1].revents)
			accept_one(w);
	}
	while (w->count)
		drop(w, &w->connections[0]);
	return NULL;
}

struct fake_worker *fake_worker_new(fake_act_fn *act, void *arg)
{
	struct fake_worker *w = xcalloc(1, sizeof(*w));
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	w->act = act;
	w->arg = arg;
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->stop = eventfd(0, EFD_CLOEXEC);
	if (w->listener < 0 || w->stop < 0 ||
	    bind(w->listener, (struct sockaddr *)&address, len) < 0 ||
	    listen(w->listener, CONNECTIONS_MAX) < 0 ||
	    getsockname(w->listener, (struct sockaddr *)&address, &len) < 0)
		abort();
	w->url = xformat("http://127.0.0.1:%u/run", ntohs(address.sin_port));
	pthread_mutex_init(&w->mutex, NULL);
	if (pthread_create(&w->thread, NULL, server_main, w))
		abort();
	return w;
}

void fake_worker_free(struct fake_worker *w)
{
	uint64_t one = 1;
	if (write(w->stop, &one, sizeof(one)) < 0)
		abort();
	pthread_join(w->thread, NULL);
	close(w->listener);
	close(w->stop);
	pthread_mutex_destroy(&w->mutex);
	free(w->url);
	free(w);
}

const char *fake_worker_url(const struct fake_worker *w)
{
	return w->url;
}

unsigned fake_worker_requests(struct fake_worker *w)
{
	pthread_mutex_lock(&w->mutex);
	unsigned n = w->requests;
	pthread_mutex_unlock(&w->mutex);
	return n;
}

unsigned fake_worker_waiting(struct fake_worker *w)
{
	pthread_mutex_lock(&w->mutex);
	unsigned n = w->waiting;
	pthread_mutex_unlock(&w->mutex);
	return n;
}

unsigned fake_worker_at_once(struct fake_worker *w)
{
	pthread_mutex_lock(&w->mutex);
	unsigned n = w->at_once;
	pthread_mutex_unlock(&w->mutex);
	return n;
}
