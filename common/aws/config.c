#include "common/aws/config_private.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>

#include "common/aws/ini.h"
#include "common/io.h"

struct variable {
	char *name, *value, *source;
};

struct aws_config {
	struct variable *variables;
	size_t variable_count, variable_capacity;
	char *home;
	char *profile;
	bool explicit_profile;
	struct ini files[2];
	char *paths[2];   /* as shown */
	char *sources[2]; /* "~/.aws/config, profile build" */
	char *services_source;
};

/* What has a variable of its own; the first that is set counts. */
static const struct {
	const char *name, *variable;
} variables_of[] = {
	{ "region", "AWS_REGION" },
	{ "region", "AWS_DEFAULT_REGION" },
	{ "ca_bundle", "AWS_CA_BUNDLE" },
	{ "endpoint_url", "AWS_ENDPOINT_URL" },
	{ "ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" },
	{ "role_arn", "AWS_ROLE_ARN" },
	{ "role_session_name", "AWS_ROLE_SESSION_NAME" },
	{ "web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE" },
	{ "aws_access_key_id", "AWS_ACCESS_KEY_ID" },
	{ "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY" },
	{ "aws_session_token", "AWS_SESSION_TOKEN" },
	{ "ec2_metadata_service_endpoint", "AWS_EC2_METADATA_SERVICE_ENDPOINT" },
	{ "ec2_metadata_service_endpoint_mode", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" },
};

/* --- the environment --- */

static void copy_environment(struct aws_config *c, char **from)
{
	for (; from && *from; from++) {
		const char *equals = strchr(*from, '=');
		if (!equals)
			continue;
		array_grow(c->variables, c->variable_count, c->variable_capacity);
		struct variable *v = &c->variables[c->variable_count++];
		v->name = xstrndup(*from, (size_t)(equals - *from));
		v->value = xstrdup(equals + 1);
		v->source = xformat("environment %s", v->name);
	}
}

static const struct variable *variable(const struct aws_config *c, const char *name)
{
	for (size_t i = 0; i < c->variable_count; i++)
		if (strcmp(c->variables[i].name, name) == 0)
			return &c->variables[i];
	return NULL;
}

const char *aws_config_env(const struct aws_config *c, const char *name)
{
	const struct variable *v = variable(c, name);
	return v ? v->value : NULL;
}

/* An empty variable is one that is not set, as AWS has it. */
static const struct variable *filled_variable(const struct aws_config *c, const char *name)
{
	const struct variable *v = variable(c, name);
	return v && *v->value ? v : NULL;
}

static char *find_home(const struct aws_config *c)
{
	const struct variable *v = filled_variable(c, "HOME");
	if (v)
		return xstrdup(v->value);
	struct passwd entry, *found = NULL;
	char text[4096];
	if (getpwuid_r(getuid(), &entry, text, sizeof(text), &found) == 0 && found)
		return xstrdup(found->pw_dir);
	return xstrdup("/");
}

char *aws_config_expand(const struct aws_config *c, const char *path)
{
	if (path[0] == '~' && (path[1] == '/' || !path[1]))
		return xformat("%s%s", c->home, path + 1);
	return xstrdup(path);
}

/* --- loading --- */

static int load_file(struct aws_config *c, enum aws_file file, const char *name, const char *usual,
                     struct error *err)
{
	const struct variable *v = filled_variable(c, name);
	c->paths[file] = xstrdup(v ? v->value : usual);
	scoped_free char *path = aws_config_expand(c, c->paths[file]);
	scoped_buf struct buf text = BUF_INIT;
	int r = read_file_at(AT_FDCWD, path, &text, AWS_FILE_BYTES_MAX, err);
	/* A home directory that cannot be looked into has nothing for us in it; a file that is
	 * there and cannot be read is another matter. */
	if (r == -ENOENT || r == -ENOTDIR || (r == -EACCES && access(path, F_OK) < 0))
		return 0;
	if (r == 0 && text.len)
		r = ini_parse(text.data, text.len, c->paths[file], &c->files[file], err);
	if (text.data)
		OPENSSL_cleanse(text.data, text.capacity);
	return r;
}

static const struct ini_section *profile_section(const struct aws_config *c, enum aws_file file,
                                                 const char *profile)
{
	const struct ini *ini = &c->files[file];
	if (file == AWS_FILE_CREDENTIALS)
		return ini_section(ini, NULL, profile);
	const struct ini_section *s = ini_section(ini, "profile", profile);
	return s || strcmp(profile, "default") != 0 ? s : ini_section(ini, NULL, "default");
}

static int choose_profile(struct aws_config *c, const struct aws_config_options *o,
                          struct error *err)
{
	const struct variable *v = filled_variable(c, "AWS_PROFILE");
	const char *name = o->profile ? o->profile : v ? v->value : "default";
	c->explicit_profile = o->profile != NULL;
	c->profile = xstrdup(name);
	for (int file = 0; file < 2; file++)
		c->sources[file] = xformat("%s, profile %s", c->paths[file], name);
	if (strcmp(name, "default") == 0 || profile_section(c, AWS_FILE_CREDENTIALS, name) ||
	    profile_section(c, AWS_FILE_CONFIG, name))
		return 0;
	return error_set(err, -ENOENT, "AWS profile \"%s\"%s is neither in %s nor in %s", name,
	                 o->profile ? "" : " (environment AWS_PROFILE)", c->paths[AWS_FILE_CONFIG],
	                 c->paths[AWS_FILE_CREDENTIALS]);
}

int aws_config_load(const struct aws_config_options *options, struct aws_config **out,
                    struct error *err)
{
	struct aws_config *c = xcalloc(1, sizeof(*c));
	copy_environment(c, options->environ ? options->environ : environ);
	c->home = find_home(c);
	int r = load_file(c, AWS_FILE_CREDENTIALS, "AWS_SHARED_CREDENTIALS_FILE",
	                  "~/.aws/credentials", err);
	if (r == 0)
		r = load_file(c, AWS_FILE_CONFIG, "AWS_CONFIG_FILE", "~/.aws/config", err);
	if (r == 0)
		r = choose_profile(c, options, err);
	if (r < 0) {
		aws_config_free(c);
		return r;
	}
	const char *services = aws_config_profile(c, c->profile, "services");
	c->services_source =
	        xformat("%s, services %s", c->paths[AWS_FILE_CONFIG], services ? services : "");
	*out = c;
	return 0;
}

void aws_config_free(struct aws_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->variable_count; i++) {
		OPENSSL_cleanse(c->variables[i].value, strlen(c->variables[i].value));
		free(c->variables[i].name);
		free(c->variables[i].value);
		free(c->variables[i].source);
	}
	free(c->variables);
	for (int file = 0; file < 2; file++) {
		ini_release(&c->files[file]);
		free(c->paths[file]);
		free(c->sources[file]);
	}
	free(c->services_source);
	free(c->home);
	free(c->profile);
	free(c);
}

/* --- asking --- */

const char *aws_config_in_file(const struct aws_config *c, enum aws_file file, const char *profile,
                               const char *name)
{
	return ini_get(profile_section(c, file, profile), name);
}

const char *aws_config_profile(const struct aws_config *c, const char *profile, const char *name)
{
	const char *value = aws_config_in_file(c, AWS_FILE_CREDENTIALS, profile, name);
	return value ? value : aws_config_in_file(c, AWS_FILE_CONFIG, profile, name);
}

const char *aws_config_get(const struct aws_config *c, const char *name, const char **source)
{
	const char *ignored;
	source = source ? source : &ignored;
	for (size_t i = 0; i < sizeof(variables_of) / sizeof(variables_of[0]); i++) {
		const struct variable *v = strcmp(variables_of[i].name, name) == 0
		                                   ? filled_variable(c, variables_of[i].variable)
		                                   : NULL;
		if (v) {
			*source = v->source;
			return v->value;
		}
	}
	for (int file = 0; file < 2; file++) {
		const char *value = aws_config_in_file(c, file, c->profile, name);
		if (value) {
			*source = c->sources[file];
			return value;
		}
	}
	return NULL;
}

const char *aws_config_profile_name(const struct aws_config *c)
{
	return c->profile;
}

const char *aws_config_path(const struct aws_config *c, enum aws_file file)
{
	return c->paths[file];
}

const char *aws_config_sso_session(const struct aws_config *c, const char *session,
                                   const char *name)
{
	return ini_get(ini_section(&c->files[AWS_FILE_CONFIG], "sso-session", session), name);
}

bool aws_config_profile_is_explicit(const struct aws_config *c)
{
	return c->explicit_profile;
}

const char *aws_config_region(const struct aws_config *c, const char **source)
{
	const char *region = aws_config_get(c, "region", source);
	if (region && *region)
		return region;
	if (source)
		*source = "default, for nothing says otherwise";
	return "us-east-1";
}

/* --- endpoints --- */

static const char *configured_endpoint(const struct aws_config *c, const char *service,
                                       const char **source)
{
	const char *off = aws_config_get(c, "ignore_configured_endpoint_urls", NULL);
	if (off && strcasecmp(off, "true") == 0)
		return NULL;
	scoped_free char *name = xformat("AWS_ENDPOINT_URL_%s", service);
	for (char *at = name; *at; at++)
		*at = *at == '-' ? '_' : (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
	const struct variable *v = filled_variable(c, name);
	if (!v)
		v = filled_variable(c, "AWS_ENDPOINT_URL");
	if (v) {
		*source = v->source;
		return v->value;
	}
	const char *services = aws_config_profile(c, c->profile, "services");
	scoped_free char *nested = xformat("%s.endpoint_url", service);
	const char *url =
	        !services ? NULL
	                  : ini_get(ini_section(&c->files[AWS_FILE_CONFIG], "services", services),
	                            nested);
	if (url) {
		*source = c->services_source;
		return url;
	}
	return aws_config_get(c, "endpoint_url", source);
}

/* The domain of a region's partition. */
static const char *domain_of(const char *region)
{
	static const struct {
		const char *prefix, *domain;
	} partitions[] = {
		{ "cn-", "amazonaws.com.cn" },    { "us-iso-", "c2s.ic.gov" },
		{ "us-isob-", "sc2s.sgov.gov" },  { "us-isof-", "csp.hci.ic.gov" },
		{ "eu-isoe-", "cloud.adc-e.uk" }, { "eusc-", "amazonaws.eu" },
	};
	for (size_t i = 0; i < sizeof(partitions) / sizeof(partitions[0]); i++)
		if (strncmp(region, partitions[i].prefix, strlen(partitions[i].prefix)) == 0)
			return partitions[i].domain;
	return "amazonaws.com";
}

bool aws_config_has_endpoint(const struct aws_config *c, const char *service)
{
	const char *source;
	return configured_endpoint(c, service, &source) != NULL;
}

char *aws_config_endpoint_in(const struct aws_config *c, const char *service, const char *region,
                             const char **source)
{
	const char *url = configured_endpoint(c, service, source);
	if (url) {
		size_t len = strlen(url);
		while (len && url[len - 1] == '/')
			len--;
		return xstrndup(url, len);
	}
	/* SSO's credentials are at its portal. */
	const char *label = strcmp(service, "sso") == 0 ? "portal.sso" : service;
	return xformat("https://%s.%s.%s", label, region, domain_of(region));
}

char *aws_config_endpoint(const struct aws_config *c, const char *service, const char **source)
{
	const char *ignored;
	source = source ? source : &ignored;
	const char *region = aws_config_region(c, source);
	return aws_config_endpoint_in(c, service, region, source);
}
