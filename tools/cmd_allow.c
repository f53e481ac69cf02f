#include "fs/mount.h"
#include "tools/cmd.h"
#include "tools/session.h"

struct allow_options {
	const char *store;
};

static int run(const void *options, int argc, char **argv)
{
	const struct allow_options *o = options;
	struct error err = ERROR_INIT;
	scoped_free char *store = session_store(o->store, NULL);
	for (int i = 0; i < argc; i++)
		if (mount_allow(store, argv[i], &err) < 0)
			return cmd_fail(&err);
	return EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(allow_options),
	{ 0 },
};

const struct verb verb_allow = {
	.name = "allow",
	.synopsis = "[OPTION]... PROGRAM...",
	.summary = "let a program go on that a mount with -o hold=N holds",
	.description = "A mount with -o hold=N stops a program that has never forced before at N "
	               "files in one\n"
	               "go: its further opens fail with EDEADLK. This adds PROGRAM, a name as in "
	               "/proc/PID/comm,\n"
	               "to the list 'allow' in the store, a text to be edited; whoever is on it is "
	               "never held.\n"
	               "The program itself has to be run again, or to try again.",
	.options = options,
	.options_size = sizeof(struct allow_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
