#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/aws/answers.h"
#include "common/aws/fetch.h"
#include "common/io.h"

/* IAM Identity Center: the token that "aws sso login" left behind buys a role's keys. */

/* ~/.aws/sso/cache/SHA1.json, of the session's name or, in older configurations, the start URL. */
static char *cache_path(const struct aws_fetch *f)
{
	const char *key = f->plan->sso_session ? f->plan->sso_session : f->plan->sso_url;
	unsigned char digest[SHA_DIGEST_LENGTH];
	SHA1((const unsigned char *)key, strlen(key), digest);
	scoped_buf struct buf path = BUF_INIT;
	buf_add_str(&path, "~/.aws/sso/cache/");
	for (size_t i = 0; i < sizeof(digest); i++)
		buf_add_format(&path, "%02x", digest[i]);
	buf_add_str(&path, ".json");
	return aws_config_expand(f->config, path.data);
}

static int read_token(const struct aws_fetch *f, struct sso_token *out, struct error *err)
{
	scoped_free char *path = cache_path(f);
	scoped_buf struct buf text = BUF_INIT;
	struct error why = ERROR_INIT;
	int r = read_file_at(AT_FDCWD, path, &text, FETCH_FILE_MAX, &why);
	if (r == 0)
		r = aws_answer_sso_token(text.data ? text.data : "", text.len, out, &why);
	if (text.data)
		OPENSSL_cleanse(text.data, text.capacity);
	if (r < 0)
		return error_set(err, -EACCES,
		                 "profile %s: no SSO session, run \"aws sso login --profile %s\" "
		                 "(%s: %s)",
		                 f->plan->sso_profile, f->plan->sso_profile, path,
		                 r == -ENOENT ? "absent" : why.text);
	return 0;
}

static void fail_expired(struct aws_fetch *f)
{
	aws_fetch_fail(
	        f, "profile %s: the SSO session has expired, run \"aws sso login --profile %s\"",
	        f->plan->sso_profile, f->plan->sso_profile);
}

static void on_answer(struct aws_fetch *f, struct http_response *r)
{
	struct aws_keys keys = { 0 };
	struct error err = ERROR_INIT;
	if (r->code == 0 && r->status == 401)
		fail_expired(f);
	else if (r->code < 0 || r->status != 200)
		aws_fetch_fail_answer(f, "SSO", r);
	else if (aws_answer_sso(r->body.data ? r->body.data : "", r->body.len, &keys, &err) < 0)
		aws_fetch_fail(f, "SSO: %s", err.text);
	else
		aws_fetch_keys(f, &keys);
	aws_keys_release(&keys);
}

void aws_fetch_sso(struct aws_fetch *f)
{
	const struct plan *p = f->plan;
	struct sso_token token = { 0 };
	struct error err = ERROR_INIT;
	if (read_token(f, &token, &err) < 0) {
		aws_fetch_fail_error(f, &err);
		return;
	}
	if (token.expires_s <= aws_now(f->clock)) {
		fail_expired(f);
	} else {
		const char *source;
		scoped_free char *base =
		        aws_config_endpoint_in(f->config, "sso", p->sso_region, &source);
		scoped_buf struct buf url = BUF_INIT;
		buf_add_format(&url, "%s/federation/credentials?role_name=", base);
		aws_uri_encode(p->sso_role, false, &url);
		buf_add_str(&url, "&account_id=");
		aws_uri_encode(p->sso_account, false, &url);
		aws_fetch_set_token(f, token.token);
		f->method = xstrdup("GET");
		f->url = buf_steal(&url, NULL);
		strv_add_format(&f->headers, "x-amz-sso_bearer_token: %s", token.token);
		aws_fetch_request(f, on_answer);
	}
	OPENSSL_cleanse(token.token, strlen(token.token));
	free(token.token);
}
