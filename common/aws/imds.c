#include <string.h>
#include <strings.h>

#include "common/aws/answers.h"
#include "common/aws/fetch.h"

/* The EC2 instance metadata service, version 2 (Amazon EC2 User Guide, "Use IMDSv2"): a token by
 * PUT, with it the role's name, with both its keys. */

enum {
	TOKEN_MAX = 1024,
	ROLE_MAX = 256,
	/* It is next door or not there at all. */
	CONNECT_MS_DEFAULT = 1000,
	TIMEOUT_S_MAX = 60,
	ATTEMPTS_MAX = 10,
};

#define PATH_TOKEN "/latest/api/token"
#define PATH_ROLES "/latest/meta-data/iam/security-credentials/"

static char *endpoint(const struct aws_config *c)
{
	const char *url = aws_config_get(c, "ec2_metadata_service_endpoint", NULL);
	if (url && *url) {
		size_t len = strlen(url);
		return xstrndup(url, url[len - 1] == '/' ? len - 1 : len);
	}
	const char *mode = aws_config_get(c, "ec2_metadata_service_endpoint_mode", NULL);
	return xstrdup(mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
	                                                     : "http://169.254.169.254");
}

/* A number of the environment or of the profile, from 1 to max. */
static long setting(const struct aws_config *c, const char *variable, const char *name, long usual,
                    long max)
{
	const char *text = aws_config_env(c, variable);
	if (!text || !*text)
		text = aws_config_get(c, name, NULL);
	long number = text ? strtol(text, NULL, 10) : 0;
	if (number < 1)
		return usual;
	return number < max ? number : max;
}

static void ask(struct aws_fetch *f, const char *method, const char *path,
                aws_fetch_answer_fn *answered)
{
	scoped_free char *base = endpoint(f->config);
	aws_fetch_reset(f);
	f->method = xstrdup(method);
	f->url = xformat("%s%s", base, path);
	f->connect_ms = 1000 * setting(f->config, "AWS_METADATA_SERVICE_TIMEOUT",
	                               "metadata_service_timeout", 1, TIMEOUT_S_MAX);
	f->whole_ms = 2 * f->connect_ms;
	/* Whoever has given us a token is there. */
	f->attempts_max =
	        f->token ? FETCH_ATTEMPTS
	                 : (unsigned)setting(f->config, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
	                                     "metadata_service_num_attempts", 1, ATTEMPTS_MAX);
	if (f->token)
		strv_add_format(&f->headers, "x-aws-ec2-metadata-token: %s", f->token);
	else
		strv_add(&f->headers, "x-aws-ec2-metadata-token-ttl-seconds: 21600");
	aws_fetch_request(f, answered);
}

static void on_keys(struct aws_fetch *f, struct http_response *r)
{
	struct aws_keys keys = { 0 };
	struct error err = ERROR_INIT;
	if (r->code < 0 || r->status != 200)
		aws_fetch_fail_answer(f, "EC2 metadata service", r);
	else if (aws_answer_metadata(r->body.data ? r->body.data : "", r->body.len, &keys, &err) <
	         0)
		aws_fetch_fail(f, "EC2 metadata service: %s", err.text);
	else
		aws_fetch_keys(f, &keys);
	aws_keys_release(&keys);
}

/* The first line of a body, where it is one that fits into a header or a URL; else NULL. */
static char *plain_line(const struct http_response *r, size_t max)
{
	size_t len = r->body.data ? strcspn(r->body.data, "\r\n") : 0;
	if (!len || len > max)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)r->body.data[i] <= ' ' || (unsigned char)r->body.data[i] > '~')
			return NULL;
	return xstrndup(r->body.data, len);
}

static void on_roles(struct aws_fetch *f, struct http_response *r)
{
	scoped_free char *role = NULL;
	if (r->code == 0 && r->status == 404) {
		aws_fetch_fail(f, "EC2 metadata service: this instance has no role");
		return;
	}
	if (r->code < 0 || r->status != 200) {
		aws_fetch_fail_answer(f, "EC2 metadata service", r);
		return;
	}
	role = plain_line(r, ROLE_MAX);
	if (!role) {
		aws_fetch_fail(f, "EC2 metadata service: there is no valid role in its answer");
		return;
	}
	scoped_buf struct buf path = BUF_INIT;
	buf_add_str(&path, PATH_ROLES);
	aws_uri_encode(role, false, &path);
	ask(f, "GET", path.data, on_keys);
}

static void on_token(struct aws_fetch *f, struct http_response *r)
{
	if (r->code < 0) {
		aws_fetch_fail(
		        f,
		        "no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), none "
		        "in profile %s of %s or %s, no container endpoint, and no EC2 metadata "
		        "service (%s). \"aws configure\" sets them",
		        aws_config_profile_name(f->config),
		        aws_config_path(f->config, AWS_FILE_CREDENTIALS),
		        aws_config_path(f->config, AWS_FILE_CONFIG), r->reason);
		return;
	}
	scoped_free char *token = r->status == 200 ? plain_line(r, TOKEN_MAX) : NULL;
	aws_fetch_set_token(f, token);
	if (f->token)
		ask(f, "GET", PATH_ROLES, on_roles);
	else
		aws_fetch_fail(f, "EC2 metadata service: no token (IMDSv2), but status %d",
		               r->status);
}

void aws_fetch_imds(struct aws_fetch *f)
{
	aws_fetch_set_token(f, NULL);
	ask(f, "PUT", PATH_TOKEN, on_token);
}
