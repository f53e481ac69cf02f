/*
 * AWS configuration as the AWS CLI finds it: environment, then ~/.aws/config and credentials
 * (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE) of the profile in force (AWS_PROFILE). Each value
 * knows where it came from. AWS SDKs and Tools Reference Guide, "Settings reference".
 *
 * Threads: immutable once loaded.
 */
#ifndef GGFS_COMMON_AWS_CONFIG_H
#define GGFS_COMMON_AWS_CONFIG_H

#include "common/buf.h"
#include "common/error.h"

enum { AWS_FILE_BYTES_MAX = 4 << 20 };

struct aws_config;

struct aws_config_options {
	char **environ;      /* NULL: the process's */
	const char *profile; /* NULL: AWS_PROFILE, else "default" */
};

/* Files that are absent are empty. -EINVAL: a file is malformed, naming file and line; -ENOENT: the
 * profile asked for is in neither file. */
int aws_config_load(const struct aws_config_options *options, struct aws_config **out,
                    struct error *err);
void aws_config_free(struct aws_config *c);

/* A setting of the profile in force ("region", "role_arn", "s3.addressing_style" for nested
 * ones), environment first where AWS has a variable for it; NULL: not set. source (may be NULL) is
 * a phrase like "environment AWS_REGION" or "~/.aws/config, profile build". Both borrowed. */
const char *aws_config_get(const struct aws_config *c, const char *name, const char **source);
/* The same of another profile, files only. */
const char *aws_config_profile(const struct aws_config *c, const char *profile, const char *name);
/* The value of an environment variable as it was at load; NULL or borrowed. */
const char *aws_config_env(const struct aws_config *c, const char *variable);
const char *aws_config_profile_name(const struct aws_config *c);

/* Never NULL: "us-east-1" when nothing says otherwise, and source says so. */
const char *aws_config_region(const struct aws_config *c, const char **source);
/* Whether anything names an endpoint for the service, or it is AWS's own. */
bool aws_config_has_endpoint(const struct aws_config *c, const char *service);
/* The endpoint URL for a service ("s3", "lambda", "sts"): AWS_ENDPOINT_URL_<SERVICE>,
 * AWS_ENDPOINT_URL, the services section, endpoint_url, else "https://SERVICE.REGION.amazonaws.com"
 * (China's and GovCloud's partitions too). The caller's to free; source borrowed. */
char *aws_config_endpoint(const struct aws_config *c, const char *service, const char **source);

#endif
