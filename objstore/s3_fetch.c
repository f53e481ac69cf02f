#include "objstore/s3_fetch.h"

#include "common/fields.h"

struct fetch;

struct range {
	struct fetch *fetch;
	uint64_t offset, len; /* len UINT64_MAX: to the end */
	uint64_t got;
	int overrun; /* what the sink ended it for */
};

struct fetch {
	struct s3 *s3;
	char *key, *etag;
	uint64_t size_bytes; /* of the blob, as the caller knows it */
	int64_t since_ms;
	struct s3_body body;
	struct s3_info info;
	uint64_t next_offset; /* the first byte nobody has asked for */
	unsigned under_way, restarts;
	bool replaced, plain_get; /* plain_get: without a range, for the object may be empty */
	int code;                 /* the first failure */
	struct error err;
	s3_fetch_fn *done;
	void *arg;
};

static bool read_number(const char **at, uint64_t *out)
{
	const char *end = *at + strspn(*at, "0123456789");
	return field_number(at, end, out);
}

/* "bytes FIRST-LAST/TOTAL" */
static bool read_content_range(const char *text, uint64_t *first, uint64_t *total)
{
	uint64_t last;
	if (!text || strncmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	if (!read_number(&text, first) || *text++ != '-' || !read_number(&text, &last) ||
	    *text++ != '/' || !read_number(&text, total))
		return false;
	return *text == '\0' && *first <= last && last < *total;
}

int s3_info_read(const struct http_response *r, struct s3_info *out, struct error *err)
{
	const char *encoding = http_header(r, "content-encoding");
	const char *plain = http_header(r, S3_SIZE_HEADER);
	const char *length = http_header(r, "content-length");
	struct s3_info info = { .stored_bytes = r->received_bytes, .plain_bytes = UINT64_MAX };
	uint64_t first;
	/* Google's name for it. */
	plain = plain ? plain : http_header(r, "x-goog-meta-ggfs-size");
	if (r->status == 206) {
		const char *range = http_header(r, "content-range");
		if (!read_content_range(range, &first, &info.stored_bytes))
			return error_set(err, -EPROTO, "a range came that says \"%s\" of itself",
			                 range ? range : "nothing");
	} else if (length && !read_number(&length, &info.stored_bytes)) {
		return error_set(err, -EPROTO, "an object came whose length is no number");
	}
	info.zstd = encoding && strcmp(encoding, "zstd") == 0;
	if (encoding && *encoding && !info.zstd && strcmp(encoding, "identity") != 0 &&
	    strcmp(encoding, "aws-chunked") != 0)
		return error_set(err, -EBADMSG, "an object came that is encoded as %s", encoding);
	if (plain && (!read_number(&plain, &info.plain_bytes) || *plain))
		return error_set(err, -EPROTO,
		                 "an object came whose " S3_SIZE_HEADER " is no number");
	if (!info.zstd)
		info.plain_bytes = info.stored_bytes;
	*out = info;
	return 0;
}

static void fetch_end(struct fetch *f)
{
	bool failed = f->code < 0;
	if (f->replaced && failed)
		f->code = error_set(&f->err, -EIO, "%s: it is being replaced all the time", f->key);
	if (failed)
		s3_body_release(&f->body);
	f->done(f->arg, f->code, &f->body, &f->info, failed ? &f->err : NULL);
	s3_body_release(&f->body);
	free(f->key);
	free(f->etag);
	free(f);
}

static void fail(struct fetch *f, int code, const struct error *err)
{
	if (f->code == 0) {
		f->code = code;
		f->err = err ? *err : ERROR_INIT;
	}
}

static void on_again(void *arg)
{
	struct range *range = arg;
	range->got = 0;
	range->overrun = 0;
	/* Only the first range may be in memory, and nothing is beside it then. */
	if (range->offset == 0 && range->fetch->under_way == 1)
		s3_body_empty(&range->fetch->body);
}

/* As much as the blob may have, known or not; zstd only ever makes it smaller. */
static uint64_t most_bytes(const struct range *range)
{
	uint64_t known = range->fetch->size_bytes;
	return range->len < known ? range->len : known;
}

static int on_bytes(void *arg, const void *bytes, size_t len)
{
	struct range *range = arg;
	uint64_t offset = range->offset + range->got;
	if (len > most_bytes(range) - range->got)
		return range->overrun = -EBADMSG;
	int r = s3_body_write(&range->fetch->body, offset, bytes, len);
	range->got += len;
	return range->overrun = r;
}

static void on_range(void *arg, const struct s3_answer *answer);

static void start_range(struct fetch *f, uint64_t offset, uint64_t len)
{
	struct range *range = xcalloc(1, sizeof(*range));
	*range = (struct range){ .fetch = f, .offset = offset, .len = len };
	scoped_strv struct strv headers = STRV_INIT;
	if (len != UINT64_MAX)
		strv_add_format(&headers, "Range: bytes=%llu-%llu", (unsigned long long)offset,
		                (unsigned long long)(offset + len - 1));
	if (f->etag)
		strv_add_format(&headers, "If-Match: %s", f->etag);
	f->under_way++;
	s3_start(f->s3, &(struct s3_request){ .method = "GET",
	                                      .key = f->key,
	                                      .headers = (const char *const *)headers.items,
	                                      .header_count = headers.count,
	                                      .sink = on_bytes,
	                                      .again = on_again,
	                                      .since_ms = f->since_ms,
	                                      .arg = range,
	                                      .done = on_range });
}

static void start_first(struct fetch *f)
{
	free(f->etag);
	f->etag = NULL;
	f->code = 0;
	f->replaced = false;
	f->next_offset = 0;
	s3_body_empty(&f->body);
	bool small = f->size_bytes <= FAR_RANGED_BYTES || f->plain_get;
	start_range(f, 0, small ? UINT64_MAX : S3_RANGE_BYTES);
}

/* The sink ends a transfer with a code alone. */
static void explain(struct fetch *f, const struct range *range, const struct s3_answer *answer)
{
	struct error err = ERROR_INIT;
	if (range->overrun == -EBADMSG)
		error_set(&err, -EBADMSG, "%s: more came than the blob can have", f->key);
	else if (range->overrun == -ENOSPC)
		error_set(&err, -ENOSPC, "no space left for what comes from the far store");
	else
		error_set(&err, range->overrun,
		          "what comes from the far store cannot be written "
		          "here: %s",
		          strerror(-range->overrun));
	fail(f, range->overrun, range->overrun ? &err : answer->err);
}

/* Takes the first answer's word for what the object is; -errno if it makes no sense. */
static int take_first(struct fetch *f, const struct range *range, const struct s3_answer *answer)
{
	const struct http_response *r = answer->response;
	const char *etag = http_header(r, "etag");
	int code = s3_info_read(r, &f->info, &f->err);
	if (code < 0)
		return code;
	f->etag = etag ? xstrdup(etag) : NULL;
	f->next_offset = range->got;
	if (f->info.stored_bytes < f->next_offset ||
	    (r->status != 206 && f->info.stored_bytes != f->next_offset) ||
	    (r->status == 206 && f->next_offset < range->len &&
	     f->next_offset < f->info.stored_bytes))
		return error_set(&f->err, -EBADMSG, "%s: %llu bytes came of %llu", f->key,
		                 (unsigned long long)f->next_offset,
		                 (unsigned long long)f->info.stored_bytes);
	return 0;
}

static int check_later(struct fetch *f, const struct range *range, const struct s3_answer *answer)
{
	const char *text = http_header(answer->response, "content-range");
	uint64_t first, total;
	if (answer->response->status == 206 && read_content_range(text, &first, &total) &&
	    first == range->offset && range->got == range->len && total == f->info.stored_bytes)
		return 0;
	return error_set(&f->err, -EBADMSG, "%s: another range came than was asked for", f->key);
}

static void take(struct fetch *f, const struct range *range, const struct s3_answer *answer)
{
	bool first = f->next_offset == 0;
	int code = answer->code;
	if (code == -ERANGE && first) {
		f->plain_get = f->replaced = true;
	} else if (code == -EEXIST) {
		f->replaced = true;
	} else if (range->overrun < 0) {
		explain(f, range, answer);
		return;
	} else if (code == 0) {
		code = first ? take_first(f, range, answer) : check_later(f, range, answer);
	}
	if (code < 0)
		fail(f, code, answer->code < 0 ? answer->err : &f->err);
}

static void on_range(void *arg, const struct s3_answer *answer)
{
	scoped_free struct range *range = arg;
	struct fetch *f = range->fetch;
	f->under_way--;
	take(f, range, answer);
	while (f->code == 0 && f->under_way < S3_RANGES_AT_ONCE &&
	       f->next_offset < f->info.stored_bytes) {
		uint64_t left = f->info.stored_bytes - f->next_offset;
		uint64_t len = left < S3_RANGE_BYTES ? left : S3_RANGE_BYTES;
		start_range(f, f->next_offset, len);
		f->next_offset += len;
	}
	if (f->under_way > 0)
		return;
	if (f->replaced && f->restarts < S3_FETCH_RESTARTS) {
		f->restarts++;
		start_first(f);
	} else {
		fetch_end(f);
	}
}

void s3_fetch(struct s3 *s3, const char *key, uint64_t size_bytes, int dirfd, int64_t since_ms,
              s3_fetch_fn *done, void *arg)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	*f = (struct fetch){ .s3 = s3,
		             .key = xstrdup(key),
		             .size_bytes = size_bytes,
		             .since_ms = since_ms,
		             .body = S3_BODY_INIT(dirfd),
		             .done = done,
		             .arg = arg };
	start_first(f);
}

struct look {
	char *key;
	size_t got;
	s3_look_fn *done;
	void *arg;
};

static void on_looked(void *arg, const struct s3_answer *answer)
{
	struct look *look = arg;
	struct s3_info info = { 0 };
	struct error err = answer->err ? *answer->err : ERROR_INIT;
	int code = answer->code;
	if (code == -ERANGE)
		code = 0; /* it is there, and has no first byte */
	else if (code == 0)
		code = s3_info_read(answer->response, &info, &err);
	look->done(look->arg, code, &info, code < 0 ? &err : NULL);
	free(look->key);
	free(look);
}

/* A service that knows no ranges sends all of it: not for us to wait for. */
static int drop_bytes(void *arg, const void *bytes, size_t len)
{
	struct look *look = arg;
	(void)bytes;
	look->got += len;
	return look->got > S3_MEMORY_BYTES ? -EPROTO : 0;
}

void s3_look(struct s3 *s3, const char *key, int64_t since_ms, s3_look_fn *done, void *arg)
{
	static const char *const headers[] = { "Range: bytes=0-0" };
	struct look *look = xcalloc(1, sizeof(*look));
	*look = (struct look){ .key = xstrdup(key), .done = done, .arg = arg };
	s3_start(s3, &(struct s3_request){ .method = "GET",
	                                   .key = look->key,
	                                   .headers = headers,
	                                   .header_count = 1,
	                                   .sink = drop_bytes,
	                                   .since_ms = since_ms,
	                                   .arg = look,
	                                   .done = on_looked });
}
