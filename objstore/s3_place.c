#include "objstore/s3_place.h"

#include <ctype.h>

#include "common/escape.h"

static bool is_bucket_name(const char *name)
{
	size_t len = strlen(name);
	if (len < 3 || len > S3_BUCKET_MAX)
		return false;
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	return isalnum((unsigned char)name[0]) != 0;
}

/* What may stand before a dot in a host name that has a certificate for *.s3.REGION... */
static bool is_host_label(const char *bucket)
{
	for (const char *c = bucket; *c; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-')
			return false;
	return strlen(bucket) <= 63;
}

static bool is_prefix(const char *prefix)
{
	for (const char *c = prefix; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	return strlen(prefix) <= S3_PREFIX_MAX && path_is_normal(prefix);
}

static int parse_url(struct s3_place *place, const char *url, struct error *err)
{
	static const char scheme[] = "s3://";
	if (strncmp(url, scheme, strlen(scheme)) != 0)
		return error_set(err, -EINVAL,
		                 "%s: a far store is named s3://BUCKET or "
		                 "s3://BUCKET/PREFIX",
		                 url);
	const char *bucket = url + strlen(scheme);
	size_t len = strcspn(bucket, "/");
	scoped_free char *prefix = xstrdup(bucket[len] ? bucket + len + 1 : "");
	size_t prefix_len = strlen(prefix);
	if (prefix_len > 0 && prefix[prefix_len - 1] == '/')
		prefix[prefix_len - 1] = '\0';
	place->bucket = xstrndup(bucket, len);
	if (!is_bucket_name(place->bucket))
		return error_set(err, -EINVAL, "%s: \"%s\" is no bucket's name", url,
		                 place->bucket);
	if (*prefix && !is_prefix(prefix))
		return error_set(err, -EINVAL,
		                 "%s: a prefix has at most %d bytes, no control characters, no "
		                 "empty component and none that is \".\" or \"..\"",
		                 url, S3_PREFIX_MAX);
	place->prefix = *prefix ? xformat("%s/", prefix) : xstrdup("");
	place->url = *prefix ? xformat("s3://%s/%s", place->bucket, prefix)
	                     : xformat("s3://%s", place->bucket);
	return 0;
}

/* "scheme://host[:port][/]" */
static int parse_endpoint(struct s3_place *place, const char *endpoint, char **host,
                          struct error *err)
{
	const char *colon = strstr(endpoint, "://");
	size_t scheme_len = colon ? (size_t)(colon - endpoint) : 0;
	const char *at = colon ? colon + 3 : "";
	size_t len = strcspn(at, "/?#");
	bool https = scheme_len == 5 && strncasecmp(endpoint, "https", 5) == 0;
	bool http = scheme_len == 4 && strncasecmp(endpoint, "http", 4) == 0;
	if ((!https && !http) || len == 0 || memchr(at, '@', len) ||
	    (at[len] && strcmp(at + len, "/") != 0))
		return error_set(
		        err, -EINVAL,
		        "%s: an endpoint is http:// or https://, a host, maybe a port, and "
		        "no path",
		        endpoint);
	place->scheme = xstrdup(https ? "https" : "http");
	*host = xstrndup(at, len);
	return 0;
}

static bool is_amazons(const char *host)
{
	return strstr(host, ".amazonaws.com") != NULL;
}

static bool uses_path_style(const struct s3_place *place, const struct aws_config *config,
                            int option, const char *host)
{
	if (option >= 0)
		return option > 0;
	const char *style = aws_config_get(config, "s3.addressing_style", NULL);
	if (style && strcmp(style, "path") == 0)
		return true;
	if (style && strcmp(style, "virtual") == 0)
		return false;
	return !is_amazons(host) || !is_host_label(place->bucket);
}

static int locate(struct s3_place *place, const struct aws_config *config,
                  const struct far_options *options, struct error *err)
{
	scoped_free char *host = NULL;
	scoped_free char *endpoint = options->endpoint ? xstrdup(options->endpoint)
	                                               : aws_config_endpoint(config, "s3", NULL);
	int r = parse_url(place, options->url, err);
	if (r == 0)
		r = parse_endpoint(place, endpoint, &host, err);
	if (r < 0)
		return r;
	place->region =
	        xstrdup(options->region ? options->region : aws_config_region(config, NULL));
	bool path_style = uses_path_style(place, config, options->path_style, host);
	place->base = path_style ? xformat("/%s", place->bucket) : xstrdup("");
	place->host = path_style ? steal(&host) : xformat("%s.%s", place->bucket, host);
	return 0;
}

int s3_place_init(struct s3_place *place, const struct aws_config *config,
                  const struct far_options *options, struct error *err)
{
	*place = (struct s3_place){ 0 };
	int r = locate(place, config, options, err);
	if (r < 0)
		s3_place_release(place);
	return r;
}

void s3_place_release(struct s3_place *place)
{
	free(place->url);
	free(place->bucket);
	free(place->prefix);
	free(place->region);
	free(place->scheme);
	free(place->host);
	free(place->base);
	*place = (struct s3_place){ 0 };
}

char *s3_key(const struct s3_place *place, const char *kind, const struct digest *d)
{
	struct digest_hex hex = digest_hex(d);
	return xformat("%s%s/%.2s/%s", place->prefix, kind, hex.text, hex.text + 2);
}

bool s3_key_parse(const struct s3_place *place, const char *kind, const char *key,
                  struct digest *out)
{
	char hex[DIGEST_HEX_SIZE + 1];
	size_t prefix = strlen(place->prefix), len = strlen(kind);
	if (strncmp(key, place->prefix, prefix) != 0 || strncmp(key + prefix, kind, len) != 0)
		return false;
	const char *at = key + prefix + len;
	if (strlen(at) != strlen("/ab/") + DIGEST_HEX_SIZE - 2 || at[0] != '/' || at[3] != '/')
		return false;
	memcpy(hex, at + 1, 2);
	memcpy(hex + 2, at + 4, DIGEST_HEX_SIZE - 2);
	return digest_parse(hex, DIGEST_HEX_SIZE, out);
}

char *s3_path(const struct s3_place *place, const char *key)
{
	struct buf path = BUF_INIT;
	buf_add_str(&path, place->base);
	if (key || path.len == 0)
		buf_add_char(&path, '/');
	if (key)
		aws_uri_encode(key, true, &path);
	return buf_steal(&path, NULL);
}
