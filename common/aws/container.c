#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "common/aws/answers.h"
#include "common/aws/fetch.h"
#include "common/io.h"

/* Container credentials (AWS SDKs and Tools Reference Guide, "Container credential provider"). */

#define RELATIVE_HOST "http://169.254.170.2"

static const char *variable(const struct aws_fetch *f, const char *name)
{
	const char *value = aws_config_env(f->config, name);
	return value && *value ? value : NULL;
}

/* The token goes there in the clear. */
static bool host_is_near(const char *host)
{
	struct in_addr four;
	struct in6_addr six, eks;
	inet_pton(AF_INET6, "fd00:ec2::23", &eks);
	if (inet_pton(AF_INET, host, &four) == 1) {
		uint32_t address = ntohl(four.s_addr);
		return address >> 24 == 127 || address == 0xa9feaa02 || address == 0xa9feaa17;
	}
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six) || memcmp(&six, &eks, sizeof(six)) == 0;
	return strcasecmp(host, "localhost") == 0;
}

static bool url_is_allowed(const char *url)
{
	if (strncasecmp(url, "https://", 8) == 0)
		return true;
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	const char *at = url + 7;
	size_t authority = strcspn(at, "/?#");
	if (memchr(at, '@', authority))
		return false;
	bool bracketed = *at == '[';
	at += bracketed;
	scoped_free char *host = xstrndup(at, strcspn(at, bracketed ? "]/?#" : ":/?#"));
	return host_is_near(host);
}

static void on_answer(struct aws_fetch *f, struct http_response *r)
{
	struct aws_keys keys = { 0 };
	struct error err = ERROR_INIT;
	if (r->code < 0 || r->status != 200)
		aws_fetch_fail_answer(f, "container endpoint", r);
	else if (aws_answer_metadata(r->body.data ? r->body.data : "", r->body.len, &keys, &err) <
	         0)
		aws_fetch_fail(f, "container endpoint: %s", err.text);
	else
		aws_fetch_keys(f, &keys);
	aws_keys_release(&keys);
}

/* 0 with the token (NULL: none), or -EACCES. */
static int read_token(struct aws_fetch *f, struct buf *token, struct error *err)
{
	const char *file = variable(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *text = variable(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	if (file) {
		scoped_free char *path = aws_config_expand(f->config, file);
		if (read_file_at(AT_FDCWD, path, token, FETCH_FILE_MAX, err) < 0)
			return -EACCES;
	} else if (text) {
		buf_add_str(token, text);
	}
	while (token->len && strchr("\r\n", token->data[token->len - 1]))
		token->data[--token->len] = '\0';
	if (token->len && (strpbrk(token->data, "\r\n") || strlen(token->data) != token->len))
		return error_set(err, -EACCES, "the authorization token is not one line");
	return 0;
}

void aws_fetch_container(struct aws_fetch *f)
{
	const char *relative = variable(f, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	scoped_buf struct buf token = BUF_INIT;
	struct error err = ERROR_INIT;
	if (relative && *relative != '/') {
		aws_fetch_fail(
		        f, "container endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not "
		           "begin with /");
		return;
	}
	if (!relative && !url_is_allowed(full)) {
		aws_fetch_fail(f,
		               "container endpoint: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither "
		               "https nor of this machine");
		return;
	}
	if (read_token(f, &token, &err) < 0) {
		aws_fetch_fail(f, "container endpoint: %s", err.text);
		return;
	}
	f->method = xstrdup("GET");
	f->url = relative ? xformat(RELATIVE_HOST "%s", relative) : xstrdup(full);
	strv_add(&f->headers, "accept: application/json");
	aws_fetch_set_token(f, token.data);
	if (token.len)
		strv_add_format(&f->headers, "authorization: %s", token.data);
	aws_fetch_request(f, on_answer);
}
