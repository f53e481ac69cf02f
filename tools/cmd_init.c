#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "engine/service/client.h"
#include "objstore/store.h"
#include "tools/cmd.h"

struct init_options {
	const char *store;
};

static int run(const void *options, int argc, char **argv)
{
	const struct init_options *o = options;
	struct error err = ERROR_INIT;
	scoped_free char *path = argc       ? xstrdup(argv[0])
	                         : o->store ? xstrdup(o->store)
	                                    : client_default_store();
	const char *slash = strrchr(path, '/');
	if (slash && slash != path) {
		scoped_free char *parent = xstrndup(path, (size_t)(slash - path));
		if (make_dirs_at(AT_FDCWD, parent, 0755, &err) < 0)
			return cmd_fail(&err);
	}
	struct store *store = NULL;
	if (store_open_local(path, true, STORE_SYNC_NONE, &store, &err) < 0)
		return cmd_fail(&err);
	store_free(store);
	printf("store %s is ready\n", path);
	return EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(init_options),
	{ 0 },
};

const struct verb verb_init = {
	.name = "init",
	.synopsis = "[DIR]",
	.summary = "create a store",
	.description = "Creates a store in DIR (else in --store, $GGFS_STORE or ~/.cache/ggfs): "
	               "the place of\n"
	               "thunks, of what they made, and of what is known of them. A store that is "
	               "there is left\n"
	               "as it is. Other verbs create their store by themselves.\n\n"
	               "A store belongs to one user and is readable by that user only.",
	.options = options,
	.options_size = sizeof(struct init_options),
	.max_operands = 1,
	.run = run,
};
