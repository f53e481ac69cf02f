#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/link_impl.h"
#include "engine/service/start.h"

static void watch_events(struct link *l)
{
	loop_watch_events(l->watch, EPOLLIN | (conn_pending(&l->conn) ? EPOLLOUT : 0));
}

static bool is_look(const struct link *l, const struct asked *a)
{
	(void)l;
	return a->kind == ASKED_LOOK;
}

static bool is_lost_too_often(const struct link *l, const struct asked *a)
{
	(void)l;
	return a->kind == ASKED_FORCE && a->lost >= LINK_LOST_MAX;
}

/* A service that dies whenever it is asked this may die of it: that may not go on for ever. Every
 * force that waits shares the blame, unless the service lived a while. */
static void count_loss(struct link *l, bool lived)
{
	pthread_mutex_lock(&l->lock);
	for (struct asked *a = l->asked; a; a = a->next)
		a->lost = lived || a->sent_on != l->connection ? 0 : a->lost + 1;
	pthread_mutex_unlock(&l->lock);
	for (struct asked *a; (a = link_take_first(l, is_lost_too_often));)
		link_answer_force(
		        a, -ENETDOWN, NULL,
		        "the service ends again and again while it is asked for this; see "
		        "service/log in the store",
		        NULL, false);
}

static bool any_asked(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	bool any = l->asked != NULL;
	pthread_mutex_unlock(&l->lock);
	return any;
}

static void retry_later(struct link *l)
{
	int64_t most_ms = l->quiet ? LINK_QUIET_MOST_MS : LINK_RETRY_MOST_MS;
	l->retry_ms = l->retry_ms ? l->retry_ms * 2 : LINK_RETRY_FIRST_MS;
	if (l->retry_ms > most_ms)
		l->retry_ms = most_ms;
	l->timer = loop_after(l->loop, l->retry_ms, link_connect, l);
}

void link_disconnect(struct link *l)
{
	if (!l->connected)
		return;
	bool lived = now_ms() - l->connected_ms >= LINK_LIVED_MS;
	l->connected = false;
	l->away_since_ms = now_ms();
	loop_unwatch(l->watch);
	conn_release(&l->conn);
	for (struct asked *a; (a = link_take_first(l, is_look));)
		link_answer_look(a, -EAGAIN, NULL); /* looks never wait for it to come back */
	if (atomic_load(&l->closing))
		return;
	count_loss(l, lived);
	if (any_asked(l))
		l->quiet = false;
	if (!lived) {
		retry_later(l);
		return;
	}
	l->retry_ms = 0;
	link_connect(l);
}

void link_wake(struct link *l)
{
	if (!l->quiet || l->connected)
		return;
	l->quiet = false;
	l->away_since_ms = now_ms();
	loop_cancel(l->timer);
	l->retry_ms = 0;
	link_connect(l);
}

void link_send(struct link *l, struct buf *frame, int fd)
{
	if (conn_send(&l->conn, frame, fd, NULL) < 0)
		link_disconnect(l);
	else
		watch_events(l);
}

static void encode_asked(const struct link *l, const struct asked *a, struct buf *frame)
{
	size_t mark;
	if (a->kind == ASKED_FORCE) {
		int64_t left = a->due_ms - now_ms();
		struct message_force m = { .refs = (struct ref *)(uintptr_t)&a->ref,
			                   .count = 1,
			                   .engine = l->engine,
			                   .asker = a->asker,
			                   .local_only = a->local_only,
			                   .budget_nanodollars = l->options.budget_nanodollars,
			                   .deadline_ms = a->due_ms == 0 ? 0
			                                  : left > 0     ? left
			                                                 : 1,
			                   .priority = PRIORITY_READER };
		mark = wire_begin(frame, MESSAGE_FORCE, a->id);
		message_force_encode(frame, &m);
	} else {
		mark = wire_begin(frame, MESSAGE_LOOK, a->id);
		wire_ref(frame, &a->ref);
	}
	wire_end(frame, mark);
}

void link_send_asked(struct link *l, uint32_t id)
{
	struct buf frame = BUF_INIT;
	pthread_mutex_lock(&l->lock);
	struct asked *a = l->asked;
	while (a && a->id != id)
		a = a->next;
	if (a && a->sent_on != l->connection) {
		a->sent_on = l->connection;
		encode_asked(l, a, &frame);
	}
	pthread_mutex_unlock(&l->lock);
	if (frame.len)
		link_send(l, &frame, -1);
}

static void on_event(void *arg, uint32_t events)
{
	struct link *l = arg;
	int r = events & EPOLLOUT ? conn_flush(&l->conn, NULL) : 0;
	if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = conn_receive(&l->conn, NULL);
	while (r == 0) {
		struct wire_header header;
		const char *payload;
		size_t len;
		r = conn_next(&l->conn, &header, &payload, &len, NULL);
		if (r <= 0)
			break;
		link_on_frame(l, &header, payload, len);
		r = 0;
	}
	if (r < 0 && r != -EAGAIN)
		link_disconnect(l);
	else
		watch_events(l);
}

static void send_mount(struct link *l)
{
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_MOUNT, atomic_fetch_add(&l->last_id, 1) + 1);
	wire_string(&frame, l->mountpoint);
	wire_end(&frame, mark);
	link_send(l, &frame, fcntl(l->options.backing_fd, F_DUPFD_CLOEXEC, 0));
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
	for (struct asked *a = l->asked; a; a = a->next)
		ids[--at] = a->id;
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < count && l->connected; i++)
		link_send_asked(l, ids[i]);
}

static bool is_force(const struct link *l, const struct asked *a)
{
	(void)l;
	return a->kind == ASKED_FORCE;
}

/* Tells once, and whoever waits when it has lasted too long. */
static void stay_away(struct link *l)
{
	if (l->connect_options.never_start && !l->options.client.never_start) {
		retry_later(l); /* nobody has started one yet, as it should be */
		return;
	}
	if (!l->told_away)
		log_warning("no way to the service: %s", l->connect_error.text);
	l->told_away = true;
	if (now_ms() - l->away_since_ms >= LINK_AWAY_MAX_MS)
		for (struct asked *a; (a = link_take_first(l, is_force));)
			link_answer_force(a, -ENETDOWN, NULL, l->connect_error.text, NULL, false);
	retry_later(l);
}

static void on_connected(void *arg)
{
	struct link *l = arg;
	if (!l->connecting) /* the link ends, and has seen to what the thread left */
		return;
	pthread_join(l->connector, NULL);
	l->connecting = false;
	if (atomic_load(&l->closing)) { /* link_disconnect may have been and gone */
		if (l->connect_code == 0)
			conn_release(&l->fresh);
		return;
	}
	if (l->connect_code == 0) {
		l->conn = l->fresh;
		fd_set_nonblock(l->conn.fd, true);
		l->connect_code = loop_watch(l->loop, l->conn.fd, EPOLLIN, on_event, l, &l->watch,
		                             &l->connect_error);
		if (l->connect_code < 0)
			conn_release(&l->conn);
	}
	if (l->connect_code < 0) {
		stay_away(l);
		return;
	}
	l->connected = true;
	l->told_away = l->quiet = false;
	l->connection++;
	l->connected_ms = now_ms();
	send_mount(l);
	if (l->connected && l->was_connected && l->options.reconnected)
		l->options.reconnected(l->options.arg);
	l->was_connected = true;
	if (l->connected)
		ask_again(l);
}

/* Or did so and was killed: then the try fails, as any may. */
static bool somebody_listens(const struct link *l)
{
	scoped_free char *socket = xformat("%s/service/socket", l->store);
	return access(socket, F_OK) == 0;
}

/* Starting a service may take a while: on a thread of its own, so that looks go on failing fast. */
static void *connect_thread(void *arg)
{
	struct link *l = arg;
	l->connect_error = ERROR_INIT;
	l->connect_code = start_connect(&l->connect_options, l->store, &l->closing, &l->fresh,
	                                &l->connect_error);
	loop_post(l->loop, on_connected, l);
	return NULL;
}

void link_connect(void *arg)
{
	struct link *l = arg;
	l->timer = NULL;
	if (l->connecting || l->connected || atomic_load(&l->closing))
		return;
	if (l->quiet && !somebody_listens(l)) {
		retry_later(l);
		return;
	}
	l->connect_options = l->options.client;
	l->connect_options.never_start = l->options.client.never_start || l->quiet;
	if (pthread_create(&l->connector, NULL, connect_thread, l) != 0)
		retry_later(l);
	else
		l->connecting = true;
}
