/* The S3 server that tests/lib/radosgw started, for C tests: its configuration, and a client. */
#ifndef GGFS_TESTS_S3_SERVER_H
#define GGFS_TESTS_S3_SERVER_H

#include <stdlib.h>
#include <string.h>

#include "common/aws/client.h"

struct s3_server {
	const char *endpoint, *bucket;
	struct net *net;
	struct aws_config *config;
	struct aws *aws;
};

/* NULL, or what is missing. */
static inline const char *s3_server_missing(void)
{
	return getenv("GGFS_TEST_S3_ENDPOINT")
	               ? NULL
	               : "an S3 server: apt-get install radosgw ceph-mon ceph-osd uuid-runtime";
}

/* endpoint: NULL: the server's own; else something in front of it. */
static inline int s3_server_open(struct s3_server *s, const char *endpoint, struct error *err)
{
	scoped_free char *access =
	        xformat("AWS_ACCESS_KEY_ID=%s", getenv("GGFS_TEST_S3_ACCESS_KEY"));
	scoped_free char *secret =
	        xformat("AWS_SECRET_ACCESS_KEY=%s", getenv("GGFS_TEST_S3_SECRET_KEY"));
	char region[] = "AWS_REGION=us-east-1", config[] = "AWS_CONFIG_FILE=/nonexistent",
	     shared[] = "AWS_SHARED_CREDENTIALS_FILE=/nonexistent";
	char *environment[] = { access, secret, region, config, shared, NULL };
	const struct aws_config_options options = { .environ = environment };
	*s = (struct s3_server){ .endpoint = endpoint ? endpoint : getenv("GGFS_TEST_S3_ENDPOINT"),
		                 .bucket = getenv("GGFS_TEST_S3_BUCKET") };
	int r = aws_config_load(&options, &s->config, err);
	if (r == 0)
		r = net_new(&(struct http_options){ 0 }, &s->net, err);
	if (r == 0)
		r = aws_new(s->net, s->config, &s->aws, err);
	return r;
}

static inline void s3_server_close(struct s3_server *s)
{
	aws_free(s->aws);
	net_free(s->net);
	aws_config_free(s->config);
	*s = (struct s3_server){ 0 };
}

/* PUTs or GETs /BUCKET/KEY (key encoded already), past the store. Returns the status or -errno. */
static inline int s3_server_call(struct s3_server *s, const char *method, const char *key,
                                 const void *bytes, size_t len, struct http_response *response)
{
	scoped_free char *path = xformat("/%s/%s", s->bucket, key);
	const struct aws_request request = {
		.service = "s3",
		.region = "us-east-1",
		.scheme = "http",
		.host = s->endpoint + strlen("http://"),
		.path = path,
		.http = { .method = method, .body = bytes, .body_len = len },
	};
	int r = aws_call(s->aws, &request, response);
	return r < 0 ? r : response->status;
}

#endif
