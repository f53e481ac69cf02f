#include "objstore/s3_send.h"

#include "common/log.h"
#include "objstore/s3_fetch.h"
#include "objstore/s3_xml.h"

struct send {
	struct s3 *s3;
	char *key;
	const struct s3_body *body;
	bool conditional;
	int64_t since_ms;
	char *upload_id; /* encoded for a query */
	size_t next_part, sent_parts;
	unsigned under_way;
	char **etags;
	struct buf complete;
	int code;
	struct error *err; /* with the first failure */
	s3_send_fn *done;
	void *arg;
};

struct part {
	struct send *send;
	size_t number; /* from 0 */
};

/* The body is the caller's again from done on. */
static void send_end(struct send *s, int code, const struct error *err)
{
	for (size_t i = 0; s->etags && i < s->body->part_count; i++)
		free(s->etags[i]);
	s->done(s->arg, code, err);
	free(s->etags);
	free(s->upload_id);
	free(s->key);
	free(s->err);
	buf_release(&s->complete);
	free(s);
}

static void add_headers(const struct s3_body *body, struct strv *headers)
{
	strv_add(headers, "Content-Type: application/octet-stream");
	if (body->zstd)
		strv_add(headers, "Content-Encoding: zstd");
	strv_add_format(headers, S3_SIZE_HEADER ": %llu", (unsigned long long)body->plain_bytes);
}

/* --- one PUT --------------------------------------------------------------------------------- */

static void on_put(void *arg, const struct s3_answer *answer)
{
	send_end(arg, answer->code, answer->err);
}

static ssize_t whole_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	struct send *s = arg;
	return s3_body_read(s->body, offset, bytes, len);
}

static void put_whole(struct send *s)
{
	scoped_strv struct strv headers = STRV_INIT;
	bool in_memory = s->body->fd < 0;
	add_headers(s->body, &headers);
	s3_start(s->s3, &(struct s3_request){ .method = "PUT",
	                                      .key = s->key,
	                                      .headers = (const char *const *)headers.items,
	                                      .header_count = headers.count,
	                                      .conditional = s->conditional,
	                                      .body = in_memory ? s->body->bytes.data : NULL,
	                                      .body_len = s->body->size_bytes,
	                                      .source = in_memory ? NULL : whole_source,
	                                      .payload_sha256 = s->body->part_sha256[0].text,
	                                      .since_ms = s->since_ms,
	                                      .arg = s,
	                                      .done = on_put });
}

/* --- in parts -------------------------------------------------------------------------------- */

static void on_aborted(void *arg, const struct s3_answer *answer)
{
	struct send *s = arg;
	if (answer->code < 0 && answer->code != -ESTALE && answer->code != -ECANCELED)
		log_warning("%s: an upload in parts stays behind: %s", s->key,
		            error_text(answer->err));
	send_end(s, s->code, s->err);
}

static void abort_upload(struct send *s)
{
	scoped_free char *query = xformat("uploadId=%s", s->upload_id);
	s3_start(s->s3, &(struct s3_request){ .method = "DELETE",
	                                      .key = s->key,
	                                      .query = query,
	                                      .arg = s,
	                                      .done = on_aborted });
}

static void fail(struct send *s, int code, const struct error *err)
{
	if (s->code < 0)
		return;
	s->code = code;
	s->err = xmalloc(sizeof(*s->err));
	*s->err = err ? *err : ERROR_INIT;
}

/* Its first answer was lost, maybe, and it is complete since then. */
static void on_looked(void *arg, int code, const struct s3_info *info, const struct error *err)
{
	struct send *s = arg;
	(void)err;
	if (code == 0 && info->plain_bytes == s->body->plain_bytes)
		send_end(s, 0, NULL);
	else
		send_end(s, s->code, s->err);
}

static void on_complete(void *arg, const struct s3_answer *answer)
{
	struct send *s = arg;
	if (answer->code == 0) {
		send_end(s, 0, NULL);
		return;
	}
	fail(s, answer->code, answer->err);
	if (answer->code == -ESTALE)
		s3_look(s->s3, s->key, 0, on_looked, s);
	else
		abort_upload(s);
}

static void complete(struct send *s)
{
	scoped_free char *query = xformat("uploadId=%s", s->upload_id);
	s3_complete_format((const char *const *)s->etags, s->body->part_count, &s->complete);
	s3_start(s->s3, &(struct s3_request){ .method = "POST",
	                                      .key = s->key,
	                                      .query = query,
	                                      .conditional = s->conditional,
	                                      .late_error = true,
	                                      .body = s->complete.data,
	                                      .body_len = s->complete.len,
	                                      .arg = s,
	                                      .done = on_complete });
}

static ssize_t part_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	struct part *p = arg;
	const struct s3_body *body = p->send->body;
	uint64_t left = body->part_bytes - offset;
	return s3_body_read(body, p->number * body->part_bytes + offset, bytes,
	                    len < left ? len : (size_t)left);
}

static void on_part(void *arg, const struct s3_answer *answer);

static void put_part(struct send *s, size_t number)
{
	struct part *p = xcalloc(1, sizeof(*p));
	*p = (struct part){ .send = s, .number = number };
	const struct s3_body *body = s->body;
	uint64_t left = body->size_bytes - number * body->part_bytes;
	scoped_free char *query = xformat("partNumber=%zu&uploadId=%s", number + 1, s->upload_id);
	s->under_way++;
	s3_start(s->s3, &(struct s3_request){
	                        .method = "PUT",
	                        .key = s->key,
	                        .query = query,
	                        .body_len = left < body->part_bytes ? left : body->part_bytes,
	                        .source = part_source,
	                        .payload_sha256 = body->part_sha256[number].text,
	                        .arg = p,
	                        .done = on_part,
	                });
}

static void go_on(struct send *s)
{
	while (s->code == 0 && s->next_part < s->body->part_count &&
	       s->under_way < S3_PARTS_AT_ONCE)
		put_part(s, s->next_part++);
	if (s->under_way > 0)
		return;
	if (s->code < 0)
		abort_upload(s);
	else
		complete(s);
}

static void on_part(void *arg, const struct s3_answer *answer)
{
	struct part *p = arg;
	struct send *s = p->send;
	const char *etag = answer->code == 0 ? http_header(answer->response, "etag") : NULL;
	struct error err = ERROR_INIT;
	s->under_way--;
	if (etag)
		s->etags[p->number] = xstrdup(etag);
	else if (answer->code == 0)
		fail(s, error_set(&err, -EPROTO, "%s: a part was taken without an ETag", s->key),
		     &err);
	else
		fail(s, answer->code, answer->err);
	free(p);
	go_on(s);
}

static void on_created(void *arg, const struct s3_answer *answer)
{
	struct send *s = arg;
	struct error err = ERROR_INIT;
	scoped_free char *upload_id = NULL;
	if (answer->code < 0) {
		send_end(s, answer->code, answer->err);
		return;
	}
	const struct buf *body = &answer->response->body;
	int code = s3_upload_parse(body->data ? body->data : "", body->len, &upload_id, &err);
	if (code < 0) {
		send_end(s, code, &err);
		return;
	}
	struct buf encoded = BUF_INIT;
	aws_uri_encode(upload_id, false, &encoded);
	s->upload_id = buf_steal(&encoded, NULL);
	s->etags = xcalloc(s->body->part_count, sizeof(*s->etags));
	go_on(s);
}

static void put_parts(struct send *s)
{
	scoped_strv struct strv headers = STRV_INIT;
	add_headers(s->body, &headers);
	s3_start(s->s3, &(struct s3_request){ .method = "POST",
	                                      .key = s->key,
	                                      .query = "uploads=",
	                                      .headers = (const char *const *)headers.items,
	                                      .header_count = headers.count,
	                                      .since_ms = s->since_ms,
	                                      .arg = s,
	                                      .done = on_created });
}

void s3_send(struct s3 *s3, const char *key, const struct s3_body *body, bool conditional,
             int64_t since_ms, s3_send_fn *done, void *arg)
{
	struct send *s = xcalloc(1, sizeof(*s));
	*s = (struct send){ .s3 = s3,
		            .key = xstrdup(key),
		            .body = body,
		            .conditional = conditional,
		            .since_ms = since_ms,
		            .done = done,
		            .arg = arg };
	if (body->part_count > 1)
		put_parts(s);
	else
		put_whole(s);
}
