#include "common/aws/plan.h"

#include <string.h>
#include <strings.h>

/* A value that is set and not empty, or NULL. */
static const char *filled(const char *value)
{
	return value && *value ? value : NULL;
}

static const char *of_profile(const struct aws_config *c, const char *profile, const char *name)
{
	return filled(aws_config_profile(c, profile, name));
}

static const char *of_environment(const struct aws_config *c, const char *name)
{
	return filled(aws_config_env(c, name));
}

static void set_origin(struct plan *p, char *origin)
{
	free(p->origin);
	p->origin = origin;
}

/* The readers below return 1 when the source is configured and taken, 0 when it is not, -EACCES
 * when it is and cannot be followed. */

static int take_environment(const struct aws_config *c, struct plan *p, struct error *err)
{
	p->access_key = of_environment(c, "AWS_ACCESS_KEY_ID");
	p->secret_key = of_environment(c, "AWS_SECRET_ACCESS_KEY");
	if (!p->access_key && !p->secret_key)
		return 0;
	if (!p->access_key || !p->secret_key)
		return error_set(err, -EACCES, "environment: %s is set, but not %s",
		                 p->access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		                 p->access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	p->session_token = of_environment(c, "AWS_SESSION_TOKEN");
	p->source = PLAN_STATIC;
	set_origin(p, xstrdup("environment"));
	return 1;
}

/* All parts of a key come from the one file. */
static int take_static(const struct aws_config *c, enum aws_file file, const char *profile,
                       struct plan *p, struct error *err)
{
	p->access_key = filled(aws_config_in_file(c, file, profile, "aws_access_key_id"));
	p->secret_key = filled(aws_config_in_file(c, file, profile, "aws_secret_access_key"));
	if (!p->access_key)
		return 0;
	if (!p->secret_key)
		return error_set(err, -EACCES,
		                 "%s, profile %s: aws_access_key_id is set, but not "
		                 "aws_secret_access_key",
		                 aws_config_path(c, file), profile);
	p->session_token = filled(aws_config_in_file(c, file, profile, "aws_session_token"));
	p->source = PLAN_STATIC;
	set_origin(p, xformat("%s, profile %s", aws_config_path(c, file), profile));
	return 1;
}

static int take_web_identity(const struct aws_config *c, const char *profile, bool environment,
                             struct plan *p, struct error *err)
{
	const char *file = NULL, *arn = NULL, *session = NULL;
	if (environment) {
		file = of_environment(c, "AWS_WEB_IDENTITY_TOKEN_FILE");
		arn = of_environment(c, "AWS_ROLE_ARN");
		session = of_environment(c, "AWS_ROLE_SESSION_NAME");
	}
	environment = file != NULL;
	if (!file)
		file = of_profile(c, profile, "web_identity_token_file");
	if (!file)
		return 0;
	arn = arn ? arn : of_profile(c, profile, "role_arn");
	session = session ? session : of_profile(c, profile, "role_session_name");
	if (!arn)
		return error_set(err, -EACCES,
		                 "a web identity token file is configured, but no role "
		                 "(AWS_ROLE_ARN, or role_arn of profile %s)",
		                 profile);
	p->source = PLAN_WEB_IDENTITY;
	p->token_file = file;
	p->web_role = (struct plan_role){ .arn = arn, .session = session };
	set_origin(p, environment ? xformat("environment: role %s by web identity", arn)
	                          : xformat("profile %s: role %s by web identity", profile, arn));
	return 1;
}

static int take_sso(const struct aws_config *c, const char *profile, struct plan *p,
                    struct error *err)
{
	const char *session = of_profile(c, profile, "sso_session");
	const char *url = of_profile(c, profile, "sso_start_url");
	if (!session && !url)
		return 0;
	p->sso_session = session;
	p->sso_region = of_profile(c, profile, "sso_region");
	if (session) {
		url = filled(aws_config_sso_session(c, session, "sso_start_url"));
		p->sso_region = filled(aws_config_sso_session(c, session, "sso_region"));
	}
	p->sso_url = url;
	p->sso_account = of_profile(c, profile, "sso_account_id");
	p->sso_role = of_profile(c, profile, "sso_role_name");
	p->sso_profile = profile;
	if (!url || !p->sso_region || !p->sso_account || !p->sso_role)
		return error_set(err, -EACCES,
		                 "profile %s is configured for SSO, but %s is missing", profile,
		                 !url             ? "sso_start_url"
		                 : !p->sso_region ? "sso_region"
		                 : !p->sso_role   ? "sso_role_name"
		                                  : "sso_account_id");
	p->source = PLAN_SSO;
	set_origin(p, xformat("profile %s: role %s of account %s by SSO", profile, p->sso_role,
	                      p->sso_account));
	return 1;
}

static int take_process(const struct aws_config *c, const char *profile, struct plan *p)
{
	p->command = of_profile(c, profile, "credential_process");
	if (!p->command)
		return 0;
	p->source = PLAN_PROCESS;
	set_origin(p, xformat("profile %s: credential_process", profile));
	return 1;
}

static int take_container(const struct aws_config *c, struct plan *p)
{
	if (!of_environment(c, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") &&
	    !of_environment(c, "AWS_CONTAINER_CREDENTIALS_FULL_URI"))
		return 0;
	p->source = PLAN_CONTAINER;
	set_origin(p, xstrdup("container endpoint"));
	return 1;
}

static int take_imds(const struct aws_config *c, struct plan *p, struct error *err)
{
	const char *off = of_environment(c, "AWS_EC2_METADATA_DISABLED");
	if (off && strcasecmp(off, "true") == 0)
		return error_set(
		        err, -EACCES,
		        "no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), "
		        "none in profile %s of %s or %s, no container endpoint, and the "
		        "EC2 metadata service is switched off. \"aws configure\" sets them",
		        aws_config_profile_name(c), aws_config_path(c, AWS_FILE_CREDENTIALS),
		        aws_config_path(c, AWS_FILE_CONFIG));
	p->source = PLAN_IMDS;
	set_origin(p, xstrdup("EC2 metadata service"));
	return 1;
}

static bool has_static(const struct aws_config *c, const char *profile)
{
	return aws_config_in_file(c, AWS_FILE_CREDENTIALS, profile, "aws_access_key_id") ||
	       aws_config_in_file(c, AWS_FILE_CONFIG, profile, "aws_access_key_id");
}

/* What a profile has itself, without another's help. */
static int take_own(const struct aws_config *c, const char *profile, bool environment,
                    struct plan *p, struct error *err)
{
	int r = take_web_identity(c, profile, environment, p, err);
	if (r == 0)
		r = take_sso(c, profile, p, err);
	if (r == 0)
		r = take_static(c, AWS_FILE_CREDENTIALS, profile, p, err);
	if (r == 0)
		r = take_process(c, profile, p);
	if (r == 0)
		r = take_static(c, AWS_FILE_CONFIG, profile, p, err);
	return r;
}

/* --- roles --- */

static int add_role(const struct aws_config *c, const char *profile, struct plan *p,
                    struct error *err)
{
	const char *arn = of_profile(c, profile, "role_arn");
	if (of_profile(c, profile, "mfa_serial"))
		return error_set(err, -EACCES,
		                 "profile %s: role %s needs a code of an MFA device "
		                 "(mfa_serial), which cannot be asked for here; put keys of a "
		                 "session in the environment instead (aws sts assume-role)",
		                 profile, arn);
	if (p->role_count == PLAN_ROLES_MAX)
		return error_set(err, -EACCES, "profile %s: more than %d roles, one of the other",
		                 profile, PLAN_ROLES_MAX);
	p->roles[p->role_count++] = (struct plan_role){
		.arn = arn,
		.session = of_profile(c, profile, "role_session_name"),
		.external_id = of_profile(c, profile, "external_id"),
		.duration = of_profile(c, profile, "duration_seconds"),
	};
	return 0;
}

static int take_credential_source(const struct aws_config *c, const char *profile,
                                  const char *source, struct plan *p, struct error *err)
{
	int r = 0;
	if (strcmp(source, "Environment") == 0)
		r = take_environment(c, p, err);
	else if (strcmp(source, "EcsContainer") == 0)
		r = take_container(c, p);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		r = take_imds(c, p, err);
	else
		return error_set(err, -EACCES,
		                 "profile %s: credential_source is none of Environment, "
		                 "Ec2InstanceMetadata, EcsContainer",
		                 profile);
	if (r == 0)
		return error_set(err, -EACCES,
		                 "profile %s: there is nothing where credential_source (%s) says",
		                 profile, source);
	return r;
}

/* Follows source_profile until some profile has keys of its own. */
static int take_roles(const struct aws_config *c, const char *profile, struct plan *p,
                      struct error *err)
{
	const char *at = profile;
	for (;;) {
		const char *next = of_profile(c, at, "source_profile");
		const char *source = of_profile(c, at, "credential_source");
		if (!next == !source)
			return error_set(err, -EACCES,
			                 "profile %s: role_arn needs source_profile or "
			                 "credential_source%s",
			                 at, next ? ", not both" : "");
		int r = add_role(c, at, p, err);
		if (r < 0)
			return r;
		if (source)
			return take_credential_source(c, at, source, p, err);
		/* Keys of a source come before a role of it; so a profile may name itself. */
		if (has_static(c, next) || !of_profile(c, next, "role_arn") ||
		    of_profile(c, next, "web_identity_token_file")) {
			r = take_own(c, next, false, p, err);
			return r ? r
			         : error_set(err, -EACCES,
			                     "profile %s: its source_profile %s has no "
			                     "credentials",
			                     at, next);
		}
		if (strcmp(next, at) == 0 || strcmp(next, profile) == 0)
			return error_set(err, -EACCES,
			                 "profile %s: its source_profile leads back to it",
			                 profile);
		at = next;
	}
}

static int take_profile(const struct aws_config *c, struct plan *p, struct error *err)
{
	const char *profile = aws_config_profile_name(c);
	if (of_profile(c, profile, "role_arn") &&
	    !of_profile(c, profile, "web_identity_token_file")) {
		int r = take_roles(c, profile, p, err);
		if (r > 0)
			set_origin(p, xformat("profile %s: role %s by STS, with %s", profile,
			                      p->roles[0].arn, p->origin));
		return r;
	}
	return take_own(c, profile, !aws_config_profile_is_explicit(c), p, err);
}

int credential_plan_make(const struct aws_config *c, struct plan *out, struct error *err)
{
	struct plan p = { 0 };
	int r = 0;
	/* A profile that was asked for by name is not to be hidden by the environment. */
	if (!aws_config_profile_is_explicit(c))
		r = take_environment(c, &p, err);
	if (r == 0)
		r = take_profile(c, &p, err);
	if (r == 0)
		r = take_container(c, &p);
	if (r == 0)
		r = take_imds(c, &p, err);
	if (r < 0) {
		credential_plan_release(&p);
		return r;
	}
	*out = p;
	return 0;
}

void credential_plan_release(struct plan *p)
{
	free(p->origin);
	*p = (struct plan){ 0 };
}
