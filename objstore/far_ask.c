/* The far store's single questions: is a blob there, a memo read, a memo written. */
#include "objstore/far_private.h"

struct question {
	struct far *far;
	char *key;
	struct digest digest;
	struct buf text; /* of a memo that is put */
	far_has_fn *has_done;
	far_memo_fn *get_done;
	far_done_fn *put_done;
	void *arg;
};

static struct question *question_new(struct far *far, const char *kind, const struct digest *d,
                                     void *arg)
{
	struct question *q = xcalloc(1, sizeof(*q));
	*q = (struct question){
		.far = far, .key = s3_key(s3_get_place(far->s3), kind, d), .digest = *d, .arg = arg
	};
	return q;
}

static void question_free(struct question *q)
{
	buf_release(&q->text);
	free(q->key);
	free(q);
}

static void on_looked(void *arg, int code, const struct s3_info *info, const struct error *err)
{
	struct question *q = arg;
	if (code == 0 || code == -ENOENT)
		far_note(q->far, &q->digest, code == 0 ? FAR_THERE : FAR_ABSENT);
	q->has_done(q->arg, code, info->plain_bytes, err);
	question_free(q);
}

static void has_on_net(void *arg)
{
	struct question *q = arg;
	s3_look(q->far->s3, q->key, 0, on_looked, q);
}

void far_has(struct far *far, const struct digest *d, far_has_fn *done, void *arg)
{
	struct question *q = question_new(far, S3_OBJECTS, d, arg);
	q->has_done = done;
	net_post(aws_net(far->aws), has_on_net, q);
}

static int read_memo(const struct question *q, const struct http_response *r, struct memo *memo,
                     struct error *err)
{
	struct digest_hex hex = digest_hex(&q->digest);
	if (memo_decode(r->body.data ? r->body.data : "", r->body.len, memo, err) < 0) {
		error_prefix(err, -EBADMSG, "the memo of thunk %s", hex.text);
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	if (digest_equal(&memo->thunk, &q->digest))
		return 0;
	return error_set(err, -EBADMSG, "the memo of thunk %s is that of another", hex.text);
}

static void on_memo(void *arg, const struct s3_answer *answer)
{
	struct question *q = arg;
	scoped_memo struct memo memo = MEMO_INIT;
	struct error err = answer->err ? *answer->err : ERROR_INIT;
	int code = answer->code;
	if (code == -EFBIG)
		code = error_set(&err, -EBADMSG, "the memo of thunk %s is oversized",
		                 digest_hex(&q->digest).text);
	else if (code == 0)
		code = read_memo(q, answer->response, &memo, &err);
	q->get_done(q->arg, code, code == 0 ? &memo : NULL, code < 0 ? &err : NULL);
	question_free(q);
}

static void memo_get_on_net(void *arg)
{
	struct question *q = arg;
	s3_start(q->far->s3, &(struct s3_request){ .method = "GET",
	                                           .key = q->key,
	                                           .body_max = MEMO_BYTES_MAX,
	                                           .arg = q,
	                                           .done = on_memo });
}

void far_memo_get(struct far *far, const struct digest *thunk, far_memo_fn *done, void *arg)
{
	struct question *q = question_new(far, S3_MEMOS, thunk, arg);
	q->get_done = done;
	net_post(aws_net(far->aws), memo_get_on_net, q);
}

static void on_memo_put(void *arg, const struct s3_answer *answer)
{
	struct question *q = arg;
	q->put_done(q->arg, answer->code, answer->err);
	question_free(q);
}

static void memo_put_on_net(void *arg)
{
	struct question *q = arg;
	static const char *const headers[] = { "Content-Type: text/plain; charset=utf-8" };
	struct error err = ERROR_INIT;
	if (q->text.len > MEMO_BYTES_MAX) {
		int code = error_set(&err, -EFBIG, "the memo of thunk %s is too large",
		                     digest_hex(&q->digest).text);
		on_memo_put(q, &(struct s3_answer){ .code = code, .err = &err });
		return;
	}
	s3_start(q->far->s3, &(struct s3_request){ .method = "PUT",
	                                           .key = q->key,
	                                           .headers = headers,
	                                           .header_count = 1,
	                                           .body = q->text.data,
	                                           .body_len = q->text.len,
	                                           .arg = q,
	                                           .done = on_memo_put });
}

void far_memo_put(struct far *far, const struct memo *memo, far_done_fn *done, void *arg)
{
	struct question *q = question_new(far, S3_MEMOS, &memo->thunk, arg);
	memo_encode(memo, &q->text);
	q->put_done = done;
	net_post(aws_net(far->aws), memo_put_on_net, q);
}
