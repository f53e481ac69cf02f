/*
 * What the credential chain asks of the configuration besides what everybody may.
 *
 * Threads: as common/aws/config.h.
 */
#ifndef GGFS_COMMON_AWS_CONFIG_PRIVATE_H
#define GGFS_COMMON_AWS_CONFIG_PRIVATE_H

#include "common/aws/config.h"

enum aws_file { AWS_FILE_CREDENTIALS, AWS_FILE_CONFIG };

/* A profile's setting in one of the two files: the parts of one key are never taken from both.
 * NULL: not set. */
const char *aws_config_in_file(const struct aws_config *c, enum aws_file file, const char *profile,
                               const char *name);
/* The file's path as a person would write it. */
const char *aws_config_path(const struct aws_config *c, enum aws_file file);
/* A setting of [sso-session NAME]; NULL: not set. */
const char *aws_config_sso_session(const struct aws_config *c, const char *session,
                                   const char *name);
/* As aws_config_endpoint, in another region; source is set when it is configured. */
char *aws_config_endpoint_in(const struct aws_config *c, const char *service, const char *region,
                             const char **source);
/* The profile was named by the caller, which puts it before the environment's keys. */
bool aws_config_profile_is_explicit(const struct aws_config *c);
/* path, with a leading "~/" replaced; the caller's to free. */
char *aws_config_expand(const struct aws_config *c, const char *path);

#endif
