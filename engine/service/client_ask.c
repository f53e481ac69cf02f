/* Requests that only look, or that say a word: everything but infer, blobs and forces. */
#include <errno.h>

#include "engine/service/client_impl.h"
#include "engine/service/start.h"

int client_look(struct client *c, const struct ref *ref, struct force_look *out, struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_LOOK, &id);
	wire_ref(&frame, ref);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	return message_look_decode(reply.payload.data, reply.payload.len, out, err);
}

int client_waiting_for(struct client *c, const struct digest *thunk, struct digest **out,
                       size_t *count, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_WAITING, thunk, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	struct wire_reader in = wire_reader(reply.payload.data, reply.payload.len);
	uint32_t n = wire_get_u32(&in);
	if (n != (reply.payload.len - sizeof(uint32_t)) / DIGEST_SIZE)
		in.failed = true;
	scoped_free struct digest *digests = in.failed ? NULL : xcalloc(n, sizeof(*digests));
	for (uint32_t i = 0; i < n && !in.failed; i++)
		wire_get_digest(&in, &digests[i]);
	r = wire_done(&in, err);
	if (r < 0)
		return r;
	*out = steal(&digests);
	*count = n;
	return 0;
}

int client_memo(struct client *c, const struct digest *thunk, struct memo *out, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_MEMO, thunk, MESSAGE_ANSWER, &reply, err);
	return r < 0 ? r : memo_decode(reply.payload.data, reply.payload.len, out, err);
}

int client_input(struct client *c, const char *path, bool closure, struct manifest *into,
                 struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_INPUT, &id);
	wire_string(&frame, path);
	wire_u8(&frame, closure);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	scoped_manifest struct manifest got = MANIFEST_INIT;
	int r = client_call(c, &frame, id, -1, MESSAGE_ANSWER, &reply, err);
	if (r == 0)
		r = manifest_decode(reply.payload.data, reply.payload.len, &got, err);
	for (size_t i = 0; r == 0 && i < got.count; i++)
		manifest_add_entry(into, &got.entries[i]);
	return r;
}

/* Forgotten or cancelled by the first of several askings is as good as by the last. */
static int settle_for_absence(int r, const struct reply *reply)
{
	return r == -ENOENT && reply->tries > 1 ? 0 : r;
}

int client_cancel(struct client *c, const struct digest *thunk, struct error *err)
{
	static const struct digest everything;
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_CANCEL, &id);
	wire_u8(&frame, thunk != NULL);
	wire_digest(&frame, thunk ? thunk : &everything);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_OK, &reply, err);
	return settle_for_absence(r, &reply);
}

int client_retry(struct client *c, const struct digest *thunk, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_RETRY, thunk, MESSAGE_OK, &reply, err);
	return settle_for_absence(r, &reply);
}

int client_log(struct client *c, size_t limit, index_log_fn *fn, void *arg, struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	size_t mark = client_begin(c, &frame, MESSAGE_LOG, &id);
	wire_u32(&frame, limit > MESSAGE_LOG_MAX ? MESSAGE_LOG_MAX : (uint32_t)limit);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	struct wire_reader in = wire_reader(reply.payload.data, reply.payload.len);
	uint32_t count = wire_get_u32(&in);
	for (uint32_t i = 0; i < count && !in.failed; i++) {
		struct log_record record;
		message_log_record_read(&in, &record);
		r = in.failed ? 0 : fn(arg, &record);
		log_record_release(&record);
		if (r != 0)
			return r;
	}
	return wire_done(&in, err);
}

int client_estimate(struct client *c, const struct ref *refs, size_t count, const char *engines,
                    bool whole, struct force_estimate *out, struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	uint32_t id;
	if (count > MESSAGE_REFS_MAX)
		return error_set(err, -EINVAL, "%zu targets at once are more than %d", count,
		                 MESSAGE_REFS_MAX);
	size_t mark = client_begin(c, &frame, MESSAGE_ESTIMATE, &id);
	wire_string(&frame, engines);
	wire_u8(&frame, whole);
	wire_u32(&frame, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		wire_ref(&frame, &refs[i]);
	wire_end(&frame, mark);
	scoped_reply struct reply reply;
	int r = client_call(c, &frame, id, -1, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	return message_estimate_decode(reply.payload.data, reply.payload.len, out, err);
}

int client_bill(struct client *c, struct client_bill *out, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_BILL, NULL, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	return message_bill_decode(reply.payload.data, reply.payload.len, out, err);
}

void client_bill_release(struct client_bill *bill)
{
	free(bill->prices_date);
	free(bill->far_url);
	*bill = (struct client_bill){ 0 };
}

int client_info(struct client *c, struct client_service_info *out, struct error *err)
{
	scoped_reply struct reply reply;
	int r = client_call_digest(c, MESSAGE_INFO, NULL, MESSAGE_ANSWER, &reply, err);
	if (r < 0)
		return r;
	return message_info_decode(reply.payload.data, reply.payload.len, out, err);
}

void client_service_info_release(struct client_service_info *info)
{
	free(info->version);
	free(info->store);
	free(info->engine);
	strv_release(&info->mounts);
	*info = (struct client_service_info){ 0 };
}

int client_stop(struct client *c, struct error *err)
{
	if (!c->connected)
		return 0;
	c->connected = false;
	return start_step_down(&c->conn, c->store, err);
}

int client_stop_service(const struct client_options *options, struct error *err)
{
	scoped_free char *store = start_store(options);
	int fd = start_dial(store, err);
	if (fd < 0)
		return fd;
	struct conn c;
	conn_init(&c, fd);
	return start_step_down(&c, store, err);
}
