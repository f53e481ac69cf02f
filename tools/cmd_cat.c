#include <string.h>

#include "common/io.h"
#include "tools/cmd.h"
#include "tools/session.h"

struct cat_options {
	const char *store;
};

static int copy_out(struct client *c, const char *text, struct error *err)
{
	struct digest d;
	if (!digest_parse(text, strlen(text), &d))
		return error_set(err, -EINVAL,
		                 "'%s' is no digest; one is 64 lower-case hexadecimal digits",
		                 text);
	scoped_fd int fd = client_get(c, &d, err);
	if (fd < 0)
		return fd;
	return copy_fd(fd, STDOUT_FILENO, err);
}

static int run(const void *options, int argc, char **argv)
{
	const struct cat_options *o = options;
	struct error err = ERROR_INIT;
	scoped_client struct client *c = NULL;
	if (session_open(o->store, &c, &err) < 0)
		return cmd_fail(&err);
	int code = EXIT_OK;
	for (int i = 0; i < argc; i++) {
		err = ERROR_INIT;
		int r = copy_out(c, argv[i], &err);
		if (r == -EINVAL)
			return cmd_usage("%s", err.text);
		if (r == -ENOENT)
			code = cmd_fail_text("%s is not in the store", argv[i]);
		else if (r < 0)
			code = cmd_fail(&err);
	}
	return code;
}

static const struct verb_option options[] = {
	OPTION_STORE(cat_options),
	{ 0 },
};

const struct verb verb_cat = {
	.name = "cat",
	.synopsis = "DIGEST...",
	.summary = "print what the store has under a digest",
	.description =
	        "Writes the blob of each DIGEST to standard output: a file's contents, a thunk's\n"
	        "text, a manifest. To see a file of a tree, made or not, use cat(1).",
	.options = options,
	.options_size = sizeof(struct cat_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
