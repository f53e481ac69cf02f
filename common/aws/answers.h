/*
 * Answers with keys in them, of every source. No sentence has any part of them in it.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_AWS_ANSWERS_H
#define GGFS_COMMON_AWS_ANSWERS_H

#include "common/aws/sigv4.h"

/* All: 0, or -EBADMSG with what is wrong. */

/* STS's XML: AccessKeyId, SecretAccessKey, SessionToken, Expiration. */
int aws_answer_sts(const char *text, size_t len, struct aws_keys *out, struct error *err);
/* JSON of the EC2 metadata service and of container endpoints: those, but Token. A Code that is not
 * Success is -EBADMSG. */
int aws_answer_metadata(const char *text, size_t len, struct aws_keys *out, struct error *err);
/* JSON that a credential_process prints: Version 1; token and expiration may be missing. */
int aws_answer_process(const char *text, size_t len, struct aws_keys *out, struct error *err);
/* JSON of SSO's GetRoleCredentials; its expiration is in milliseconds. */
int aws_answer_sso(const char *text, size_t len, struct aws_keys *out, struct error *err);

/* The file that "aws sso login" leaves behind. */
struct sso_token {
	char *token; /* the caller's to free, and to wipe */
	int64_t expires_s;
};
int aws_answer_sso_token(const char *text, size_t len, struct sso_token *out, struct error *err);

/* "2026-02-03T04:05:06Z", with a fraction or an offset ("+01:00") or UTC in its place; since 1970.
 */
bool aws_answer_time(const char *text, int64_t *out);

#endif
