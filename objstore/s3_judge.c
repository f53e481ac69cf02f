#include "objstore/s3_judge.h"

#include "common/aws/client.h"

static enum s3_verdict judge_fault(const struct s3_place *place, const struct http_response *r,
                                   int *code, struct error *err)
{
	const char *reason = r->reason ? r->reason : "no answer";
	/* There are no credentials, or they cannot be had: nothing was sent. */
	if (r->code == -EACCES) {
		*code = error_set(err, -EACCES, "%s: %s", place->url, reason);
		return S3_SETTLED;
	}
	*code = -ENETDOWN;
	switch (r->fault) {
	case HTTP_FAULT_RESOLVE:
	case HTTP_FAULT_CONNECT:
		error_set(err, *code, "%s: %s", place->url, reason);
		return S3_AWAY;
	case HTTP_FAULT_TIMEOUT:
	case HTTP_FAULT_CUT:
	case HTTP_FAULT_OTHER:
		error_set(err, *code, "%s: %s", place->url, reason);
		return S3_AGAIN;
	default:
		*code = error_set(err, r->code, "%s: %s", place->url, reason);
		return S3_SETTLED;
	}
}

static bool is_any_of(const char *code, const char *const *codes)
{
	for (; *codes; codes++)
		if (strcmp(code, *codes) == 0)
			return true;
	return false;
}

/* The bytes of the request went wrong on the way, or somebody else was at the same key. */
static bool is_passing(int status, const char *code)
{
	static const char *const passing[] = { "RequestTimeout",
		                               "IncompleteBody",
		                               "BadDigest",
		                               "XAmzContentSHA256Mismatch",
		                               "ConditionalRequestConflict",
		                               "OperationAborted",
		                               "InternalError",
		                               "RequestTimeTooSkewed",
		                               NULL };
	return status == 408 || status >= 500 || is_any_of(code, passing);
}

static bool is_throttled(int status, const char *code)
{
	static const char *const throttled[] = { "SlowDown",
		                                 "Throttling",
		                                 "ThrottlingException",
		                                 "RequestLimitExceeded",
		                                 "TooManyRequests",
		                                 "ServiceUnavailable",
		                                 NULL };
	return status == 429 || status == 503 || is_any_of(code, throttled);
}

/* The text between <Region> and </Region>, or the header that says the same. */
static char *region_named(const struct http_response *r)
{
	const char *header = http_header(r, "x-amz-bucket-region");
	const char *at = r->body.data ? strstr(r->body.data, "<Region>") : NULL;
	if (header)
		return xstrdup(header);
	if (!at)
		return NULL;
	at += strlen("<Region>");
	size_t len = strcspn(at, "<");
	return len > 0 && len < 64 ? xstrndup(at, len) : NULL;
}

static int other_region(const struct s3_place *place, const char *region, struct error *err)
{
	if (region)
		return error_set(err, -EINVAL,
		                 "%s: the bucket is in region %s, and was asked for in %s: set "
		                 "AWS_REGION=%s, or the profile's region",
		                 place->url, region, place->region, region);
	return error_set(err, -EINVAL,
	                 "%s: the bucket is not in region %s: set AWS_REGION or the profile's "
	                 "region to its own",
	                 place->url, place->region);
}

static bool is_about_region(int status, const char *code)
{
	static const char *const codes[] = { "AuthorizationHeaderMalformed", "PermanentRedirect",
		                             "TemporaryRedirect",
		                             "IllegalLocationConstraintException", NULL };
	return (status >= 300 && status < 400) || is_any_of(code, codes);
}

static int refused(const struct s3_place *place, const struct http_response *r, const char *code,
                   const char *message, struct error *err)
{
	const char *hint = "";
	if (strcmp(code, "AccessDenied") == 0)
		hint = "; docs/far-store.md has the policy that is needed";
	else if (strcmp(code, "SignatureDoesNotMatch") == 0)
		hint = "; the secret key is not that of the access key";
	return error_set(err, -EACCES, "%s: refused by %s: %d %s%s%s%s", place->url, place->host,
	                 r->status, code, *message ? ": " : "", message, hint);
}

static int judge_absence(const struct s3_place *place, const char *code, struct error *err)
{
	if (strcmp(code, "NoSuchKey") == 0)
		return error_set(err, -ENOENT, "%s: no such object", place->url);
	if (strcmp(code, "NoSuchBucket") == 0)
		return error_set(err, -ENODEV,
		                 "%s: %s has no bucket %s: make it (aws s3 mb s3://%s) or name "
		                 "another",
		                 place->url, place->host, place->bucket, place->bucket);
	if (strcmp(code, "NoSuchUpload") == 0)
		return error_set(err, -ESTALE, "%s: an upload in parts is there no more",
		                 place->url);
	return error_set(err, -EPROTO,
	                 "%s: %s answers 404, but not as S3 does: is that endpoint right?",
	                 place->url, place->host);
}

static enum s3_verdict judge_status(const struct s3_place *place, const struct http_response *r,
                                    const char *aws_code, const char *message, int *code,
                                    struct error *err)
{
	int status = r->status;
	if (status == 404)
		*code = judge_absence(place, aws_code, err);
	else if (status == 412)
		*code = error_set(err, -EEXIST, "%s: the condition was not met", place->url);
	else if (status == 416)
		*code = error_set(err, -ERANGE, "%s: the range is outside", place->url);
	else if (is_about_region(status, aws_code)) {
		scoped_free char *region = region_named(r);
		*code = other_region(place, region, err);
	} else if (status == 501 && strcmp(aws_code, "NotImplemented") == 0) {
		*code = error_set(err, -EOPNOTSUPP, "%s: %s does not know that: %s", place->url,
		                  place->host, message);
		return S3_UNCONDITIONAL;
	} else if (is_throttled(status, aws_code) || is_passing(status, aws_code)) {
		*code = error_set(err, -ENETDOWN, "%s: %s answers %d %s%s%s", place->url,
		                  place->host, status, aws_code, *message ? ": " : "", message);
		return is_throttled(status, aws_code) ? S3_SLOW : S3_AGAIN;
	} else if (status == 401 || status == 403 || strcmp(aws_code, "ExpiredToken") == 0 ||
	           strcmp(aws_code, "InvalidToken") == 0)
		*code = refused(place, r, aws_code, message, err);
	else
		*code = error_set(err, -EIO, "%s: %s answers %d %s%s%s", place->url, place->host,
		                  status, aws_code, *message ? ": " : "", message);
	return S3_SETTLED;
}

enum s3_verdict s3_judge(const struct s3_place *place, const struct http_response *r,
                         bool late_error, int *code, struct error *err)
{
	if (r->code < 0)
		return judge_fault(place, r, code, err);
	if (r->status >= 200 && r->status < 300) {
		*code = 0;
		if (!late_error || !r->body.data || !strstr(r->body.data, "<Error>"))
			return S3_SETTLED;
		*code = error_set(err, -ENETDOWN, "%s: %s began well and failed", place->url,
		                  place->host);
		return S3_AGAIN;
	}
	scoped_free char *aws_code = NULL;
	scoped_free char *message = NULL;
	aws_error_parse(r, &aws_code, &message);
	return judge_status(place, r, aws_code, message, code, err);
}
