#include "engine/remote/wire_impl.h"

static const char *const outcome_names[] = {
	[OUTCOME_DONE] = "done",           [OUTCOME_FAILED] = "failed",
	[OUTCOME_TIMED_OUT] = "timed out", [OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_NO_ROOM] = "no room",     [OUTCOME_BAD_INPUT] = "bad input",
	[OUTCOME_LOST] = "lost",           [OUTCOME_REFUSED] = "refused",
};
enum { OUTCOME_COUNT = sizeof(outcome_names) / sizeof(*outcome_names) };

static void result_release(struct remote_result *r)
{
	memo_release(&r->memo);
	free(r->reason);
	free(r->stderr_tail);
}

void remote_answer_release(struct remote_answer *a)
{
	for (size_t i = 0; i < a->result_count; i++)
		result_release(&a->results[i]);
	free(a->results);
	free(a->version);
	free(a->worker);
	free(a->reason);
	remote_blobs_release(&a->blobs);
	*a = (struct remote_answer){ 0 };
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void add_usage(const struct remote_usage *u, struct buf *b)
{
	buf_add_format(b, ",\"usage\":{\"micros\":%llu", (unsigned long long)u->micros);
	json_wire_add_number(b, "function_micros", u->function_micros);
	json_wire_add_number(b, "max_rss_kib", u->max_rss_kib);
	json_wire_add_number(b, "far_gets", u->far_gets);
	json_wire_add_number(b, "far_puts", u->far_puts);
	json_wire_add_number(b, "far_received_bytes", u->far_received_bytes);
	json_wire_add_number(b, "far_sent_bytes", u->far_sent_bytes);
	json_wire_add_true(b, "cold", u->cold);
	buf_add_char(b, '}');
}

static void add_memo(const struct remote_result *r, struct buf *b)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_free char *no_engine = xstrdup("");
	struct memo memo = r->memo;
	memo.thunk = r->thunk;
	if (!memo.engine)
		memo.engine = no_engine;
	memo_encode(&memo, &text);
	buf_add_str(b, ",\"memo\":");
	json_wire_add_bytes(b, text.data, text.len);
}

static void add_reason(struct buf *b, const char *reason)
{
	if (!reason)
		return;
	buf_add_str(b, ",\"reason\":");
	json_wire_add_bytes(b, reason, strnlen(reason, REMOTE_REASON_MAX));
}

static void add_result(const struct remote_result *r, struct buf *b)
{
	const char *tail = r->stderr_tail ? r->stderr_tail : "";
	size_t len = strlen(tail), skip = len > REMOTE_STDERR_MAX ? len - REMOTE_STDERR_MAX : 0;
	buf_add_str(b, "{\"thunk\":");
	json_wire_add_digest(b, &r->thunk);
	json_wire_add_text(b, "outcome", outcome_names[r->outcome]);
	buf_add_format(b, ",\"exit_status\":%d", r->exit_status);
	if (r->outcome == OUTCOME_DONE)
		add_memo(r, b);
	add_reason(b, r->reason);
	buf_add_str(b, ",\"stderr\":");
	json_wire_add_bytes(b, tail + skip, len - skip);
	if (r->has_absent) {
		buf_add_str(b, ",\"absent\":");
		json_wire_add_digest(b, &r->absent);
	}
	json_wire_add_true(b, "stored", r->stored);
	add_usage(&r->usage, b);
	buf_add_char(b, '}');
}

void remote_answer_encode(const struct remote_answer *a, struct buf *b)
{
	buf_add_format(b, "{\"protocol\":%d", REMOTE_PROTOCOL);
	json_wire_add_text(b, "version", a->version ? a->version : GGFS_VERSION);
	json_wire_add_text(b, "worker", a->worker);
	json_wire_add_true(b, "wrong_version", a->wrong_version);
	add_reason(b, a->reason);
	buf_add_str(b, ",\"results\":[");
	for (size_t i = 0; i < a->result_count; i++) {
		if (i)
			buf_add_char(b, ',');
		add_result(&a->results[i], b);
	}
	buf_add_char(b, ']');
	json_wire_add_blobs(b, &a->blobs);
	buf_add_char(b, '}');
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int read_outcome(const json_t *object, enum outcome *out, struct error *err)
{
	const char *name = json_string_value(json_object_get(object, "outcome"));
	for (int i = 0; name && i < OUTCOME_COUNT; i++) {
		if (strcmp(name, outcome_names[i]) == 0) {
			*out = (enum outcome)i;
			return 0;
		}
	}
	return error_set(err, -EBADMSG, "a result with no outcome that is known here");
}

static int read_memo(const json_t *object, struct remote_result *out, struct error *err)
{
	const json_t *text = json_object_get(object, "memo");
	struct error reason = ERROR_INIT;
	if (out->outcome != OUTCOME_DONE)
		return 0;
	if (!json_is_string(text) || json_string_length(text) > MEMO_BYTES_MAX)
		return error_set(err, -EBADMSG, "a result without its memo");
	if (memo_decode(json_string_value(text), json_string_length(text), &out->memo, &reason) < 0)
		return error_set(err, -EBADMSG, "a result's memo: %s", error_text(&reason));
	if (!digest_equal(&out->memo.thunk, &out->thunk))
		return error_set(err, -EBADMSG, "a result with another thunk's memo");
	return 0;
}

static int read_usage(const json_t *object, struct remote_usage *out, struct error *err)
{
	const json_t *usage = json_object_get(object, "usage");
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = { { "micros", &out->micros },
		        { "function_micros", &out->function_micros },
		        { "max_rss_kib", &out->max_rss_kib },
		        { "far_gets", &out->far_gets },
		        { "far_puts", &out->far_puts },
		        { "far_received_bytes", &out->far_received_bytes },
		        { "far_sent_bytes", &out->far_sent_bytes } };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(*numbers); i++)
		r = json_wire_number(usage, numbers[i].name, INT64_MAX, numbers[i].value, err);
	return r < 0 ? r : json_wire_bool(usage, "cold", &out->cold, err);
}

static int read_exit_status(const json_t *object, struct remote_result *out, struct error *err)
{
	const json_t *value = json_object_get(object, "exit_status");
	json_int_t number = json_integer_value(value);
	out->exit_status = -1;
	if (!value)
		return 0;
	if (!json_is_integer(value) || number < -1 || number > 255)
		return error_set(err, -EBADMSG, "\"exit_status\" is not what it should be");
	out->exit_status = (int)number;
	return 0;
}

static int read_result(const json_t *object, struct remote_result *out, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, -EBADMSG, "a result is no object");
	int r = json_wire_digest_of(json_object_get(object, "thunk"), "a result's thunk",
	                            &out->thunk, err);
	if (r == 0)
		r = read_outcome(object, &out->outcome, err);
	if (r == 0)
		r = read_exit_status(object, out, err);
	if (r == 0)
		r = read_memo(object, out, err);
	if (r == 0)
		r = json_wire_text(object, "reason", &out->reason, err);
	if (r == 0)
		r = json_wire_text(object, "stderr", &out->stderr_tail, err);
	if (r == 0)
		r = json_wire_digest(object, "absent", &out->absent, err);
	out->has_absent = r == 1;
	if (r >= 0)
		r = json_wire_bool(object, "stored", &out->stored, err);
	if (r == 0)
		r = read_usage(object, &out->usage, err);
	if (!out->stderr_tail)
		out->stderr_tail = xstrdup("");
	return r;
}

static int read_results(const json_t *root, struct remote_answer *out, struct error *err)
{
	json_t *array = NULL;
	int r = json_wire_array(root, "results", 2 * REMOTE_THUNKS_MAX, &array, err);
	size_t count = json_array_size(array);
	out->results = count ? xcalloc(count, sizeof(*out->results)) : NULL;
	for (; r == 0 && out->result_count < count; out->result_count++)
		r = read_result(json_array_get(array, out->result_count),
		                &out->results[out->result_count], err);
	return r;
}

int remote_answer_decode(const char *text, size_t len, struct remote_answer *out, struct error *err)
{
	json_t *root = NULL;
	int r = json_wire_parse(text, len, &root, err);
	if (r == 0)
		r = json_wire_text(root, "version", &out->version, err);
	if (r == 0)
		r = json_wire_text(root, "worker", &out->worker, err);
	if (r == 0)
		r = json_wire_bool(root, "wrong_version", &out->wrong_version, err);
	if (r == 0)
		r = json_wire_text(root, "reason", &out->reason, err);
	if (r == 0)
		r = read_results(root, out, err);
	if (r == 0)
		r = json_wire_blobs(root, &out->blobs, err);
	if (r == 0 && !out->version)
		out->version = xstrdup("");
	json_decref(root);
	if (r < 0)
		remote_answer_release(out);
	return r;
}
