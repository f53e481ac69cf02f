/*
 * AWS client: credentials by the AWS CLI's chain, and requests signed with them.
 *
 * Credentials come, first hit wins, from: environment; the profile (static keys, role_arn with
 * source_profile or credential_source by STS, web identity, credential_process, SSO's cached
 * token); container endpoint; IMDSv2. They are refreshed before they expire, once for all who
 * wait. Secrets are never logged, nor part of any sentence.
 *
 * Every request is signed at the time the server thinks it is: the skew is learnt from Date headers
 * of answers that complain. A request that is refused for an expired token or skewed clock is sent
 * again once by itself. No other retry: that is the caller's.
 *
 * Threads: as common/http.h, all on the net's thread, but aws_new and aws_free.
 */
#ifndef GGFS_COMMON_AWS_CLIENT_H
#define GGFS_COMMON_AWS_CLIENT_H

#include "common/aws/config.h"
#include "common/aws/sigv4.h"
#include "common/net.h"

enum { AWS_REFRESH_BEFORE_S = 300 };

struct aws;
struct aws_call;

/* The net and the config must outlive it. */
int aws_new(struct net *net, const struct aws_config *config, struct aws **out, struct error *err);
void aws_free(struct aws *aws); /* calls under way end with -ECANCELED */
const struct aws_config *aws_get_config(const struct aws *aws);
struct net *aws_net(struct aws *aws);

struct aws_request {
	const char *service, *region; /* for signing */
	const char *scheme, *host;    /* "https", "bucket.s3.eu-central-1.amazonaws.com[:port]" */
	const char *path, *query;     /* as sent: encoded; query "" or NULL: none */
	const char *payload_sha256;   /* NULL: of body; needed with a source */
	struct http_request http;     /* method, headers, body, sink, limits, done and arg; url is
	                                 made here */
};

/* done gets code -EACCES with a sentence when there are no credentials or they cannot be had;
 * what the service itself refuses is an HTTP status like any other. */
int aws_start(struct aws *aws, const struct aws_request *request, struct aws_call **out,
              struct error *err);
void aws_cancel(struct aws_call *call); /* done is not called */
/* From a thread that can wait. */
int aws_call(struct aws *aws, const struct aws_request *request, struct http_response *response);

/* Where the credentials in force come from, e.g. "environment" or "profile build: role
 * arn:aws:iam::1:role/x by STS"; access key id masked but for its last four. Blocks (any thread but
 * the net's). The caller's to free. */
int aws_describe_credentials(struct aws *aws, char **out, struct error *err);

/* Code and message of an error answer, in S3's XML or the JSON of others ("__type", "Code",
 * x-amzn-errortype): both the caller's to free, never NULL. */
void aws_error_parse(const struct http_response *r, char **code, char **message);

#endif
