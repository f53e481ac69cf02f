#include "common/aws/answers.h"

#include <ctype.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "common/aws/xml.h"

enum { KEY_MAX = 512, TOKEN_MAX = 64 << 10 };

/* "+01:00", "-0330", "Z", "UTC": seconds east of Greenwich. */
static bool parse_offset(const char *text, int *seconds)
{
	if (strcmp(text, "Z") == 0 || strcmp(text, "UTC") == 0) {
		*seconds = 0;
		return true;
	}
	int hours, minutes, used = 0;
	char sign = *text;
	if (sign != '+' && sign != '-')
		return false;
	if ((sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) < 2 &&
	     sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) < 2) ||
	    text[1 + used] || hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
		return false;
	*seconds = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
	return true;
}

bool aws_answer_time(const char *text, int64_t *out)
{
	struct tm parts = { 0 };
	int offset;
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	if (!at)
		return false;
	if (*at == '.')
		at += 1 + strspn(at + 1, "0123456789");
	if (!parse_offset(at, &offset))
		return false;
	*out = timegm(&parts) - offset;
	return true;
}

/* What goes into a header has to be one line of plain characters. */
static bool is_plain(const char *text, size_t max)
{
	size_t len = 0;
	for (; text[len]; len++)
		if (len == max || (unsigned char)text[len] <= ' ' || (unsigned char)text[len] > '~')
			return false;
	return len > 0;
}

/* expires NULL: never. */
static int take(const char *access, const char *secret, const char *token, int64_t expires_s,
                struct aws_keys *out, struct error *err)
{
	if (!access || !secret)
		return error_set(err, -EBADMSG, "the answer has no key in it");
	if (!is_plain(access, KEY_MAX) || !is_plain(secret, KEY_MAX) ||
	    (token && !is_plain(token, TOKEN_MAX)))
		return error_set(err, -EBADMSG, "the key in the answer is malformed");
	*out = (struct aws_keys){ .access_key = xstrdup(access),
		                  .secret_key = xstrdup(secret),
		                  .session_token = token ? xstrdup(token) : NULL,
		                  .expires_s = expires_s };
	return 0;
}

static void wipe(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

int aws_answer_sts(const char *text, size_t len, struct aws_keys *out, struct error *err)
{
	static const char *const names[] = { "AccessKeyId", "SecretAccessKey", "SessionToken",
		                             "Expiration" };
	char *values[4];
	int64_t expires_s = 0;
	int r = 0;
	if (!xml_texts(text, len, names, 4, values))
		r = error_set(err, -EBADMSG, "the answer is no XML");
	else if (!values[3] || !aws_answer_time(values[3], &expires_s))
		r = error_set(err, -EBADMSG, "the answer has no valid Expiration");
	else
		r = take(values[0], values[1], values[2], expires_s, out, err);
	for (int i = 0; i < 4; i++)
		wipe(values[i]);
	return r;
}

static json_t *load(const char *text, size_t len, struct error *err)
{
	json_t *object = json_loadb(text, len, 0, NULL);
	if (json_is_object(object))
		return object;
	json_decref(object);
	error_set(err, -EBADMSG, "the answer is no JSON object");
	return NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text && *text ? text : NULL;
}

static int take_expiring(const json_t *o, const char *token_name, bool must_expire,
                         struct aws_keys *out, struct error *err)
{
	const char *expires = text_of(o, "Expiration");
	int64_t expires_s = 0;
	if ((must_expire && !expires) || (expires && !aws_answer_time(expires, &expires_s)))
		return error_set(err, -EBADMSG, "the answer has no valid Expiration");
	return take(text_of(o, "AccessKeyId"), text_of(o, "SecretAccessKey"),
	            text_of(o, token_name), expires_s, out, err);
}

int aws_answer_metadata(const char *text, size_t len, struct aws_keys *out, struct error *err)
{
	json_t *o = load(text, len, err);
	if (!o)
		return -EBADMSG;
	const char *code = text_of(o, "Code");
	int r = code && strcmp(code, "Success") != 0
	                ? error_set(err, -EBADMSG, "the answer's Code is not Success")
	                : take_expiring(o, "Token", false, out, err);
	json_decref(o);
	return r;
}

int aws_answer_process(const char *text, size_t len, struct aws_keys *out, struct error *err)
{
	json_t *o = load(text, len, err);
	if (!o)
		return -EBADMSG;
	const json_t *version = json_object_get(o, "Version");
	int r = !json_is_integer(version) || json_integer_value(version) != 1
	                ? error_set(err, -EBADMSG, "the answer's Version is not 1")
	                : take_expiring(o, "SessionToken", false, out, err);
	json_decref(o);
	return r;
}

int aws_answer_sso(const char *text, size_t len, struct aws_keys *out, struct error *err)
{
	json_t *o = load(text, len, err);
	if (!o)
		return -EBADMSG;
	const json_t *keys = json_object_get(o, "roleCredentials");
	const json_t *expiration = json_object_get(keys, "expiration");
	int r = !json_is_integer(expiration)
	                ? error_set(err, -EBADMSG, "the answer has no valid expiration")
	                : take(text_of(keys, "accessKeyId"), text_of(keys, "secretAccessKey"),
	                       text_of(keys, "sessionToken"), json_integer_value(expiration) / 1000,
	                       out, err);
	json_decref(o);
	return r;
}

int aws_answer_sso_token(const char *text, size_t len, struct sso_token *out, struct error *err)
{
	json_t *o = load(text, len, err);
	if (!o)
		return -EBADMSG;
	const char *token = text_of(o, "accessToken"), *expires = text_of(o, "expiresAt");
	int64_t expires_s = 0;
	int r = 0;
	if (!token || !is_plain(token, TOKEN_MAX))
		r = error_set(err, -EBADMSG, "there is no valid accessToken in it");
	else if (!expires || !aws_answer_time(expires, &expires_s))
		r = error_set(err, -EBADMSG, "there is no valid expiresAt in it");
	else
		*out = (struct sso_token){ .token = xstrdup(token), .expires_s = expires_s };
	json_decref(o);
	return r;
}
