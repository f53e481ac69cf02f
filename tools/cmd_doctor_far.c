/* The far store, as somebody who may use it sees it: one small object is put, asked for, got and
 * deleted, beside those that matter (docs/format-far.md). */
#include <string.h>
#include <sys/random.h>

#include "common/io.h"
#include "objstore/s3_judge.h"
#include "tools/cmd_doctor_cloud.h"

#define ANOTHER_CHECKSUM "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

enum {
	OBJECT_BYTES = 1000,
	RANGE_FIRST = 100,
	RANGE_LAST = 163,
	PUTS = 3, /* of three keys: as it should be, with another hash, with another checksum */
};

struct far_look {
	struct doctor_cloud *d;
	struct findings *f;
	struct s3_place place;
	char *keys[PUTS], *absent_key;
	bool maybe_there[PUTS];
	unsigned char bytes[OBJECT_BYTES];
	long long ms; /* the last request's */
};

/* --- asking ------------------------------------------------------------------------------------
 */

struct ask {
	const char *method, *key, *query, *region, *sha256;
	const char *headers[2];
	const void *body;
	size_t len;
};

/* 0 or a code of s3_judge, with its sentence. r is the caller's to release. */
static int ask(struct far_look *l, const struct ask *a, struct http_response *r, struct error *err)
{
	scoped_free char *path = s3_path(&l->place, a->key);
	size_t count = 0;
	while (count < 2 && a->headers[count])
		count++;
	const struct aws_request request = {
		.service = "s3",
		.region = a->region ? a->region : l->place.region,
		.scheme = l->place.scheme,
		.host = l->place.host,
		.path = path,
		.query = a->query,
		.payload_sha256 = a->sha256,
		.http = { .method = a->method,
		          .headers = a->headers,
		          .header_count = count,
		          .body = a->body,
		          .body_len = a->len,
		          .connect_ms = DOCTOR_CONNECT_MS,
		          .whole_ms = DOCTOR_WHOLE_MS },
	};
	int64_t began_ms = now_ms();
	int code = 0;
	aws_call(l->d->session.aws, &request, r);
	l->ms = (long long)(now_ms() - began_ms);
	doctor_clock(l->d, r, l->place.host);
	s3_judge(&l->place, r, false, &code, err);
	return code;
}

static const char *what_to_do(int code)
{
	switch (code) {
	case -EACCES:
		return "ggfs config --credentials tells whose key it is; docs/far-store.md what it "
		       "must be allowed";
	case -ENODEV:
		return "aws s3 mb s3://BUCKET, or name another: ggfs config far.url "
		       "s3://BUCKET/PREFIX";
	case -EINVAL:
		return "ggfs config far.region REGION";
	case -EPROTO:
	case -ENETDOWN:
		return "is the address right (ggfs config far.endpoint), and can it be reached?";
	case -EPERM:
		return "the certificate is not trusted: AWS_CA_BUNDLE, if it is one of your own";
	default:
		return "docs/far-store.md tells what is needed of it";
	}
}

static void fails(struct far_look *l, const char *subject, int code, const struct error *err)
{
	found(l->f, FINDING_FAILURE, subject, what_to_do(code), "%s", error_text(err));
}

/* Of what went through, a word that it was not what was expected. */
static void differs(struct far_look *l, const char *subject, const char *what)
{
	found(l->f, FINDING_FAILURE, subject, "docs/far-store.md tells what is needed of it",
	      "%s %s", l->place.host, what);
}

/* --- the bucket --------------------------------------------------------------------------------
 */

/* Whether there is any use in going on. */
static bool check_bucket(struct far_look *l)
{
	struct http_response r = { 0 };
	struct error err = ERROR_INIT;
	const struct ask a = { "GET", .query = "list-type=2&max-keys=1" };
	int code = ask(l, &a, &r, &err);
	scoped_free char *aws_code = NULL, *message = NULL;
	aws_error_parse(&r, &aws_code, &message);
	bool lists_not = code == -EACCES && strcmp(aws_code, "AccessDenied") == 0;
	if (lists_not)
		found(l->f, FINDING_WARNING, "far store",
		      "allow s3:ListBucket on the bucket: without it what is absent is told as "
		      "forbidden",
		      "%s", error_text(&err));
	else if (code < 0)
		fails(l, "far store", code, &err);
	else
		found(l->f, FINDING_OK, "far store", NULL,
		      "%s at %s://%s, region %s, bucket in the %s: %lld ms", l->place.url,
		      l->place.scheme, l->place.host, l->place.region,
		      *l->place.base ? "path" : "host name", l->ms);
	http_response_release(&r);
	return code == 0 || lists_not;
}

/* --- putting -----------------------------------------------------------------------------------
 */

/* Puts the bytes under keys[which]; unless it was refused for good, something may be there now. */
static int put(struct far_look *l, unsigned which, const char *header, const char *sha256,
               int *status, struct error *err)
{
	struct http_response r = { 0 };
	const struct ask a = {
		.method = "PUT",
		.key = l->keys[which],
		.sha256 = sha256,
		.headers = { "x-amz-meta-ggfs-size: 1000", header },
		.body = l->bytes,
		.len = sizeof(l->bytes),
	};
	int code = ask(l, &a, &r, err);
	*status = r.code < 0 ? 0 : r.status;
	if (code == 0 || *status < 400 || *status >= 500)
		l->maybe_there[which] = true;
	http_response_release(&r);
	return code;
}

static bool check_put(struct far_look *l)
{
	struct error err = ERROR_INIT;
	int status = 0, code = put(l, 0, "If-None-Match: *", NULL, &status, &err);
	bool conditions = code != -EOPNOTSUPP;
	if (!conditions)
		code = put(l, 0, NULL, NULL, &status, &err);
	if (code < 0) {
		fails(l, "put", code, &err);
		return false;
	}
	found(l->f, FINDING_OK, "put", NULL, "%d bytes in %lld ms: %s", OBJECT_BYTES, l->ms,
	      l->keys[0]);
	if (conditions)
		code = put(l, 0, "If-None-Match: *", NULL, &status, &err);
	if (conditions && code == -EEXIST)
		found(l->f, FINDING_OK, "condition", NULL,
		      "If-None-Match: a second put is refused, with %d", status);
	else if (code < 0)
		fails(l, "condition", code, &err);
	else
		found(l->f, FINDING_WARNING, "condition", NULL,
		      "If-None-Match is not heeded: a blob that is there already is sent again");
	return true;
}

/* The hash of the body is part of what is signed; the checksum is a header of its own. */
static void check_hashes(struct far_look *l)
{
	struct error err = ERROR_INIT;
	struct sha256_hex other = sha256_hex("", 0);
	int status = 0, code = put(l, 1, NULL, other.text, &status, &err);
	if (code < 0 && status >= 400 && status < 500)
		found(l->f, FINDING_OK, "hash", NULL,
		      "bytes of another SHA-256 than was signed are refused, with %d", status);
	else if (code < 0)
		fails(l, "hash", code, &err);
	else
		found(l->f, FINDING_WARNING, "hash", NULL,
		      "bytes of another SHA-256 than was signed are taken; what comes back is "
		      "verified by ggfs in any case");
	code = put(l, 2, "x-amz-checksum-sha256: " ANOTHER_CHECKSUM, NULL, &status, &err);
	if (code < 0 && status >= 400 && status < 500)
		found(l->f, FINDING_OK, "checksum", NULL,
		      "a wrong x-amz-checksum-sha256 is refused, with %d", status);
	else if (code < 0)
		fails(l, "checksum", code, &err);
	else
		found(l->f, FINDING_OK, "checksum", NULL,
		      "x-amz-checksum-sha256 is not checked here; ggfs relies on it nowhere");
}

/* --- getting -----------------------------------------------------------------------------------
 */

static bool is_bytes(const struct http_response *r, const void *bytes, size_t len)
{
	return r->body.len == len && memcmp(r->body.data, bytes, len) == 0;
}

/* As ggfs asks: for the first byte, since an answer to HEAD would not tell why it refuses. */
static void check_ask(struct far_look *l)
{
	struct http_response r = { 0 };
	struct error err = ERROR_INIT;
	const struct ask a = { "GET", l->keys[0], .headers = { "Range: bytes=0-0" } };
	int code = ask(l, &a, &r, &err);
	const char *size = http_header(&r, "x-amz-meta-ggfs-size");
	if (!size)
		size = http_header(&r, "x-goog-meta-ggfs-size");
	if (code < 0)
		fails(l, "ask", code, &err);
	else if (r.status != 206 || !is_bytes(&r, l->bytes, 1))
		differs(l, "ask", "does not give the one byte that was asked for (Range)");
	else if (!size || atoi(size) != OBJECT_BYTES)
		differs(l, "ask", "does not give back x-amz-meta-ggfs-size as it was put");
	else
		found(l->f, FINDING_OK, "ask", NULL, "it is there, with its size: %lld ms", l->ms);
	http_response_release(&r);
}

static void check_get(struct far_look *l)
{
	struct http_response whole = { 0 }, part = { 0 };
	struct error err = ERROR_INIT;
	scoped_free char *range = xformat("Range: bytes=%d-%d", RANGE_FIRST, RANGE_LAST);
	const struct ask all = { "GET", l->keys[0] };
	const struct ask some = { "GET", l->keys[0], .headers = { range } };
	int code = ask(l, &all, &whole, &err);
	if (code < 0)
		fails(l, "get", code, &err);
	else if (!is_bytes(&whole, l->bytes, sizeof(l->bytes)))
		differs(l, "get", "gives other bytes than were put");
	else
		found(l->f, FINDING_OK, "get", NULL, "the bytes that were put: %lld ms", l->ms);
	code = ask(l, &some, &part, &err);
	if (code < 0)
		fails(l, "range", code, &err);
	else if (part.status != 206 ||
	         !is_bytes(&part, l->bytes + RANGE_FIRST, RANGE_LAST - RANGE_FIRST + 1))
		differs(l, "range", "gives other bytes than those of the range");
	else
		found(l->f, FINDING_OK, "range", NULL, "bytes %d to %d of it: %lld ms", RANGE_FIRST,
		      RANGE_LAST, l->ms);
	http_response_release(&whole);
	http_response_release(&part);
}

static void check_absent(struct far_look *l)
{
	struct http_response r = { 0 };
	struct error err = ERROR_INIT;
	const struct ask a = { "GET", l->absent_key };
	int code = ask(l, &a, &r, &err);
	if (code == -ENOENT)
		found(l->f, FINDING_OK, "absent", NULL, "what is absent is 404, and not forbidden");
	else if (code == -EACCES)
		found(l->f, FINDING_FAILURE, "absent", "allow s3:ListBucket on the bucket",
		      "what is absent is told as forbidden: %s", error_text(&err));
	else if (code < 0)
		fails(l, "absent", code, &err);
	else
		differs(l, "absent", "gives an object that nobody has put");
	http_response_release(&r);
}

static void check_region(struct far_look *l)
{
	struct http_response r = { 0 };
	struct error err = ERROR_INIT;
	const char *other =
	        strcmp(l->place.region, "eu-central-1") == 0 ? "us-east-2" : "eu-central-1";
	const struct ask a = { "GET", l->keys[0], .region = other };
	int code = ask(l, &a, &r, &err);
	scoped_free char *aws_code = NULL, *message = NULL;
	if (r.code < 0 || r.status >= 500) {
		fails(l, "region", code, &err);
	} else if (code == 0) {
		found(l->f, FINDING_OK, "region", NULL,
		      "a signature for %s is taken as well: regions mean nothing here", other);
	} else {
		aws_error_parse(&r, &aws_code, &message);
		found(l->f, FINDING_OK, "region", NULL, "a signature for %s is refused: %d %s",
		      other, r.status, aws_code);
	}
	http_response_release(&r);
}

/* --- leaving nothing behind --------------------------------------------------------------------
 */

/* Deletes it, and looks whether that is so. *versions: the bucket keeps what was there. */
static int delete_one(struct far_look *l, const char *key, bool *versions, struct error *err)
{
	struct http_response r = { 0 }, again = { 0 };
	const struct ask delete = { "DELETE", key }, look = { "GET", key };
	int code = ask(l, &delete, &r, err);
	*versions |= code == 0 && http_header(&r, "x-amz-version-id");
	if (code == 0) {
		code = ask(l, &look, &again, err);
		if (code == 0)
			code = error_set(err, -EIO, "it is still there after it was deleted");
		else if (code == -ENOENT || code == -EACCES)
			code = 0; /* where nothing may be listed, an absent one is forbidden */
	}
	http_response_release(&r);
	http_response_release(&again);
	return code;
}

/* Whether all are gone; of one that is not it says so. */
static bool delete_all(struct far_look *l, char *const *keys, size_t count, bool *versions)
{
	bool all = true;
	for (size_t i = 0; i < count; i++) {
		struct error err = ERROR_INIT;
		if (!keys[i] || delete_one(l, keys[i], versions, &err) == 0)
			continue;
		scoped_free char *todo =
		        xformat("aws s3 rm 's3://%s/%s'; ggfs itself deletes only in gc and fsck",
		                l->place.bucket, keys[i]);
		found(l->f, FINDING_WARNING, "delete", todo, "the object is left: %s",
		      error_text(&err));
		all = false;
	}
	return all;
}

static void check_delete(struct far_look *l)
{
	bool versions = false, any = false;
	char *there[PUTS];
	for (unsigned i = 0; i < PUTS; i++) {
		there[i] = l->maybe_there[i] ? l->keys[i] : NULL;
		any |= l->maybe_there[i];
	}
	if (any && delete_all(l, there, PUTS, &versions))
		found(l->f, FINDING_OK, "delete", NULL, "what was put is gone again%s",
		      versions ? "; the bucket has versions, and keeps its bytes" : "");
}

/* Whether both are there, of which a worker says so. */
static bool check_result(struct far_look *l, char *const *keys, size_t count, const char *subject)
{
	for (size_t i = 0; i < count; i++) {
		struct http_response r = { 0 };
		struct error err = ERROR_INIT;
		const struct ask a = { "GET", keys[i] };
		int code = ask(l, &a, &r, &err);
		http_response_release(&r);
		if (code == 0)
			continue;
		found(l->f, FINDING_FAILURE, subject,
		      "is the far store of the worker the same as here?",
		      "the worker says that it has stored its result, and here: %s",
		      error_text(&err));
		return false;
	}
	return true;
}

void doctor_far_take_back(struct doctor_cloud *d, const struct digest *output,
                          const struct digest *thunk)
{
	struct far_look l = { .d = d, .f = &d->findings };
	bool versions = false;
	if (s3_place_init(&l.place, d->session.config, &d->far, NULL) < 0)
		return; /* which has been said */
	scoped_free char *object = s3_key(&l.place, S3_OBJECTS, output);
	scoped_free char *memo = s3_key(&l.place, S3_MEMOS, thunk);
	scoped_free char *subject = xformat("%sresult", d->whose);
	char *const keys[] = { object, memo };
	bool there = check_result(&l, keys, 2, subject);
	if (delete_all(&l, keys, 2, &versions) && there)
		found(l.f, FINDING_OK, subject, NULL,
		      "the worker put it into the far store, where it was found and deleted");
	s3_place_release(&l.place);
}

static void check_objects(struct far_look *l)
{
	doctor_hold_signals(l->d);
	if (check_put(l)) {
		check_ask(l);
		check_get(l);
		check_absent(l);
		check_hashes(l);
		check_region(l);
	}
	check_delete(l);
	doctor_let_signals(l->d);
}

void doctor_far(struct doctor_cloud *d)
{
	struct far_look l = { .d = d, .f = &d->findings };
	struct error err = ERROR_INIT;
	if (s3_place_init(&l.place, d->session.config, &d->far, &err) < 0) {
		found(l.f, FINDING_FAILURE, "far store", "ggfs config far.url s3://BUCKET/PREFIX",
		      "%s", error_text(&err));
		return;
	}
	ssize_t got = getrandom(l.bytes, sizeof(l.bytes), 0);
	struct digest name;
	digest_of(&name, l.bytes, got > 0 ? (size_t)got : 0);
	for (unsigned i = 0; i < PUTS; i++)
		l.keys[i] = xformat("%sdoctor/%.16s-%u", l.place.prefix, digest_hex(&name).text, i);
	l.absent_key = xformat("%sdoctor/%.16s-absent", l.place.prefix, digest_hex(&name).text);
	if (check_bucket(&l))
		check_objects(&l);
	for (unsigned i = 0; i < PUTS; i++)
		free(l.keys[i]);
	free(l.absent_key);
	s3_place_release(&l.place);
}
