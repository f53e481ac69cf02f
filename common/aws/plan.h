/*
 * A plan: where the credentials are to come from, as the configuration has it, before anybody was
 * asked: a source, and the roles that are assumed one after the other with what it gives.
 *
 * Threads: pure functions. A plan borrows from the configuration.
 */
#ifndef GGFS_COMMON_AWS_PLAN_H
#define GGFS_COMMON_AWS_PLAN_H

#include "common/aws/config_private.h"

enum { PLAN_ROLES_MAX = 8 };

enum plan_source {
	PLAN_STATIC,
	PLAN_WEB_IDENTITY,
	PLAN_SSO,
	PLAN_PROCESS,
	PLAN_CONTAINER,
	PLAN_IMDS,
};

struct plan_role {
	const char *arn, *session, *external_id, *duration; /* all but arn may be NULL */
};

struct plan {
	enum plan_source source;
	/* PLAN_STATIC */
	const char *access_key, *secret_key, *session_token; /* the last may be NULL */
	/* PLAN_WEB_IDENTITY; the role is not one of roles. */
	const char *token_file;
	struct plan_role web_role;
	/* PLAN_SSO */
	const char *sso_url, *sso_region, *sso_session, *sso_account, *sso_role;
	const char *sso_profile; /* for "aws sso login --profile" */
	/* PLAN_PROCESS */
	const char *command;
	struct plan_role roles[PLAN_ROLES_MAX];
	size_t role_count;
	char *origin; /* "~/.aws/config, profile build, by credential_process" */
};

/* -EACCES: the configuration cannot be followed, saying why (half a key, a role that needs MFA, a
 * circle of profiles). Nothing configured is PLAN_IMDS, the last resort, or -EACCES where
 * AWS_EC2_METADATA_DISABLED says so. */
int credential_plan_make(const struct aws_config *c, struct plan *out, struct error *err);
void credential_plan_release(struct plan *p);

#endif
