#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/model/view.h"
#include "engine/service/server_impl.h"

/* One request on its way through the pool. The peer is only touched on the loop's thread. */
struct errand {
	struct peer *peer;
	uint32_t id;
	struct infer_request request; /* INFER */
	char *path;                   /* INPUT */
	bool closure;                 /* INPUT */
	char *bytes;                  /* PUT_BYTES */
	size_t len;
	uint32_t limit;    /* LOG */
	int fd;            /* PUT */
	struct buf answer; /* the frame to send */
};

static struct errand *errand_new(struct peer *p, uint32_t id)
{
	struct errand *e = xcalloc(1, sizeof(*e));
	e->peer = p;
	e->id = id;
	e->fd = -1;
	peer_ref(p);
	return e;
}

static void errand_send(void *arg)
{
	struct errand *e = arg;
	peer_send(e->peer, &e->answer, -1);
	peer_unref(e->peer);
	infer_request_release(&e->request);
	scoped_close_(&e->fd);
	free(e->path);
	free(e->bytes);
	free(e);
}

static void errand_error(struct errand *e, int code, const struct error *err)
{
	size_t mark = wire_begin(&e->answer, MESSAGE_ERROR, e->id);
	message_error_encode(&e->answer, code, error_text(err));
	wire_end(&e->answer, mark);
}

static void infer_work(void *arg)
{
	struct errand *e = arg;
	struct server *s = e->peer->server;
	struct infer_answer answer = { 0 };
	struct error err = ERROR_INIT;
	int r = infer_ask(s->mounts, s->store, s->index, &e->request, &answer, &err);
	if (r < 0) {
		errand_error(e, r, &err);
	} else {
		size_t mark = wire_begin(&e->answer, MESSAGE_ANSWER, e->id);
		message_infer_answer_encode(&e->answer, &answer);
		wire_end(&e->answer, mark);
		infer_answer_release(&answer);
	}
	loop_post(s->loop, errand_send, e);
}

int server_infer(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct infer_request request;
	int r = message_infer_decode(payload, len, &request, err);
	if (r < 0)
		return r;
	struct errand *e = errand_new(p, id);
	e->request = request;
	pool_submit(p->server->pool, infer_work, e);
	return 0;
}

static void answer_digest(struct errand *e, const struct digest *d, uint64_t size_bytes)
{
	size_t mark = wire_begin(&e->answer, MESSAGE_DIGEST, e->id);
	wire_digest(&e->answer, d);
	wire_u64(&e->answer, size_bytes);
	wire_end(&e->answer, mark);
}

static int check_put(int fd, struct error *err)
{
	struct stat st;
	struct statfs fs;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return error_errno(err, "cannot examine the file");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "only regular files become blobs");
	if (fs.f_type == FUSE_SUPER_MAGIC)
		return error_set(err, -EINVAL, "a file of a FUSE mount must be sent as a copy");
	return 0;
}

static void put_work(void *arg)
{
	struct errand *e = arg;
	struct server *s = e->peer->server;
	struct error err = ERROR_INIT;
	struct digest digest;
	uint64_t size = e->len;
	int r;
	if (e->bytes)
		r = store_put_bytes(s->store, e->bytes, e->len, &digest, &err);
	else if ((r = check_put(e->fd, &err)) == 0)
		r = store_put_fd(s->store, e->fd, &digest, &size, &err);
	if (r < 0)
		errand_error(e, r, &err);
	else
		answer_digest(e, &digest, size);
	loop_post(s->loop, errand_send, e);
}

int server_put(struct peer *p, uint32_t id, int fd, struct error *err)
{
	if (fd < 0)
		return error_set(err, -EBADMSG, "a put without a descriptor");
	struct errand *e = errand_new(p, id);
	e->fd = fd;
	pool_submit(p->server->pool, put_work, e);
	return 0;
}

int server_put_bytes(struct peer *p, uint32_t id, const char *payload, size_t len,
                     struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	size_t count;
	scoped_free char *bytes = wire_get_bytes(&in, &count);
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	struct errand *e = errand_new(p, id);
	e->bytes = steal(&bytes);
	e->len = count;
	pool_submit(p->server->pool, put_work, e);
	return 0;
}

static void input_work(void *arg)
{
	struct errand *e = arg;
	struct server *s = e->peer->server;
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	struct view *v = view_new(s->mounts, s->store, s->index);
	int r = e->closure ? closure_add(v, e->path, &m, &err) : view_input(v, e->path, &m, &err);
	if (r == 0)
		r = view_check(v, &err);
	view_free(v);
	if (r == 0)
		r = manifest_finish(&m, &err);
	if (r < 0) {
		errand_error(e, r, &err);
	} else {
		size_t mark = wire_begin(&e->answer, MESSAGE_ANSWER, e->id);
		manifest_encode(&m, &e->answer);
		wire_end(&e->answer, mark);
	}
	loop_post(s->loop, errand_send, e);
}

int server_input(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	scoped_free char *path = wire_get_string(&in);
	bool closure = wire_get_u8(&in) != 0;
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	if (path[0] != '/') {
		peer_send_error(p, id, -EINVAL, "an input's path must be absolute");
		return 0;
	}
	struct errand *e = errand_new(p, id);
	e->path = steal(&path);
	e->closure = closure;
	pool_submit(p->server->pool, input_work, e);
	return 0;
}

/* --- the log ------------------------------------------------------------------------------------
 */

enum { LOG_ANSWER_MAX = WIRE_FRAME_MAX / 2 };

/* The newest records, encoded, as many as an answer holds: [dropped, bytes.len). One look at the
 * log must do, since it grows meanwhile. */
struct gathered {
	struct buf bytes;
	uint32_t *sizes; /* of the records, those dropped included */
	size_t count, capacity, first;
	size_t dropped;
};

static int gather_record(void *arg, const struct log_record *record)
{
	struct gathered *g = arg;
	size_t before = g->bytes.len;
	message_log_record_encode(&g->bytes, record);
	array_grow(g->sizes, g->count, g->capacity);
	g->sizes[g->count++] = (uint32_t)(g->bytes.len - before);
	while (g->bytes.len - g->dropped > LOG_ANSWER_MAX)
		g->dropped += g->sizes[g->first++];
	if (g->dropped > LOG_ANSWER_MAX) {
		g->bytes.len -= g->dropped;
		memmove(g->bytes.data, g->bytes.data + g->dropped, g->bytes.len);
		g->dropped = 0;
	}
	return 0;
}

static void log_work(void *arg)
{
	struct errand *e = arg;
	struct server *s = e->peer->server;
	struct error err = ERROR_INIT;
	struct gathered g = { .bytes = BUF_INIT };
	int r = index_log_iterate(s->index, e->limit, gather_record, &g, &err);
	if (r < 0) {
		errand_error(e, r, &err);
	} else {
		size_t mark = wire_begin(&e->answer, MESSAGE_ANSWER, e->id);
		wire_u32(&e->answer, (uint32_t)(g.count - g.first));
		if (g.count)
			buf_add(&e->answer, g.bytes.data + g.dropped, g.bytes.len - g.dropped);
		wire_end(&e->answer, mark);
	}
	buf_release(&g.bytes);
	free(g.sizes);
	loop_post(s->loop, errand_send, e);
}

int server_log(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err)
{
	struct wire_reader in = wire_reader(payload, len);
	uint32_t limit = wire_get_u32(&in);
	int r = wire_done(&in, err);
	if (r < 0)
		return r;
	struct errand *e = errand_new(p, id);
	e->limit = limit < MESSAGE_LOG_MAX ? limit : MESSAGE_LOG_MAX;
	pool_submit(p->server->pool, log_work, e);
	return 0;
}
