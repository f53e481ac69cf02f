#include "common/jwt.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"

#define TIME_MAX_S 253402300799 /* the end of the year 9999 */

/* --- parts -------------------------------------------------------------------------------------
 */

static json_t *decode_object(const char *text, size_t len)
{
	scoped_buf struct buf json = BUF_INIT;
	if (!base64url_decode(text, len, &json) || json.len == 0)
		return NULL;
	json_t *object = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* False: it is there and no string. */
static bool take_string(const json_t *object, const char *name, char **out)
{
	const json_t *value = json_object_get(object, name);
	if (!value)
		return true;
	if (!json_is_string(value))
		return false;
	*out = xstrdup(json_string_value(value));
	return true;
}

/* NumericDate (RFC 7519, section 2), which may have a fraction. False: no time. */
static bool take_time(const json_t *object, const char *name, bool needed, int64_t *out)
{
	const json_t *value = json_object_get(object, name);
	if (!value)
		return !needed;
	double seconds = json_number_value(value);
	if (!json_is_number(value) || !(seconds > 0 && seconds <= (double)TIME_MAX_S))
		return false;
	*out = (int64_t)seconds;
	return true;
}

static int take_header(const json_t *header, struct jwt *out, struct error *err)
{
	const char *algorithm = json_string_value(json_object_get(header, "alg"));
	const json_t *type = json_object_get(header, "typ");
	if (algorithm && strcmp(algorithm, "RS256") == 0)
		out->algorithm = JWT_RS256;
	else if (algorithm && strcmp(algorithm, "ES256") == 0)
		out->algorithm = JWT_ES256;
	else
		return error_set(err, -EINVAL, "the token is not signed by RS256 or ES256");
	if (type && (!json_is_string(type) || strcasecmp(json_string_value(type), "JWT") != 0))
		return error_set(err, -EINVAL, "the token is one of another type");
	/* What must be understood is not (RFC 7515, section 4.1.11). */
	if (json_object_get(header, "crit"))
		return error_set(err, -EINVAL, "the token has critical extensions");
	if (!take_string(header, "kid", &out->kid))
		return error_set(err, -EINVAL, "the token's header is malformed");
	return 0;
}

static bool take_audiences(const json_t *claims, struct strv *out)
{
	const json_t *aud = json_object_get(claims, "aud"), *one;
	size_t i;
	if (json_is_string(aud)) {
		strv_add(out, json_string_value(aud));
		return true;
	}
	if (json_array_size(aud) == 0 || json_array_size(aud) > JWT_AUDIENCES_MAX)
		return false;
	json_array_foreach(aud, i, one)
	{
		if (!json_is_string(one))
			return false;
		strv_add(out, json_string_value(one));
	}
	return true;
}

static int take_claims(const json_t *claims, struct jwt *out, struct error *err)
{
	bool good = take_string(claims, "iss", &out->issuer) && out->issuer &&
	            take_string(claims, "sub", &out->subject) && out->subject &&
	            take_audiences(claims, &out->audiences) &&
	            take_time(claims, "exp", true, &out->expires_s) &&
	            take_time(claims, "iat", true, &out->issued_s) &&
	            take_time(claims, "nbf", false, &out->not_before_s);
	/* An address that the issuer has not verified is anybody's. */
	if (good && json_is_true(json_object_get(claims, "email_verified")))
		good = take_string(claims, "email", &out->email);
	return good ? 0 : error_set(err, -EINVAL, "the token's claims are not an ID token's");
}

static int parse_parts(const char *text, size_t len, struct jwt *out, struct error *err)
{
	const char *end = text + len, *claims = memchr(text, '.', len);
	const char *signature = claims ? memchr(claims + 1, '.', (size_t)(end - claims - 1)) : NULL;
	if (!signature || memchr(signature + 1, '.', (size_t)(end - signature - 1)))
		return error_set(err, -EINVAL, "the token has not three parts");
	json_t *header = decode_object(text, (size_t)(claims - text));
	int r = header ? take_header(header, out, err)
	               : error_set(err, -EINVAL, "the token's header is malformed");
	json_decref(header);
	if (r < 0)
		return r;
	json_t *object = decode_object(claims + 1, (size_t)(signature - claims - 1));
	r = object ? take_claims(object, out, err)
	           : error_set(err, -EINVAL, "the token's claims are malformed");
	json_decref(object);
	if (r < 0)
		return r;
	if (!base64url_decode(signature + 1, (size_t)(end - signature - 1), &out->signature) ||
	    out->signature.len == 0)
		return error_set(err, -EINVAL, "the token's signature is malformed");
	out->signed_len = (size_t)(signature - text);
	out->signed_text = xstrndup(text, out->signed_len);
	return 0;
}

int jwt_parse(const char *text, size_t len, struct jwt *out, struct error *err)
{
	if (len > JWT_BYTES_MAX)
		return error_set(err, -EINVAL, "the token has more than %d bytes", JWT_BYTES_MAX);
	int r = parse_parts(text, len, out, err);
	if (r < 0)
		jwt_release(out);
	return r;
}

void jwt_release(struct jwt *t)
{
	free(t->kid);
	free(t->issuer);
	free(t->subject);
	free(t->email);
	strv_release(&t->audiences);
	free(t->signed_text);
	buf_release(&t->signature);
	*t = (struct jwt){ 0 };
}

/* --- claims ------------------------------------------------------------------------------------
 */

/* Google's tokens may leave the scheme out of its name; its documentation says to take both. */
static bool is_issuer(const char *said, const char *wanted)
{
	return strcmp(said, wanted) == 0 || (strcmp(wanted, "https://accounts.google.com") == 0 &&
	                                     strcmp(said, "accounts.google.com") == 0);
}

int jwt_check(const struct jwt *t, const struct jwt_policy *policy, int64_t now_s,
              struct error *err)
{
	if (!is_issuer(t->issuer, policy->issuer))
		return error_set(err, -EACCES, "the token is another issuer's");
	if (!strv_contains(&t->audiences, policy->audience))
		return error_set(err, -EACCES, "the token is for another audience");
	if (now_s >= t->expires_s + JWT_LEEWAY_S)
		return error_set(err, -EACCES, "the token has expired");
	if (now_s < t->issued_s - JWT_LEEWAY_S || now_s < t->not_before_s - JWT_LEEWAY_S)
		return error_set(err, -EACCES, "the token is not valid yet");
	if (policy->subject && strcmp(t->subject, policy->subject) != 0)
		return error_set(err, -EACCES, "the token is another subject's");
	if (policy->email && (!t->email || strcmp(t->email, policy->email) != 0))
		return error_set(err, -EACCES, "the token has not the email that is let in");
	return 0;
}
