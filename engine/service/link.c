#include "engine/service/link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/service/conn.h"
#include "engine/service/messages.h"
#include "engine/service/start.h"

enum { RETRY_FIRST_MS = 50, RETRY_MOST_MS = 1000 };

enum asked_kind { ASKED_FORCE, ASKED_LOOK };

/*
 * One request, from its asking to its answer. A struct link_force * that callers hold is its
 * id in disguise and never looked through, so a late withdrawal finds nothing instead of
 * something freed.
 */
struct asked {
	struct asked *next;
	struct link *link;
	enum asked_kind kind;
	uint32_t id;
	struct ref ref;
	char *asker;
	int64_t deadline_ms;
	force_done_fn *done;
	link_look_fn *look;
	void *arg;
};

struct link {
	struct link_options options; /* its strings and descriptor are the link's own */
	char *mountpoint, *store, *service, *version;
	struct loop *loop;
	pthread_t thread, connector;
	atomic_bool closing;
	_Atomic uint32_t last_id;

	pthread_mutex_t lock; /* guards asked */
	struct asked *asked;  /* forces and looks not answered */

	/* The loop's thread only: */
	bool connected, was_connected, connecting;
	struct conn conn;
	struct loop_watch *watch;
	struct loop_timer *timer;
	int64_t retry_ms;
	/* Handed over by the connector thread, read after it was joined. */
	int connect_code;
	struct conn fresh;
};

static void begin_connecting(void *arg);

static void asked_free(struct asked *a)
{
	ref_release(&a->ref);
	free(a->asker);
	free(a);
}

/* Takes the request with this id off the list; NULL when it is not (any more) there. */
static struct asked *take(struct link *l, uint32_t id)
{
	pthread_mutex_lock(&l->lock);
	struct asked **at = &l->asked;
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	struct asked *found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&l->lock);
	return found;
}

static void answer_force(struct asked *a, int code, const struct ref *ref, const char *reason,
                         const struct digest *failed, bool memoised)
{
	struct force_answer answer = {
		.code = code, .ref = ref, .reason = reason, .memoised = memoised
	};
	if (failed)
		answer.failed = *failed;
	a->done(a->arg, &answer);
	asked_free(a);
}

static void answer_look(struct asked *a, int code, const struct force_look *look)
{
	a->look(a->arg, code, look);
	asked_free(a);
}

/* Looks never wait for the service to come back. */
static void answer_looks_away(struct link *l)
{
	for (;;) {
		pthread_mutex_lock(&l->lock);
		struct asked *a = l->asked;
		while (a && a->kind != ASKED_LOOK)
			a = a->next;
		uint32_t id = a ? a->id : 0;
		pthread_mutex_unlock(&l->lock);
		if (!id)
			return;
		a = take(l, id);
		if (a)
			answer_look(a, -EAGAIN, NULL);
	}
}

static void lose_connection(struct link *l)
{
	if (!l->connected)
		return;
	l->connected = false;
	loop_unwatch(l->watch);
	conn_release(&l->conn);
	answer_looks_away(l);
	if (!atomic_load(&l->closing))
		begin_connecting(l);
}

static void link_send(struct link *l, struct buf *frame, int fd)
{
	if (conn_send(&l->conn, frame, fd, NULL) < 0)
		lose_connection(l);
	else
		loop_watch_events(l->watch, EPOLLIN | (conn_pending(&l->conn) ? EPOLLOUT : 0));
}

static void encode_asked(const struct asked *a, struct buf *frame)
{
	size_t mark;
	if (a->kind == ASKED_FORCE) {
		struct message_force m = { .refs = (struct ref *)(uintptr_t)&a->ref,
			                   .count = 1,
			                   .asker = a->asker,
			                   .deadline_ms = a->deadline_ms,
			                   .priority = PRIORITY_READER };
		mark = wire_begin(frame, MESSAGE_FORCE, a->id);
		message_force_encode(frame, &m);
	} else {
		mark = wire_begin(frame, MESSAGE_LOOK, a->id);
		wire_ref(frame, &a->ref);
	}
	wire_end(frame, mark);
}

static void on_result(struct link *l, uint32_t id, const char *payload, size_t len)
{
	uint32_t index;
	struct client_force_result result;
	struct error err = ERROR_INIT;
	struct asked *a = take(l, id);
	if (!a)
		return;
	if (message_result_decode(payload, len, &index, &result, &err) < 0) {
		answer_force(a, -EIO, NULL, err.text, NULL, false);
		return;
	}
	answer_force(a, result.code, &result.ref, result.reason, &result.failed, result.memoised);
	client_force_result_release(&result);
}

static void on_look(struct link *l, uint32_t id, const char *payload, size_t len)
{
	struct force_look look;
	struct asked *a = take(l, id);
	if (!a)
		return;
	if (a->kind == ASKED_FORCE) {
		answer_force(a, -EIO, NULL, "the service answers a force with a look", NULL, false);
	} else if (message_look_decode(payload, len, &look, NULL) < 0) {
		answer_look(a, -EBADMSG, NULL);
	} else {
		answer_look(a, 0, &look);
		force_look_release(&look);
	}
}

static void on_error(struct link *l, uint32_t id, const char *payload, size_t len)
{
	struct error err = ERROR_INIT;
	int code = message_error_decode(payload, len, &err);
	struct asked *a = take(l, id);
	if (!a)
		return;
	if (a->kind == ASKED_FORCE)
		answer_force(a, code, NULL, err.text, NULL, false);
	else
		answer_look(a, code, NULL);
}

static void on_settled(struct link *l, const char *payload, size_t len)
{
	struct wire_reader in = wire_reader(payload, len);
	struct digest thunk;
	wire_get_digest(&in, &thunk);
	int code = (int)wire_get_i64(&in);
	if (wire_done(&in, NULL) == 0 && l->options.settled)
		l->options.settled(l->options.arg, &thunk, code);
}

static void on_frame(struct link *l, const struct wire_header *header, const char *payload,
                     size_t len)
{
	if (header->type == MESSAGE_RESULT)
		on_result(l, header->id, payload, len);
	else if (header->type == MESSAGE_ANSWER)
		on_look(l, header->id, payload, len);
	else if (header->type == MESSAGE_ERROR)
		on_error(l, header->id, payload, len);
	else if (header->type == MESSAGE_SETTLED)
		on_settled(l, payload, len);
}

static void on_event(void *arg, uint32_t events)
{
	struct link *l = arg;
	int r = events & EPOLLOUT ? conn_flush(&l->conn, NULL) : 0;
	if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = conn_receive(&l->conn, NULL);
	while (r == 0 && l->connected) {
		struct wire_header header;
		const char *payload;
		size_t len;
		r = conn_next(&l->conn, &header, &payload, &len, NULL);
		if (r <= 0)
			break;
		on_frame(l, &header, payload, len);
		r = 0;
	}
	if (r < 0 && r != -EAGAIN)
		lose_connection(l);
	else if (l->connected)
		loop_watch_events(l->watch, EPOLLIN | (conn_pending(&l->conn) ? EPOLLOUT : 0));
}

static void send_mount(struct link *l)
{
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_MOUNT, atomic_fetch_add(&l->last_id, 1) + 1);
	wire_string(&frame, l->mountpoint);
	wire_end(&frame, mark);
	link_send(l, &frame, fcntl(l->options.backing_fd, F_DUPFD_CLOEXEC, 0));
}

/* Encodes the request with this id; false when it is not (any more) asked. */
static bool encode_if_asked(struct link *l, uint32_t id, struct buf *frame)
{
	pthread_mutex_lock(&l->lock);
	const struct asked *a = l->asked;
	while (a && a->id != id)
		a = a->next;
	if (a)
		encode_asked(a, frame);
	pthread_mutex_unlock(&l->lock);
	return a != NULL;
}

/* What was asked and not answered, asked again in the order of its asking. */
static void ask_again(struct link *l)
{
	size_t count = 0;
	pthread_mutex_lock(&l->lock);
	for (struct asked *a = l->asked; a; a = a->next)
		count++;
	scoped_free uint32_t *ids = xcalloc(count, sizeof(*ids));
	size_t at = count;
	for (struct asked *a = l->asked; a; a = a->next) /* the newest comes first */
		ids[--at] = a->id;
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < count && l->connected; i++) {
		struct buf frame = BUF_INIT;
		if (encode_if_asked(l, ids[i], &frame))
			link_send(l, &frame, -1);
	}
}

static void retry_later(struct link *l)
{
	l->retry_ms = l->retry_ms ? l->retry_ms * 2 : RETRY_FIRST_MS;
	if (l->retry_ms > RETRY_MOST_MS)
		l->retry_ms = RETRY_MOST_MS;
	l->timer = loop_after(l->loop, l->retry_ms, begin_connecting, l);
}

static void on_connected(void *arg)
{
	struct link *l = arg;
	struct error err = ERROR_INIT;
	pthread_join(l->connector, NULL);
	l->connecting = false;
	if (l->connect_code < 0) {
		retry_later(l);
		return;
	}
	l->conn = l->fresh;
	fd_set_nonblock(l->conn.fd, true);
	if (loop_watch(l->loop, l->conn.fd, EPOLLIN, on_event, l, &l->watch, &err) < 0) {
		log_error("the link is broken: %s", err.text);
		conn_release(&l->conn);
		retry_later(l);
		return;
	}
	l->connected = true;
	l->retry_ms = 0;
	send_mount(l);
	if (l->connected && l->was_connected && l->options.reconnected)
		l->options.reconnected(l->options.arg);
	l->was_connected = true;
	ask_again(l);
}

/* Starting a service may take a while: on a thread of its own, so that looks go on failing fast. */
static void *connect_thread(void *arg)
{
	struct link *l = arg;
	struct error err = ERROR_INIT;
	l->connect_code = start_connect(&l->options.client, l->store, &l->fresh, &err);
	if (l->connect_code < 0)
		log_warning("no way to the service: %s", err.text);
	loop_post(l->loop, on_connected, l);
	return NULL;
}

static void begin_connecting(void *arg)
{
	struct link *l = arg;
	l->timer = NULL;
	if (l->connecting || l->connected || atomic_load(&l->closing))
		return;
	if (pthread_create(&l->connector, NULL, connect_thread, l) != 0)
		retry_later(l);
	else
		l->connecting = true;
}

static void *link_thread(void *arg)
{
	struct link *l = arg;
	begin_connecting(l);
	struct error err = ERROR_INIT;
	if (loop_run(l->loop, &err) < 0)
		log_error("the link is broken: %s", err.text);
	return NULL;
}

static void link_release(struct link *l)
{
	loop_free(l->loop);
	pthread_mutex_destroy(&l->lock);
	if (l->options.backing_fd >= 0)
		close(l->options.backing_fd);
	free(l->mountpoint);
	free(l->store);
	free(l->service);
	free(l->version);
	free(l);
}

static char *copy_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

int link_open(const struct link_options *options, struct link **out, struct error *err)
{
	struct link *l = xcalloc(1, sizeof(*l));
	l->options = *options;
	l->mountpoint = xstrdup(options->mountpoint);
	l->store = options->client.store ? xstrdup(options->client.store) : client_default_store();
	l->service = copy_or_null(options->client.service);
	l->version = copy_or_null(options->client.version);
	l->options.client.store = l->store;
	l->options.client.service = l->service;
	l->options.client.version = l->version;
	l->options.mountpoint = l->mountpoint;
	l->options.backing_fd = fcntl(options->backing_fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_init(&l->lock, NULL);
	int r = l->options.backing_fd < 0 ? error_errno(err, "cannot keep the backing directory")
	                                  : 0;
	if (r == 0)
		r = loop_new(&l->loop, err);
	if (r == 0) {
		int failed = pthread_create(&l->thread, NULL, link_thread, l);
		if (failed)
			r = error_set(err, -failed, "cannot start the link's thread");
	}
	if (r < 0) {
		link_release(l);
		return r;
	}
	*out = l;
	return 0;
}

static void close_link(void *arg)
{
	struct link *l = arg;
	loop_cancel(l->timer);
	l->timer = NULL;
	lose_connection(l);
	loop_stop(l->loop);
}

void link_free(struct link *l)
{
	if (!l)
		return;
	atomic_store(&l->closing, true);
	loop_post(l->loop, close_link, l);
	pthread_join(l->thread, NULL);
	if (l->connecting) {
		pthread_join(l->connector, NULL);
		if (l->connect_code == 0)
			conn_release(&l->fresh);
		l->connecting = false;
	}
	/* The loop is at rest: whatever is left is answered from here. */
	for (struct asked *a; l->asked && (a = take(l, l->asked->id));) {
		if (a->kind == ASKED_FORCE)
			answer_force(a, -ESHUTDOWN, NULL, "the mount is ending", NULL, false);
		else
			answer_look(a, -EAGAIN, NULL);
	}
	link_release(l);
}

/* A request on its way from a caller's thread to the link's. */
struct errand {
	struct link *link;
	uint32_t id;
	struct digest thunk; /* retry */
};

static void run_ask(void *arg)
{
	struct errand *e = arg;
	struct buf frame = BUF_INIT;
	if (!e->link->connected) {
		struct asked *a = NULL;
		/* A force waits for the connection; a look is told that there is none. */
		pthread_mutex_lock(&e->link->lock);
		for (a = e->link->asked; a && a->id != e->id; a = a->next)
			;
		bool look = a && a->kind == ASKED_LOOK;
		pthread_mutex_unlock(&e->link->lock);
		a = look ? take(e->link, e->id) : NULL;
		if (a)
			answer_look(a, -EAGAIN, NULL);
	} else if (encode_if_asked(e->link, e->id, &frame)) {
		link_send(e->link, &frame, -1);
	}
	free(e);
}

static void run_cancel(void *arg)
{
	struct errand *e = arg;
	if (e->link->connected) {
		struct buf frame = BUF_INIT;
		wire_end(&frame, wire_begin(&frame, MESSAGE_FORCE_CANCEL, e->id));
		link_send(e->link, &frame, -1);
	}
	free(e);
}

static void run_retry(void *arg)
{
	struct errand *e = arg;
	if (e->link->connected) {
		struct buf frame = BUF_INIT;
		size_t mark = wire_begin(&frame, MESSAGE_RETRY, e->id);
		wire_digest(&frame, &e->thunk);
		wire_end(&frame, mark);
		link_send(e->link, &frame, -1);
	}
	free(e);
}

static void post_errand(struct link *l, loop_fn *fn, uint32_t id, const struct digest *thunk)
{
	struct errand *e = xcalloc(1, sizeof(*e));
	e->link = l;
	e->id = id;
	if (thunk)
		e->thunk = *thunk;
	loop_post(l->loop, fn, e);
}

static uint32_t next_id(struct link *l)
{
	return atomic_fetch_add(&l->last_id, 1) + 1;
}

/* Puts a request on the list and has it sent; its id. */
static uint32_t ask(struct link *l, struct asked *a)
{
	uint32_t id = next_id(l);
	a->link = l;
	a->id = id;
	pthread_mutex_lock(&l->lock);
	a->next = l->asked;
	l->asked = a;
	pthread_mutex_unlock(&l->lock);
	post_errand(l, run_ask, id, NULL);
	return id;
}

struct link_force *link_force_start(struct link *l, const struct ref *ref, const char *asker,
                                    int64_t deadline_ms, force_done_fn *done, void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a));
	a->kind = ASKED_FORCE;
	ref_copy(&a->ref, ref);
	a->asker = xstrdup(asker ? asker : "");
	a->deadline_ms = deadline_ms;
	a->done = done;
	a->arg = arg;
	return (struct link_force *)(uintptr_t)ask(l, a);
}

bool link_force_cancel(struct link *l, struct link_force *force)
{
	uint32_t id = (uint32_t)(uintptr_t)force;
	struct asked *a = take(l, id);
	if (!a)
		return false;
	asked_free(a);
	post_errand(l, run_cancel, id, NULL);
	return true;
}

void link_look(struct link *l, const struct ref *ref, link_look_fn *done, void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a));
	a->kind = ASKED_LOOK;
	ref_copy(&a->ref, ref);
	a->look = done;
	a->arg = arg;
	ask(l, a);
}

void link_retry(struct link *l, const struct digest *thunk)
{
	post_errand(l, run_retry, next_id(l), thunk);
}
