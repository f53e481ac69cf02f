#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "common/io.h"
#include "engine/service/client_impl.h"
#include "engine/service/start.h"

char *client_default_store(void)
{
	const char *named = getenv("GGFS_STORE");
	if (named && *named)
		return xstrdup(named);
	const char *cache = getenv("XDG_CACHE_HOME");
	if (cache && cache[0] == '/')
		return xformat("%s/ggfs", cache);
	const char *home = getenv("HOME");
	return xformat("%s/.cache/ggfs", home && *home ? home : "/");
}

static char *copy_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

int client_open(const struct client_options *options, struct client **out, struct error *err)
{
	struct client *c = xcalloc(1, sizeof(*c));
	c->store = start_store(options);
	c->service = copy_or_null(options->service);
	c->version = copy_or_null(options->version);
	c->options = (struct client_options){ .store = c->store,
		                              .service = c->service,
		                              .version = c->version,
		                              .never_start = options->never_start,
		                              .patience_ms = options->patience_ms };
	int r = client_connect(c, err);
	if (r < 0)
		client_free(c);
	else
		*out = c;
	return r;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	client_disconnect(c);
	free(c->store);
	free(c->service);
	free(c->version);
	free(c);
}

int client_connect(struct client *c, struct error *err)
{
	if (c->connected)
		return 0;
	int r = start_connect(&c->options, c->store, NULL, &c->conn, err);
	c->connected = r == 0;
	if (c->connected)
		fd_set_nonblock(c->conn.fd, true); /* it is waited for in client_wait alone */
	return r;
}

void client_disconnect(struct client *c)
{
	if (c->connected)
		conn_release(&c->conn);
	c->connected = false;
}

void reply_release(struct reply *r)
{
	buf_release(&r->payload);
	scoped_close_(&r->fd);
	r->fd = -1;
}

size_t client_begin(struct client *c, struct buf *b, enum message_type type, uint32_t *id)
{
	*id = ++c->last_id;
	return wire_begin(b, (uint16_t)type, *id);
}

int client_send(struct client *c, const struct buf *frame, int fd, struct error *err)
{
	int r = client_connect(c, err);
	if (r < 0)
		return r;
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && copy < 0)
		return error_errno(err, "cannot duplicate a descriptor");
	scoped_buf struct buf bytes = BUF_INIT;
	buf_add(&bytes, frame->data, frame->len);
	client_wait_begin(c);
	r = conn_send(&c->conn, &bytes, copy, err);
	while (r == 0 && conn_pending(&c->conn)) {
		r = client_wait(c, POLLOUT, -1, err);
		if (r > 0)
			r = conn_flush(&c->conn, err);
	}
	return r;
}

int client_lost(const struct client *c, struct error *err)
{
	return error_set(err, -ECONNRESET,
	                 "the service ended %d times in the middle of this; see %s/service/log",
	                 CLIENT_TRIES_MAX, c->store);
}

/* Waits for the frame that answers id; others (leftovers of a withdrawn force) are passed over. */
static int await(struct client *c, uint32_t id, struct reply *out, struct error *err)
{
	for (;;) {
		struct wire_header header;
		const char *payload;
		size_t len;
		int r = conn_next(&c->conn, &header, &payload, &len, err);
		if (r < 0)
			return r;
		if (r == 0) {
			r = client_wait(c, POLLIN, -1, err);
			if (r > 0)
				r = conn_receive(&c->conn, err);
			if (r < 0 && r != -EAGAIN)
				return r;
			continue;
		}
		if (header.id != id)
			continue;
		out->type = header.type;
		buf_reset(&out->payload);
		buf_add(&out->payload, payload, len);
		out->fd = conn_claim_fd(&c->conn);
		return 0;
	}
}

int client_call(struct client *c, struct buf *frame, uint32_t id, int fd, enum message_type want,
                struct reply *out, struct error *err)
{
	*out = (struct reply){ .fd = -1 };
	int r = -ECONNRESET;
	while (r == -ECONNRESET && out->tries < CLIENT_TRIES_MAX) {
		r = client_send(c, frame, fd, err);
		out->tries++;
		if (r == 0)
			r = await(c, id, out, err);
		if (r < 0 && r != -EMSGSIZE)
			client_disconnect(c);
	}
	if (r == -ECONNRESET)
		r = client_lost(c, err);
	if (r == 0 && out->type == MESSAGE_ERROR)
		r = message_error_decode(out->payload.data, out->payload.len, err);
	else if (r == 0 && out->type != want)
		r = error_set(err, -EPROTO, "the service answers with message %u", out->type);
	if (r < 0)
		reply_release(out);
	return r;
}

int client_call_digest(struct client *c, enum message_type type, const struct digest *d,
                       enum message_type want, struct reply *out, struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, type, &id);
	if (d)
		wire_digest(&frame, d);
	wire_end(&frame, mark);
	return client_call(c, &frame, id, -1, want, out, err);
}

int client_infer(struct client *c, const struct infer_request *request, struct infer_answer *out,
                 struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_INFER, &id);
	message_infer_encode(&frame, request);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	return message_infer_answer_decode(reply.payload.data, reply.payload.len, out, err);
}

static int read_digest(const struct reply *reply, struct digest *out, uint64_t *size_bytes,
                       struct error *err)
{
	struct wire_reader r = wire_reader(reply->payload.data, reply->payload.len);
	struct digest d;
	wire_get_digest(&r, &d);
	uint64_t size = wire_get_u64(&r);
	int code = wire_done(&r, err);
	if (code < 0)
		return code;
	*out = d;
	if (size_bytes)
		*size_bytes = size;
	return 0;
}

/* The service opens nothing through a mount of ours, nor reads a descriptor that leads there:
 * such a file travels as a copy. */
static int readable_for_service(int fd, struct error *err)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return error_errno(err, "cannot examine the file");
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	scoped_fd int copy = memfd_create("ggfs-put", MFD_CLOEXEC);
	if (copy < 0)
		return error_errno(err, "cannot make a memory file");
	int r = copy_fd(fd, copy, err);
	return r < 0 ? r : steal_fd(&copy);
}

int client_put_fd(struct client *c, int fd, struct digest *out, uint64_t *size_bytes,
                  struct error *err)
{
	scoped_fd int given = readable_for_service(fd, err);
	if (given < 0)
		return given;
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	wire_end(&frame, client_begin(c, &frame, MESSAGE_PUT, &id));
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, given, MESSAGE_DIGEST, &reply, err);
	return r < 0 ? r : read_digest(&reply, out, size_bytes, err);
}

int client_put_bytes(struct client *c, const void *bytes, size_t len, struct digest *out,
                     struct error *err)
{
	if (len > WIRE_FRAME_MAX / 2) {
		scoped_fd int fd = memfd_create("ggfs-put", MFD_CLOEXEC);
		int r = fd < 0 ? -errno : write_full(fd, bytes, len);
		if (r < 0)
			return error_set(err, r, "cannot fill a memory file: %s", strerror(-r));
		return client_put_fd(c, fd, out, NULL, err);
	}
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_PUT_BYTES, &id);
	wire_bytes(&frame, bytes, len);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_DIGEST, &reply, err);
	return r < 0 ? r : read_digest(&reply, out, NULL, err);
}

int client_get(struct client *c, const struct digest *d, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_GET, d, MESSAGE_OK, &reply, err);
	if (r < 0)
		return r;
	if (reply.fd < 0)
		return error_set(err, -EPROTO, "the service sent no descriptor");
	return steal_fd(&reply.fd);
}
