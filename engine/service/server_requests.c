#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "engine/model/view.h"
#include "engine/service/server_impl.h"

typedef int request_fn(struct peer *p, uint32_t id, const char *payload, size_t len,
                       struct error *err);

static int on_hello(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct message_hello theirs;
	int r = message_hello_decode(payload, len, &theirs, err);
	if (r < 0)
		return r;
	uint32_t protocol = theirs.protocol;
	message_hello_release(&theirs);
	if (protocol < PROTOCOL_VERSION) {
		scoped_free char *text =
		        xformat("the service of this store is ggfs %s, which no longer "
		                "speaks protocol %u; use that ggfs, or `ggfs stop` it",
		                GGFS_VERSION, protocol);
		peer_send_error(p, id, -EPROTO, text);
		return 0;
	}
	struct message_hello ours = { .protocol = PROTOCOL_VERSION,
		                      .pid = (uint32_t)getpid(),
		                      .version = (char *)(uintptr_t)GGFS_VERSION,
		                      .store = (char *)(uintptr_t)p->server->options->store };
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	message_hello_encode(&frame, &ours);
	wire_end(&frame, mark);
	peer_send(p, &frame, -1);
	p->greeted = true;
	return 0;
}

static int read_digest(const char *payload, size_t len, struct digest *d, struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	wire_get_digest(&in, d);
	return wire_done(&in, err);
}

/* A blob that is only in the far store, on its way here for a peer. */
struct fetching {
	struct peer *peer;
	uint32_t id;
	struct digest digest;
	int code;
	char *reason;
};

static void send_blob(struct peer *p, uint32_t id, const struct digest *d, int fd)
{
	index_access(p->server->index, d);
	peer_send_ok(p, id, fd);
}

static void fetch_ended(void *arg)
{
	struct fetching *f = arg;
	struct error err = ERROR_INIT;
	int fd = f->code < 0 ? error_set(&err, f->code, "%s", f->reason)
	                     : store_get(f->peer->server->store, &f->digest, &err);
	if (fd < 0)
		peer_send_error(f->peer, f->id, fd, error_text(&err));
	else
		send_blob(f->peer, f->id, &f->digest, fd);
	peer_unref(f->peer);
	free(f->reason);
	free(f);
}

static void fetched(void *arg, int code, const char *reason)
{
	struct fetching *f = arg;
	f->code = code;
	f->reason = xstrdup(reason);
	loop_post(f->peer->server->loop, fetch_ended, f);
}

static bool fetch_first(struct peer *p, uint32_t id, const struct digest *d)
{
	struct fetching *f = xcalloc(1, sizeof(*f));
	*f = (struct fetching){ .peer = p, .id = id, .digest = *d };
	if (!cloud_fetch(p->server->cloud, d, fetched, f)) {
		free(f);
		return false;
	}
	peer_ref(p);
	return true;
}

static int on_get(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct digest d;
	struct error why = ERROR_INIT;
	int r = read_digest(payload, len, &d, err);
	if (r < 0)
		return r;
	int fd = store_get(p->server->store, &d, &why);
	if (fd == -ENOENT && fetch_first(p, id, &d))
		return 0;
	if (fd < 0)
		peer_send_error(p, id, fd, error_text(&why));
	else
		send_blob(p, id, &d, fd);
	return 0;
}

static int on_force_cancel(struct peer *p, uint32_t id, const char *payload, size_t len,
                           struct error *err)
{
	(void)payload;
	if (len)
		return error_set(err, -EBADMSG, "a withdrawal carries no payload");
	server_force_cancel(p, id);
	return 0;
}

static int on_look(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	scoped_ref struct ref ref = REF_INIT;
	struct wire_reader in = wire_reader(payload, len);
	wire_get_ref(&in, &ref);
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	struct force_look look;
	struct error why = ERROR_INIT;
	r = forcer_look(p->server->forcer, &ref, &look, &why);
	if (r < 0) {
		peer_send_error(p, id, r, error_text(&why));
		return 0;
	}
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	message_look_encode(&frame, &look);
	wire_end(&frame, mark);
	force_look_release(&look);
	peer_send(p, &frame, -1);
	return 0;
}

static int on_waiting(struct peer *p, uint32_t id, const char *payload, size_t len,
                      struct error *err)
{
	struct digest d;
	int r = read_digest(payload, len, &d, err);
	if (r < 0)
		return r;
	struct digest *list = NULL;
	size_t count = 0;
	forcer_waiting_for(p->server->forcer, &d, &list, &count);
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	wire_u32(&frame, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		wire_digest(&frame, &list[i]);
	wire_end(&frame, mark);
	free(list);
	peer_send(p, &frame, -1);
	return 0;
}

static int on_memo(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct digest d;
	int r = read_digest(payload, len, &d, err);
	if (r < 0)
		return r;
	struct memo memo = MEMO_INIT;
	struct error why = ERROR_INIT;
	r = index_memo_get(p->server->index, &d, &memo, &why);
	if (r < 0) {
		peer_send_error(p, id, r, error_text(&why));
		return 0;
	}
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	memo_encode(&memo, &frame);
	wire_end(&frame, mark);
	memo_release(&memo);
	peer_send(p, &frame, -1);
	return 0;
}

static int on_cancel(struct peer *p, uint32_t id, const char *payload, size_t len,
                     struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	bool one = wire_get_u8(&in) != 0;
	struct digest d;
	wire_get_digest(&in, &d);
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	if (one)
		r = forcer_cancel_thunk(p->server->forcer, &d);
	else
		forcer_cancel_all(p->server->forcer);
	if (r < 0)
		peer_send_error(p, id, r, "this thunk is neither queued nor running");
	else
		peer_send_ok(p, id, -1);
	return 0;
}

static int on_retry(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct digest d;
	int r = read_digest(payload, len, &d, err);
	if (r < 0)
		return r;
	r = index_failure_delete(p->server->index, &d);
	if (r < 0) {
		peer_send_error(p, id, r, "no failure of this thunk is remembered");
		return 0;
	}
	server_settled(p->server, &d, 0);
	peer_send_ok(p, id, -1);
	return 0;
}

static int on_info(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct server *s = p->server;
	(void)payload;
	if (len)
		return error_set(err, -EBADMSG, "this request carries no payload");
	struct client_service_info info = {
		.pid = (int)getpid(),
		.version = (char *)(uintptr_t)GGFS_VERSION,
		.store = (char *)(uintptr_t)s->options->store,
		.engine = (char *)(uintptr_t)s->engine->ops->name,
		.jobs = s->engine->ops->capacity(s->engine),
	};
	forcer_counts(s->forcer, &info.counts);
	for (struct peer *q = s->peers; q; q = q->next)
		if (q->mountpoint)
			strv_add(&info.mounts, q->mountpoint);
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	message_info_encode(&frame, &info);
	wire_end(&frame, mark);
	strv_release(&info.mounts);
	peer_send(p, &frame, -1);
	return 0;
}

static int on_bill(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	(void)payload;
	if (len)
		return error_set(err, -EBADMSG, "this request carries no payload");
	struct client_bill bill = { 0 };
	const char *far_url, *date;
	cloud_bill(p->server->cloud, &bill.totals, &far_url, &date, &bill.far_paused);
	bill.far_url = (char *)(uintptr_t)far_url;
	bill.prices_date = (char *)(uintptr_t)date;
	struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_ANSWER, id);
	message_bill_encode(&frame, &bill);
	wire_end(&frame, mark);
	peer_send(p, &frame, -1);
	return 0;
}

static int on_stop(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	(void)payload;
	if (len)
		return error_set(err, -EBADMSG, "this request carries no payload");
	log_info("asked to stop");
	server_tell_going(p->server);
	peer_send_ok(p, id, -1);
	p->server->stopping = true;
	loop_stop(p->server->loop);
	return 0;
}

static int on_mount(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	scoped_free char *mountpoint = wire_get_string(&in);
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	int fd = conn_claim_fd(&p->conn);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode) || mountpoint[0] != '/' ||
	    p->mountpoint) {
		scoped_close_(&fd);
		return error_set(err, -EBADMSG, "a mount must lend one directory, once");
	}
	mount_table_add(p->server->mounts, mountpoint, fd);
	p->mountpoint = steal(&mountpoint);
	log_info("mount of %s", p->mountpoint);
	peer_send_ok(p, id, -1);
	return 0;
}

static int on_put(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	(void)payload;
	if (len)
		return error_set(err, -EBADMSG, "this request carries no payload");
	return server_put(p, id, conn_claim_fd(&p->conn), err);
}

static request_fn *const requests[] = {
	[MESSAGE_HELLO] = on_hello,
	[MESSAGE_INFER] = server_infer,
	[MESSAGE_PUT] = on_put,
	[MESSAGE_PUT_BYTES] = server_put_bytes,
	[MESSAGE_GET] = on_get,
	[MESSAGE_FORCE] = server_force,
	[MESSAGE_FORCE_CANCEL] = on_force_cancel,
	[MESSAGE_LOOK] = on_look,
	[MESSAGE_WAITING] = on_waiting,
	[MESSAGE_MEMO] = on_memo,
	[MESSAGE_CANCEL] = on_cancel,
	[MESSAGE_RETRY] = on_retry,
	[MESSAGE_LOG] = server_log,
	[MESSAGE_INFO] = on_info,
	[MESSAGE_STOP] = on_stop,
	[MESSAGE_MOUNT] = on_mount,
	[MESSAGE_INPUT] = server_input,
	[MESSAGE_ESTIMATE] = server_estimate,
	[MESSAGE_BILL] = on_bill,
};

int server_handle(struct peer *p, const struct wire_header *header, const char *payload, size_t len,
                  struct error *err)
{
	size_t known = sizeof(requests) / sizeof(*requests);
	if (header->type >= known || !requests[header->type])
		return error_set(err, -EBADMSG, "no request has the number %u", header->type);
	/* STOP is understood from anyone, so that a ggfs of any protocol can replace this one. */
	if (!p->greeted && header->type != MESSAGE_HELLO && header->type != MESSAGE_STOP)
		return error_set(err, -EBADMSG, "request %u before the greeting", header->type);
	if (p->server->stopping)
		return 0;
	return requests[header->type](p, header->id, payload, len, err);
}
