#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/aws/client.h"
#include "common/io.h"
#include "engine/settings.h"
#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/session.h"

struct config_options {
	const char *store;
	bool unset, json, credentials;
};

/* One line of what is in force, on paper or in JSON. */
struct listing {
	json_t *json; /* NULL: text */
};

static void show(struct listing *l, const char *name, const char *value, const char *source,
                 const char *help)
{
	if (!l->json) {
		printf("%-18s %-40s (%s%s%s)\n", name, *value ? value : "-", source,
		       help ? "; " : "", help ? help : "");
		return;
	}
	json_t *o = json_object();
	json_object_set_new(o, "value", json_text(value));
	json_object_set_new(o, "source", json_text(source));
	json_object_set_new(l->json, name, o);
}

static void show_endpoint(struct listing *l, const struct aws_config *c, const char *service)
{
	const char *source = "";
	scoped_free char *name = xformat("aws.%s", service);
	scoped_free char *url = aws_config_endpoint(c, service, &source);
	show(l, name, url, source, NULL);
}

static int show_credentials(struct listing *l, const struct aws_config *c, struct error *err)
{
	struct http_options http = { .ca_bundle = aws_config_get(c, "ca_bundle", NULL) };
	struct net *net = NULL;
	struct aws *aws = NULL;
	scoped_free char *text = NULL;
	int r = net_new(&http, &net, err);
	if (r == 0)
		r = aws_new(net, c, &aws, err);
	if (r == 0)
		r = aws_describe_credentials(aws, &text, err);
	if (r == 0)
		show(l, "aws.credentials", text, "in force", NULL);
	aws_free(aws);
	net_free(net);
	return r;
}

static int show_aws(struct listing *l, const char *profile, bool credentials, struct error *err)
{
	struct aws_config *c = NULL;
	struct aws_config_options options = { .profile = *profile ? profile : NULL };
	const char *source = "";
	int r = aws_config_load(&options, &c, err);
	if (r < 0)
		return r;
	const char *region = aws_config_region(c, &source);
	show(l, "aws.region", region, source, NULL);
	show_endpoint(l, c, "s3");
	show_endpoint(l, c, "lambda");
	if (credentials)
		r = show_credentials(l, c, err);
	aws_config_free(c);
	return r;
}

static int show_all(int fd, const struct config_options *o, struct error *err)
{
	struct settings *s = NULL;
	struct listing l = { .json = o->json ? json_object() : NULL };
	int r = settings_load(fd, environ, &s, err);
	if (r < 0)
		return r;
	for (const struct setting *k = settings_known; k->name; k++) {
		const char *source;
		const char *value = settings_get(s, k->name, &source);
		bool untouched = strcmp(source, "standard") == 0;
		show(&l, k->name, value, source, untouched ? k->help : NULL);
	}
	r = show_aws(&l, settings_get(s, "aws.profile", NULL), o->credentials, err);
	settings_free(s);
	if (l.json)
		json_print(l.json);
	return r;
}

static int show_one(int fd, const char *name, struct error *err)
{
	struct settings *s = NULL;
	const struct setting *k = settings_known;
	while (k->name && strcmp(k->name, name) != 0)
		k++;
	if (!k->name)
		return error_set(err, -EINVAL, "there is no setting '%s'; `ggfs config` lists them",
		                 name);
	int r = settings_load(fd, environ, &s, err);
	if (r < 0)
		return r;
	puts(settings_get(s, name, NULL));
	settings_free(s);
	return 0;
}

/* A service keeps what it began with. */
static void hint_at_service(const struct config_options *o)
{
	scoped_client struct client *c = NULL;
	if (session_open_running(o->store, NULL, &c, NULL) == 0)
		fputs("the service that runs keeps what it began with until `ggfs stop`\n", stderr);
}

static int run(const void *options, int argc, char **argv)
{
	const struct config_options *o = options;
	struct error err = ERROR_INIT;
	scoped_free char *path = session_store(o->store, NULL);
	if (o->unset && argc != 1)
		return cmd_usage("ggfs config --unset takes the name of one setting");
	scoped_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool changes = argc == 2 || o->unset;
	if (fd < 0 && (errno != ENOENT || changes)) {
		error_errno(&err, "the store %s (ggfs init makes one)", path);
		return cmd_fail(&err);
	}
	int r;
	if (changes)
		r = settings_set(fd, argv[0], o->unset ? NULL : argv[1], &err);
	else
		r = argc ? show_one(fd, argv[0], &err) : show_all(fd, o, &err);
	if (r == 0 && changes)
		hint_at_service(o);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(config_options),
	{ "unset", 'u', OPTION_SWITCH, NULL, offsetof(struct config_options, unset),
	  "take the setting NAME out of the store's file" },
	{ "credentials", 'c', OPTION_SWITCH, NULL, offsetof(struct config_options, credentials),
	  "also find out which AWS credentials are in force, and where they come from" },
	OPTION_JSON(config_options),
	{ 0 },
};

const struct verb verb_config = {
	.name = "config",
	.synopsis = "[OPTION]... [NAME [VALUE]]",
	.summary = "show or change a store's settings",
	.description =
	        "Without NAME: all settings, where each value comes from or what it is for, and "
	        "what is\n"
	        "in force for AWS. With NAME its value; with NAME and VALUE it is set, in the file "
	        "config\n"
	        "of the store. The environment overrides the file: far.url is GGFS_FAR_URL "
	        "there.\n\n"
	        "Credentials are found as the AWS CLI finds them (docs/aws.md) and are never "
	        "printed.",
	.options = options,
	.options_size = sizeof(struct config_options),
	.max_operands = 2,
	.run = run,
};
