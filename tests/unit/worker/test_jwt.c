/* What is taken for a token of the issuer's, and what is not. */
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <string.h>

#include "common/jwt.h"
#include "tests/lib/test.h"
#include "tests/unit/worker/jwt_maker.h"

#define NOW 2000000000
#define CLAIMS(more)                                                                               \
	"{\"iss\":\"https://issuer.example\",\"sub\":\"17\",\"aud\":\"us\",\"exp\":2000003600,"    \
	"\"iat\":1999999990" more "}"
#define RS256(more) "{\"alg\":\"RS256\",\"typ\":\"JWT\"" more "}"
#define ES256(more) "{\"alg\":\"ES256\"" more "}"

static EVP_PKEY *rsa, *rsa_other, *p256;

static int make_keys(void **state)
{
	(void)state;
	rsa = EVP_RSA_gen(2048);
	rsa_other = EVP_RSA_gen(2048);
	p256 = EVP_EC_gen("P-256");
	return !rsa || !rsa_other || !p256;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(rsa_other);
	EVP_PKEY_free(p256);
	return 0;
}

/* A set of up to three keys, whose texts are taken. */
static struct jwt_keys *keys_of(char *one, char *two, char *three)
{
	struct error err;
	struct jwt_keys *keys = NULL;
	scoped_buf struct buf b = BUF_INIT;
	buf_add_format(&b, "{\"keys\":[%s%s%s%s%s]}", one, two ? "," : "", two ? two : "",
	               three ? "," : "", three ? three : "");
	assert_ok(jwt_keys_parse(b.data, b.len, &keys, &err));
	free(one);
	free(two);
	free(three);
	return keys;
}

static int verify_text(const char *token, const struct jwt_keys *keys, struct error *err)
{
	struct jwt t = { 0 };
	int r = jwt_parse(token, strlen(token), &t, err);
	if (r == 0)
		r = jwt_verify(&t, keys, err);
	jwt_release(&t);
	return r;
}

/* --- signatures --- */

static void each_algorithm_is_verified_with_the_key_that_the_token_names(void **state)
{
	struct error err;
	(void)state;
	struct jwt_keys *keys = keys_of(make_jwk(rsa_other, "b", ",\"use\":\"sig\""),
	                                make_jwk(rsa, "a", ",\"alg\":\"RS256\""),
	                                make_jwk(p256, "c", ",\"alg\":\"ES256\""));
	assert_int_equal(jwt_keys_count(keys), 3);
	scoped_free char *one = make_token(rsa, RS256(",\"kid\":\"a\""), CLAIMS(""));
	scoped_free char *two = make_token(p256, ES256(",\"kid\":\"c\""), CLAIMS(""));
	assert_ok(verify_text(one, keys, &err));
	assert_ok(verify_text(two, keys, &err));
	scoped_free char *wrong_key = make_token(rsa, RS256(",\"kid\":\"b\""), CLAIMS(""));
	scoped_free char *no_key = make_token(rsa, RS256(",\"kid\":\"d\""), CLAIMS(""));
	assert_error(verify_text(wrong_key, keys, &err), -EACCES);
	assert_error(verify_text(no_key, keys, &err), -ENOKEY);
	jwt_keys_free(keys);
}

static void a_key_is_used_for_its_own_algorithm_alone(void **state)
{
	struct error err;
	(void)state;
	struct jwt_keys *keys = keys_of(make_jwk(rsa, "a", ""), make_jwk(p256, "c", ""), NULL);
	scoped_free char *one = make_token(p256, RS256(",\"kid\":\"c\""), CLAIMS(""));
	scoped_free char *two = make_token(rsa, ES256(",\"kid\":\"a\""), CLAIMS(""));
	assert_error(verify_text(one, keys, &err), -ENOKEY);
	assert_error(verify_text(two, keys, &err), -ENOKEY);
	jwt_keys_free(keys);
}

static void a_token_without_a_key_id_needs_a_single_key_of_its_kind(void **state)
{
	struct error err;
	(void)state;
	scoped_free char *token = make_token(rsa, RS256(""), CLAIMS(""));
	struct jwt_keys *one = keys_of(make_jwk(rsa, "a", ""), make_jwk(p256, "c", ""), NULL);
	struct jwt_keys *two = keys_of(make_jwk(rsa, "a", ""), make_jwk(rsa_other, "b", ""), NULL);
	assert_ok(verify_text(token, one, &err));
	assert_error(verify_text(token, two, &err), -ENOKEY);
	jwt_keys_free(one);
	jwt_keys_free(two);
}

static void a_change_of_any_byte_is_noticed(void **state)
{
	struct error err;
	EVP_PKEY *const signers[] = { rsa, p256 };
	const char *headers[] = { RS256(""), ES256("") };
	(void)state;
	struct jwt_keys *keys = keys_of(make_jwk(rsa, NULL, ""), make_jwk(p256, NULL, ""), NULL);
	for (size_t k = 0; k < 2; k++) {
		scoped_free char *token = make_token(signers[k], headers[k], CLAIMS(""));
		assert_ok(verify_text(token, keys, &err));
		for (size_t i = 0; token[i]; i++) {
			char before = token[i];
			token[i] = before == 'A' ? 'B' : 'A';
			assert_int_not_equal(verify_text(token, keys, &err), 0);
			token[i] = before;
		}
	}
	jwt_keys_free(keys);
}

static void signatures_of_another_length_are_none(void **state)
{
	struct error err;
	(void)state;
	struct jwt_keys *keys = keys_of(make_jwk(p256, NULL, ""), NULL, NULL);
	scoped_free char *text = make_unsigned(ES256(""), CLAIMS(""));
	scoped_buf struct buf signature = BUF_INIT;
	sign_bytes(p256, text, strlen(text), &signature);
	buf_add_char(&signature, 0);
	for (size_t len = signature.len; len > 0; len--) {
		scoped_buf struct buf token = BUF_INIT;
		buf_add_format(&token, "%s.", text);
		base64url_add(&token, signature.data, len);
		int r = verify_text(token.data, keys, &err);
		assert_int_equal(r, len == 64 ? 0 : -EACCES);
	}
	jwt_keys_free(keys);
}

static void no_signature_and_one_by_a_shared_secret_are_refused(void **state)
{
	struct error err;
	uint8_t mac[32];
	unsigned mac_len = sizeof(mac);
	struct jwt t = { 0 };
	(void)state;
	static const char *const headers[] = {
		"{\"alg\":\"none\"}",  "{\"alg\":\"None\"}",         "{\"alg\":\"HS256\"}",
		"{\"alg\":\"RS512\"}", "{\"alg\":[\"RS256\"]}",      "{}",
		"{\"alg\":\"rs256\"}", "{\"alg\":\"RS256\\u0000\"}",
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		scoped_free char *token = make_token(rsa, headers[i], CLAIMS(""));
		assert_error(jwt_parse(token, strlen(token), &t, &err), -EINVAL);
		/* With the issuer's public key as the secret, as some libraries had it. */
		scoped_free char *text = make_unsigned(headers[i], CLAIMS(""));
		scoped_free char *jwk = make_jwk(rsa, "a", "");
		scoped_buf struct buf b = BUF_INIT;
		HMAC(EVP_sha256(), jwk, (int)strlen(jwk), (uint8_t *)text, strlen(text), mac,
		     &mac_len);
		buf_add_format(&b, "%s.", text);
		assert_error(jwt_parse(b.data, b.len, &t, &err), -EINVAL);
		base64url_add(&b, mac, sizeof(mac));
		assert_error(jwt_parse(b.data, b.len, &t, &err), -EINVAL);
		assert_null(t.issuer);
	}
}

/* --- texts --- */

static void what_is_no_token_is_refused(void **state)
{
	struct error err;
	struct jwt t = { 0 };
	(void)state;
	scoped_free char *good = make_token(rsa, RS256(""), CLAIMS(""));
	scoped_free char *more = xformat("%s.AAAA", good), *padded = xformat("%s=", good);
	scoped_free char *line = xformat("%s\n", good), *before = xformat(" %s", good);
	scoped_free char *two = xstrndup(good, (size_t)(strrchr(good, '.') - good));
	scoped_free char *empty = xformat("%s.", two);
	const char *bad[] = {
		"", ".", "..", "...", "a.b.c", more, padded, line, before, two, empty
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_error(jwt_parse(bad[i], strlen(bad[i]), &t, &err), -EINVAL);
	scoped_free char *huge = xmalloc(JWT_BYTES_MAX + 2);
	memset(huge, 'A', JWT_BYTES_MAX + 1);
	assert_error(jwt_parse(huge, JWT_BYTES_MAX + 1, &t, &err), -EINVAL);
	assert_ok(jwt_parse(good, strlen(good), &t, &err));
	jwt_release(&t);
}

static void headers_that_ask_for_more_are_refused(void **state)
{
	struct error err;
	struct jwt t = { 0 };
	static const char *const bad[] = {
		RS256(",\"crit\":[\"b64\"],\"b64\":false"),
		RS256(",\"kid\":7"),
		"{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}",
		"{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
		"[]",
		"{\"alg\":\"RS256\"} ,",
		"",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped_free char *token = make_token(rsa, bad[i], CLAIMS(""));
		assert_error(jwt_parse(token, strlen(token), &t, &err), -EINVAL);
	}
}

static void claims_of_no_id_token_are_refused(void **state)
{
	struct error err;
	struct jwt t = { 0 };
	static const char *const bad[] = {
		"{}",
		"{\"sub\":\"1\",\"aud\":\"a\",\"exp\":2,\"iat\":1}",
		"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":2,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"exp\":2,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":2}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":[],\"exp\":2,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":[\"a\",2],\"exp\":2,\"iat\":1}",
		"{\"iss\":[\"i\"],\"sub\":\"1\",\"aud\":\"a\",\"exp\":2,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":\"2\",\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":1e300,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":-1,\"iat\":1}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":2,\"iat\":1,\"nbf\":null}",
		"{\"iss\":\"i\",\"sub\":\"1\",\"aud\":\"a\",\"aud\":\"b\",\"exp\":2,\"iat\":1}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped_free char *token = make_token(rsa, RS256(""), bad[i]);
		assert_error(jwt_parse(token, strlen(token), &t, &err), -EINVAL);
	}
}

/* --- claims --- */

static int check(const char *claims, const struct jwt_policy *policy, int64_t now,
                 struct error *err)
{
	struct jwt t = { 0 };
	scoped_free char *token = make_token(p256, ES256(""), claims);
	int r = jwt_parse(token, strlen(token), &t, err);
	if (r == 0)
		r = jwt_check(&t, policy, now, err);
	jwt_release(&t);
	return r;
}

static void issuer_audience_and_times_are_checked(void **state)
{
	struct error err;
	const struct jwt_policy us = { .issuer = "https://issuer.example", .audience = "us" };
	const struct jwt_policy they = { .issuer = us.issuer, .audience = "they" };
	const struct jwt_policy other = { .issuer = "https://issuer.exampl", .audience = "us" };
	(void)state;
	assert_ok(check(CLAIMS(""), &us, NOW, &err));
	assert_error(check(CLAIMS(""), &they, NOW, &err), -EACCES);
	assert_error(check(CLAIMS(""), &other, NOW, &err), -EACCES);
	assert_ok(check(CLAIMS(""), &us, 2000003659, &err));
	assert_error(check(CLAIMS(""), &us, 2000003660, &err), -EACCES);
	assert_ok(check(CLAIMS(""), &us, 1999999930, &err));
	assert_error(check(CLAIMS(""), &us, 1999999929, &err), -EACCES);
	assert_ok(check(CLAIMS(",\"nbf\":2000000060.5"), &us, NOW, &err));
	assert_error(check(CLAIMS(",\"nbf\":2000000061"), &us, NOW, &err), -EACCES);
}

static void one_of_several_audiences_will_do(void **state)
{
	struct error err;
	const struct jwt_policy us = { .issuer = "i", .audience = "us" };
	(void)state;
	assert_ok(check("{\"iss\":\"i\",\"sub\":\"1\",\"aud\":[\"a\",\"us\"],\"exp\":2,\"iat\":1}",
	                &us, 1, &err));
	assert_error(
	        check("{\"iss\":\"i\",\"sub\":\"1\",\"aud\":[\"a\",\"u\"],\"exp\":2,\"iat\":1}",
	              &us, 1, &err),
	        -EACCES);
}

static void googles_issuer_may_leave_its_scheme_out(void **state)
{
	struct error err;
	const struct jwt_policy google = { .issuer = "https://accounts.google.com",
		                           .audience = "a" };
	(void)state;
	assert_ok(check("{\"iss\":\"accounts.google.com\",\"sub\":\"1\",\"aud\":\"a\",\"exp\":2,"
	                "\"iat\":1}",
	                &google, 1, &err));
}

static void subject_and_verified_email_are_checked_where_they_are_asked_for(void **state)
{
	struct error err;
	const struct jwt_policy email = { .issuer = "https://issuer.example",
		                          .audience = "us",
		                          .email = "a@b.c" };
	const struct jwt_policy subject = { .issuer = email.issuer,
		                            .audience = "us",
		                            .subject = "17" };
	const struct jwt_policy another = { .issuer = email.issuer,
		                            .audience = "us",
		                            .subject = "1" };
	(void)state;
	assert_ok(check(CLAIMS(""), &subject, NOW, &err));
	assert_error(check(CLAIMS(""), &another, NOW, &err), -EACCES);
	assert_ok(check(CLAIMS(",\"email\":\"a@b.c\",\"email_verified\":true"), &email, NOW, &err));
	static const char *const bad[] = {
		CLAIMS(""),
		CLAIMS(",\"email\":\"a@b.c\""),
		CLAIMS(",\"email\":\"a@b.c\",\"email_verified\":false"),
		CLAIMS(",\"email\":\"a@b.c\",\"email_verified\":\"true\""),
		CLAIMS(",\"email\":\"a@b.cc\",\"email_verified\":true"),
		CLAIMS(",\"email_verified\":true"),
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_error(check(bad[i], &email, NOW, &err), -EACCES);
}

/* --- sets of keys --- */

static void keys_that_are_of_no_use_are_left_out(void **state)
{
	struct error err;
	struct jwt_keys *keys = NULL;
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	(void)state;
	char *all[] = {
		make_jwk(weak, "a", ""),
		make_jwk(rsa, "a", ",\"use\":\"enc\""),
		make_jwk(rsa, "a", ",\"alg\":\"RS512\""),
		make_jwk(p256, "a", ",\"alg\":\"RS256\""),
		xstrdup("{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"}"),
		xstrdup("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"),
		xstrdup("{\"kty\":\"EC\",\"crv\":\"P-256\","
		        "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
		xstrdup("7"),
		xstrdup("{}"),
	};
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "{\"keys\":[");
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		buf_add_format(&b, "%s%s", i ? "," : "", all[i]);
		free(all[i]);
	}
	buf_add_str(&b, "]}");
	assert_ok(jwt_keys_parse(b.data, b.len, &keys, &err));
	assert_int_equal(jwt_keys_count(keys), 0);
	jwt_keys_free(keys);
	EVP_PKEY_free(weak);
}

static void what_is_no_set_of_keys_is_refused(void **state)
{
	struct error err;
	struct jwt_keys *keys = NULL;
	static const char *const bad[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "<html>"
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_error(jwt_keys_parse(bad[i], strlen(bad[i]), &keys, &err), -EINVAL);
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "{\"keys\":[1");
	for (int i = 0; i < JWT_KEYS_MAX; i++)
		buf_add_str(&b, ",1");
	buf_add_str(&b, "]}");
	assert_error(jwt_keys_parse(b.data, b.len, &keys, &err), -EINVAL);
	buf_reserve(&b, JWT_KEYS_BYTES_MAX);
	memset(b.data, ' ', JWT_KEYS_BYTES_MAX + 1);
	assert_error(jwt_keys_parse(b.data, JWT_KEYS_BYTES_MAX + 1, &keys, &err), -EINVAL);
	assert_null(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_algorithm_is_verified_with_the_key_that_the_token_names),
		cmocka_unit_test(a_key_is_used_for_its_own_algorithm_alone),
		cmocka_unit_test(a_token_without_a_key_id_needs_a_single_key_of_its_kind),
		cmocka_unit_test(a_change_of_any_byte_is_noticed),
		cmocka_unit_test(signatures_of_another_length_are_none),
		cmocka_unit_test(no_signature_and_one_by_a_shared_secret_are_refused),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(headers_that_ask_for_more_are_refused),
		cmocka_unit_test(claims_of_no_id_token_are_refused),
		cmocka_unit_test(issuer_audience_and_times_are_checked),
		cmocka_unit_test(one_of_several_audiences_will_do),
		cmocka_unit_test(googles_issuer_may_leave_its_scheme_out),
		cmocka_unit_test(subject_and_verified_email_are_checked_where_they_are_asked_for),
		cmocka_unit_test(keys_that_are_of_no_use_are_left_out),
		cmocka_unit_test(what_is_no_set_of_keys_is_refused),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
