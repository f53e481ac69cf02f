#include <string.h>

#include "tools/cmd.h"

static int run(const void *options, int argc, char **argv)
{
	(void)options;
	(void)argc;
	setenv("GGFS_FORCE", "off", 1);
	execvp(argv[0], argv);
	int failure = errno;
	cmd_fail_text("cannot run %s: %s", argv[0], strerror(failure));
	return failure == ENOENT ? 127 : 126;
}

const struct verb verb_noforce = {
	.name = "noforce",
	.synopsis = "[--] COMMAND [ARGUMENT]...",
	.summary = "run a command that may not force",
	.description = "Runs COMMAND with GGFS_FORCE=off: whatever it or its children open, "
	               "nothing is made.\n"
	               "An open of a lazy file that has not been made yet fails with EDEADLK "
	               "(\"Resource deadlock\n"
	               "avoided\"); files that are ready, and names, sizes and attributes, are "
	               "there as usual.\n\n"
	               "The exit code is that of COMMAND; 127 when there is no such command, 126 "
	               "when it cannot\n"
	               "be run.",
	.takes_command = true,
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
