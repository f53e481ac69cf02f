#include "tests/lib/test.h"

#include <string.h>

#include "common/aws/sigv4.h"

/* Whether signatures are right is shown against botocore (tests/net/test_signatures.py); here, that
 * whatever is changed after signing is refused, and AWS's own published example. */

enum { WHEN = 1770091506 };

static char access_key[] = "AKIDEXAMPLE", secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
static char token[] = "TOKEN+/==", other_text[] = "other";

static struct aws_keys plain_keys(void)
{
	return (struct aws_keys){ .access_key = access_key, .secret_key = secret };
}

static void awss_published_example_has_its_published_signature(void **state)
{
	(void)state;
	/* "GET Object" of the Amazon S3 API Reference, "Examples: Signature Calculations". */
	struct aws_keys keys = { .access_key = (char[]){ "AKIAIOSFODNN7EXAMPLE" },
		                 .secret_key =
		                         (char[]){ "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" } };
	static const char *const headers[] = { "Range: bytes=0-9" };
	struct sha256_hex empty = sha256_hex("", 0);
	struct sigv4_request r = { .method = "GET",
		                   .host = "examplebucket.s3.amazonaws.com",
		                   .path = "/test.txt",
		                   .query = "",
		                   .headers = headers,
		                   .header_count = 1,
		                   .payload_sha256 = empty.text,
		                   .service = "s3",
		                   .region = "us-east-1",
		                   .when = 1369353600,
		                   .s3 = true };
	scoped_strv struct strv out = STRV_INIT;
	sigv4_sign(&keys, &r, &out);
	assert_string_equal(
	        out.items[out.count - 1],
	        "authorization: AWS4-HMAC-SHA256 "
	        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
	        "s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
	        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

/* A signed request as a server got it; what a test changes, it changes here. */
struct received {
	struct aws_keys keys;
	struct sigv4_request request;
	struct strv headers;
	struct sha256_hex hash;
	time_t now;
};

static void receive(struct received *in, bool s3)
{
	static const char *const own[] = { "x-amz-invocation-type: Event", "content-type: text/x" };
	*in = (struct received){ .keys = plain_keys(), .now = WHEN };
	in->hash = sha256_hex("body", 4);
	in->request = (struct sigv4_request){ .method = "POST",
		                              .host = "localhost:3001",
		                              .path = "/2015/functions/f%3Ax/invocations",
		                              .query = "Qualifier=1&a=b",
		                              .headers = own,
		                              .header_count = 2,
		                              .payload_sha256 = in->hash.text,
		                              .service = s3 ? "s3" : "lambda",
		                              .region = "us-east-1",
		                              .when = WHEN,
		                              .s3 = s3 };
	strv_add(&in->headers, "host: localhost:3001");
	strv_add(&in->headers, "user-agent: x");
	for (size_t i = 0; i < 2; i++)
		strv_add(&in->headers, own[i]);
	scoped_strv struct strv made = STRV_INIT;
	sigv4_sign(&in->keys, &in->request, &made);
	strv_copy(&in->headers, &made);
}

static int verify(struct received *in, struct error *err)
{
	in->request.headers = (const char *const *)in->headers.items;
	in->request.header_count = in->headers.count;
	return sigv4_verify(&in->keys, &in->request, in->now, err);
}

static char **find(struct received *in, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < in->headers.count; i++)
		if (strncmp(in->headers.items[i], name, len) == 0 &&
		    in->headers.items[i][len] == ':')
			return &in->headers.items[i];
	abort();
}

static void replace(struct received *in, const char *name, char *line)
{
	char **at = find(in, name);
	free(*at);
	*at = line;
}

static void a_request_as_it_was_signed_is_accepted(void **state)
{
	(void)state;
	struct error err;
	for (int s3 = 0; s3 < 2; s3++) {
		struct received in;
		receive(&in, s3);
		assert_ok(verify(&in, &err));
		strv_release(&in.headers);
	}
}

static void change_method(struct received *in)
{
	in->request.method = "PUT";
}
static void change_path(struct received *in)
{
	in->request.path = "/2015/functions/f%3Ay/invocations";
}
static void change_query(struct received *in)
{
	in->request.query = "Qualifier=2&a=b";
}
static void change_body(struct received *in)
{
	in->hash = sha256_hex("bodY", 4);
}
static void change_header(struct received *in)
{
	replace(in, "x-amz-invocation-type", xstrdup("x-amz-invocation-type: DryRun"));
}
static void change_host(struct received *in)
{
	replace(in, "host", xstrdup("host: localhost:3002"));
}
static void add_header(struct received *in)
{
	strv_add(&in->headers, "x-amz-log-type: Tail");
}
static void repeat_header(struct received *in)
{
	strv_add(&in->headers, "x-amz-invocation-type: Event");
}
static void change_secret(struct received *in)
{
	in->keys.secret_key = other_text;
}
static void change_key(struct received *in)
{
	in->keys.access_key = other_text;
}
static void change_region(struct received *in)
{
	in->request.region = "eu-west-1";
}
static void change_service(struct received *in)
{
	in->request.service = "sts";
}
static void want_token(struct received *in)
{
	in->keys.session_token = token;
}
static void bring_token(struct received *in)
{
	strv_add(&in->headers, "x-amz-security-token: TOKEN+/==");
}
static void spoil_signature(struct received *in)
{
	char *line = xstrdup(*find(in, "authorization"));
	line[strlen(line) - 1] ^= 1;
	replace(in, "authorization", line);
}
static void shorten_signature(struct received *in)
{
	char *line = xstrdup(*find(in, "authorization"));
	line[strlen(line) - 1] = '\0';
	replace(in, "authorization", line);
}
static void drop_authorization(struct received *in)
{
	replace(in, "authorization", xstrdup("x-other: 1"));
}

static void whatever_is_changed_afterwards_is_refused(void **state)
{
	(void)state;
	static void (*const changes[])(struct received *) = {
		change_method,     change_path,        change_query, change_body,   change_header,
		change_host,       add_header,         change_key,   repeat_header, change_secret,
		change_region,     change_service,     want_token,   bring_token,   spoil_signature,
		shorten_signature, drop_authorization,
	};
	struct error err;
	for (int s3 = 0; s3 < 2; s3++) {
		for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
			struct received in;
			receive(&in, s3);
			changes[i](&in);
			assert_error(verify(&in, &err), -EACCES);
			assert_null(strstr(err.text, secret));
			strv_release(&in.headers);
		}
	}
}

static void what_is_malformed_is_einval(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"authorization: ",
		"authorization: Basic abc",
		"authorization: AWS4-HMAC-SHA256",
		"authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
		"authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260203/us-east-1/lambda/"
		"aws4_request, SignedHeaders=x-amz-date, Signature=00",
		"authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260203/us-east-1/lambda/"
		"aws4_request, SignedHeaders=host;x-amz-date;x-amz-invocation-type;absent, "
		"Signature=00",
		"x-amz-date: yesterday",
		"x-amz-date: 20260203T040506",
		"x-amz-date: 20261303T040506Z",
	};
	struct error err;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct received in;
		receive(&in, false);
		scoped_free char *name = xstrndup(lines[i], strcspn(lines[i], ":"));
		replace(&in, name, xstrdup(lines[i]));
		assert_error(verify(&in, &err), -EINVAL);
		strv_release(&in.headers);
	}
}

static void too_old_and_too_new_are_told_apart_from_wrong(void **state)
{
	(void)state;
	struct error err;
	struct received in;
	receive(&in, false);
	in.now = WHEN + SIGV4_SKEW_MAX_S;
	assert_ok(verify(&in, &err));
	in.now++;
	assert_error(verify(&in, &err), -ETIME);
	assert_non_null(strstr(err.text, "Signature expired"));
	in.now = WHEN - SIGV4_SKEW_MAX_S - 1;
	assert_error(verify(&in, &err), -ETIME);
	assert_non_null(strstr(err.text, "Signature not yet current"));
	spoil_signature(&in);
	assert_error(verify(&in, &err), -EACCES);
	strv_release(&in.headers);
}

static void the_words_of_aws_come_first_in_each_sentence(void **state)
{
	(void)state;
	struct error err;
	struct received in;
	receive(&in, false);
	change_secret(&in);
	assert_error(verify(&in, &err), -EACCES);
	assert_int_equal(strncmp(err.text, "InvalidSignatureException: ", 27), 0);
	change_key(&in);
	assert_error(verify(&in, &err), -EACCES);
	assert_int_equal(strncmp(err.text, "UnrecognizedClientException: ", 29), 0);
	drop_authorization(&in);
	assert_error(verify(&in, &err), -EACCES);
	assert_int_equal(strncmp(err.text, "MissingAuthenticationTokenException: ", 37), 0);
	strv_release(&in.headers);
}

static void encoding_leaves_only_unreserved_characters(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	aws_uri_encode("aZ09-._~/ +\xc3\xbc%", false, &b);
	assert_string_equal(b.data, "aZ09-._~%2F%20%2B%C3%BC%25");
	buf_reset(&b);
	aws_uri_encode("a/b", true, &b);
	assert_string_equal(b.data, "a/b");
}

static void released_keys_are_empty_and_copies_are_whole(void **state)
{
	(void)state;
	struct aws_keys keys = plain_keys(), copy;
	keys.session_token = token;
	keys.expires_s = 5;
	aws_keys_copy(&copy, &keys);
	assert_string_equal(copy.access_key, access_key);
	assert_string_equal(copy.secret_key, secret);
	assert_string_equal(copy.session_token, token);
	assert_int_equal(copy.expires_s, 5);
	aws_keys_release(&copy);
	assert_null(copy.access_key);
	assert_null(copy.secret_key);
	assert_null(copy.session_token);
	aws_keys_release(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(awss_published_example_has_its_published_signature),
		cmocka_unit_test(a_request_as_it_was_signed_is_accepted),
		cmocka_unit_test(whatever_is_changed_afterwards_is_refused),
		cmocka_unit_test(what_is_malformed_is_einval),
		cmocka_unit_test(too_old_and_too_new_are_told_apart_from_wrong),
		cmocka_unit_test(the_words_of_aws_come_first_in_each_sentence),
		cmocka_unit_test(encoding_leaves_only_unreserved_characters),
		cmocka_unit_test(released_keys_are_empty_and_copies_are_whole),
	};
	return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
