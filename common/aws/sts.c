#include <fcntl.h>
#include <string.h>

#include "common/aws/answers.h"
#include "common/aws/fetch.h"
#include "common/io.h"

/* Roles, by STS's query protocol (AWS Security Token Service API Reference). */

static void add_parameter(struct buf *b, const char *name, const char *value)
{
	buf_add_format(b, "%s%s=", b->len ? "&" : "", name);
	aws_uri_encode(value, false, b);
}

static void add_role(struct buf *b, const struct plan_role *role, const struct aws_clock *clock)
{
	scoped_free char *session = xformat("ggfs-%lld", (long long)aws_now(clock));
	add_parameter(b, "Version", "2011-06-15");
	add_parameter(b, "RoleArn", role->arn);
	add_parameter(b, "RoleSessionName", role->session ? role->session : session);
	if (role->external_id)
		add_parameter(b, "ExternalId", role->external_id);
	if (role->duration)
		add_parameter(b, "DurationSeconds", role->duration);
}

static void begin(struct aws_fetch *f, struct buf *body)
{
	const char *source;
	scoped_free char *endpoint = aws_config_endpoint(f->config, "sts", &source);
	f->method = xstrdup("POST");
	f->url = xformat("%s/", endpoint);
	f->body = buf_steal(body, NULL);
	strv_add(&f->headers, "content-type: application/x-www-form-urlencoded; charset=utf-8");
}

static void take_answer(struct aws_fetch *f, const char *what, const struct plan_role *role,
                        const struct http_response *r)
{
	scoped_free char *where = xformat("%s of role %s", what, role->arn);
	struct aws_keys keys = { 0 };
	struct error err = ERROR_INIT;
	if (r->code < 0 || r->status != 200)
		aws_fetch_fail_answer(f, where, r);
	else if (aws_answer_sts(r->body.data ? r->body.data : "", r->body.len, &keys, &err) < 0)
		aws_fetch_fail(f, "%s: %s", where, err.text);
	else
		aws_fetch_keys(f, &keys);
	aws_keys_release(&keys);
}

/* --- AssumeRole --- */

static void send_role(struct aws_fetch *f, aws_fetch_answer_fn *answered);

static void on_role(struct aws_fetch *f, struct http_response *r)
{
	take_answer(f, "AssumeRole", &f->plan->roles[f->roles_left], r);
}

/* The first answer may show that our clock is wrong. */
static void on_first_role(struct aws_fetch *f, struct http_response *r)
{
	if (aws_clock_learn(f->clock, r))
		send_role(f, on_role);
	else
		on_role(f, r);
}

static void sign(struct aws_fetch *f)
{
	const char *authority = strstr(f->url, "://");
	size_t skip = authority ? (size_t)(authority - f->url) + 3 : 0;
	scoped_free char *host = xstrndup(f->url + skip, strcspn(f->url + skip, "/"));
	struct sha256_hex hash = sha256_hex(f->body, strlen(f->body));
	struct sigv4_request to_sign = {
		.method = f->method,
		.host = host,
		.path = f->url + skip + strlen(host),
		.query = "",
		.headers = (const char *const *)f->headers.items,
		.header_count = f->headers.count,
		.payload_sha256 = hash.text,
		.service = "sts",
		.region = aws_config_region(f->config, NULL),
		.when = aws_now(f->clock),
	};
	scoped_strv struct strv signed_headers = STRV_INIT;
	sigv4_sign(&f->keys, &to_sign, &signed_headers);
	strv_copy(&f->headers, &signed_headers);
}

static void send_role(struct aws_fetch *f, aws_fetch_answer_fn *answered)
{
	scoped_buf struct buf body = BUF_INIT;
	add_parameter(&body, "Action", "AssumeRole");
	add_role(&body, &f->plan->roles[f->roles_left], f->clock);
	aws_fetch_reset(f);
	begin(f, &body);
	sign(f);
	aws_fetch_request(f, answered);
}

void aws_fetch_role(struct aws_fetch *f)
{
	send_role(f, on_first_role);
}

/* --- AssumeRoleWithWebIdentity --- */

static void on_web_identity(struct aws_fetch *f, struct http_response *r)
{
	take_answer(f, "AssumeRoleWithWebIdentity", &f->plan->web_role, r);
}

void aws_fetch_web_identity(struct aws_fetch *f)
{
	scoped_free char *path = aws_config_expand(f->config, f->plan->token_file);
	scoped_buf struct buf token = BUF_INIT;
	struct error err = ERROR_INIT;
	/* Read each time: Kubernetes replaces it. */
	if (read_file_at(AT_FDCWD, path, &token, FETCH_FILE_MAX, &err) < 0) {
		aws_fetch_fail(f, "web identity token: %s", err.text);
		return;
	}
	while (token.len && strchr(" \t\r\n", token.data[token.len - 1]))
		token.data[--token.len] = '\0';
	if (!token.len || strlen(token.data) != token.len) {
		aws_fetch_fail(f, "web identity token: %s has none in it", path);
		return;
	}
	scoped_buf struct buf body = BUF_INIT;
	add_parameter(&body, "Action", "AssumeRoleWithWebIdentity");
	add_role(&body, &f->plan->web_role, f->clock);
	add_parameter(&body, "WebIdentityToken", token.data);
	aws_fetch_set_token(f, token.data);
	begin(f, &body);
	aws_fetch_request(f, on_web_identity);
}
