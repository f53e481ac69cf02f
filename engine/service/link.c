#include "engine/service/link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/link_impl.h"
#include "engine/service/start.h"

static void asked_free(struct asked *a)
{
	ref_release(&a->ref);
	free(a->asker);
	free(a);
}

struct asked *link_take(struct link *l, uint32_t id)
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

struct asked *link_take_first(struct link *l, link_fits_fn *fits)
{
	pthread_mutex_lock(&l->lock);
	struct asked **at = &l->asked;
	while (*at && !fits(l, *at))
		at = &(*at)->next;
	struct asked *found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&l->lock);
	return found;
}

void link_answer_force(struct asked *a, int code, const struct ref *ref, const char *reason,
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

void link_answer_look(struct asked *a, int code, const struct force_look *look)
{
	a->look(a->arg, code, look);
	asked_free(a);
}

/* --- deadlines ----------------------------------------------------------------------------------
 */

static bool is_overdue(const struct link *l, const struct asked *a)
{
	(void)l;
	return a->due_ms != 0 && now_ms() >= a->due_ms + LINK_SWEEP_GRACE_MS;
}

static bool any_due(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	const struct asked *a = l->asked;
	while (a && a->due_ms == 0)
		a = a->next;
	pthread_mutex_unlock(&l->lock);
	return a != NULL;
}

/* The service keeps deadlines; this is for while it is away, or hangs. */
static void sweep(void *arg)
{
	struct link *l = arg;
	l->sweep = NULL;
	for (struct asked *a; (a = link_take_first(l, is_overdue));)
		link_answer_force(a, -ETIMEDOUT, NULL,
		                  "the deadline passed before the service answered", NULL, false);
	if (any_due(l))
		l->sweep = loop_after(l->loop, LINK_SWEEP_MS, sweep, l);
}

/* --- begin and end ------------------------------------------------------------------------------
 */

static void *link_thread(void *arg)
{
	struct link *l = arg;
	l->away_since_ms = now_ms();
	link_connect(l);
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
	free(l->engine);
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
	l->store = start_store(&options->client);
	l->service = copy_or_null(options->client.service);
	l->version = copy_or_null(options->client.version);
	l->options.client.store = l->store;
	l->options.client.service = l->service;
	l->engine = copy_or_null(options->engine);
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
	loop_cancel(l->sweep);
	l->timer = l->sweep = NULL;
	link_disconnect(l);
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
		l->connecting = false; /* for on_connected, which the loop still has to run */
	}
	/* The loop is at rest: whatever is left is answered from here. */
	for (struct asked *a; l->asked && (a = link_take(l, l->asked->id));) {
		if (a->kind == ASKED_FORCE)
			link_answer_force(a, -ESHUTDOWN, NULL, "the mount is ending", NULL, false);
		else
			link_answer_look(a, -ESHUTDOWN, NULL);
	}
	link_release(l);
}

/* A request on its way from a caller's thread to the link's. */
struct errand {
	struct link *link;
	uint32_t id;
	bool look, due;      /* of what is asked: whether it is a look; whether it has a deadline */
	struct digest thunk; /* retry */
};

static void run_ask(void *arg)
{
	struct errand *e = arg;
	struct link *l = e->link;
	if (l->connected)
		link_send_asked(l, e->id);
	else
		link_wake(l);
	/* A force waits for the connection; a look is told that there is none. */
	if (!l->connected && e->look) {
		struct asked *a = link_take(l, e->id);
		if (a)
			link_answer_look(a, -EAGAIN, NULL);
	}
	if (e->due && !l->sweep && !atomic_load(&l->closing))
		l->sweep = loop_after(l->loop, LINK_SWEEP_MS, sweep, l);
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
	} else {
		link_wake(e->link);
	}
	free(e);
}

static struct errand *errand_new(struct link *l, uint32_t id)
{
	struct errand *e = xcalloc(1, sizeof(*e));
	e->link = l;
	e->id = id;
	return e;
}

static uint32_t next_id(struct link *l)
{
	return atomic_fetch_add(&l->last_id, 1) + 1;
}

/* Puts a request on the list and has it sent; its id. */
static uint32_t ask(struct link *l, struct asked *a)
{
	uint32_t id = next_id(l);
	struct errand *e = errand_new(l, id);
	e->look = a->kind == ASKED_LOOK;
	e->due = a->due_ms != 0;
	a->id = id;
	pthread_mutex_lock(&l->lock);
	a->next = l->asked;
	l->asked = a;
	pthread_mutex_unlock(&l->lock);
	loop_post(l->loop, run_ask, e);
	return id;
}

struct link_force *link_force_start(struct link *l, const struct ref *ref, const char *asker,
                                    int64_t deadline_ms, bool local_only, force_done_fn *done,
                                    void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a));
	a->kind = ASKED_FORCE;
	ref_copy(&a->ref, ref);
	a->asker = xstrdup(asker ? asker : "");
	a->local_only = local_only;
	if (deadline_ms > 0 && deadline_ms <= MESSAGE_DEADLINE_MAX_MS)
		a->due_ms = now_ms() + deadline_ms;
	a->done = done;
	a->arg = arg;
	return (struct link_force *)(uintptr_t)ask(l, a);
}

bool link_force_cancel(struct link *l, struct link_force *force)
{
	uint32_t id = (uint32_t)(uintptr_t)force;
	struct asked *a = link_take(l, id);
	if (!a)
		return false;
	asked_free(a);
	loop_post(l->loop, run_cancel, errand_new(l, id));
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
	struct errand *e = errand_new(l, next_id(l));
	e->thunk = *thunk;
	loop_post(l->loop, run_retry, e);
}
