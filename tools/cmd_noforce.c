#include <string.h>

#include "fs/mount.h"
#include "tools/cmd.h"
#include "tools/session.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

struct noforce_options {
	const char *store;
	const char *cgroup;
	const char *policy;
};

static int run_command(char **argv)
{
	setenv("GGFS_FORCE", "off", 1);
	execvp(argv[0], argv);
	int failure = errno;
	cmd_fail_text("cannot run %s: %s", argv[0], strerror(failure));
	return failure == ENOENT ? 127 : 126;
}

/* A cgroup may be given as the directory that it is. */
static const char *cgroup_named(const char *path)
{
	const size_t len = strlen(CGROUP_ROOT);
	if (strncmp(path, CGROUP_ROOT, len) != 0 || (path[len] && path[len] != '/'))
		return path;
	return path[len] ? path + len : "/";
}

static int add_cgroup(const struct noforce_options *o)
{
	struct error err = ERROR_INIT;
	const char *policy = o->policy ? o->policy : "off";
	if (strcmp(policy, "on") != 0 && strcmp(policy, "local") != 0 && strcmp(policy, "off") != 0)
		return cmd_usage("--policy wants on, local or off, not '%s'", policy);
	scoped_free char *store = session_store(o->store, NULL);
	int r = mount_set_cgroup(store, cgroup_named(o->cgroup), policy, &err);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static int run(const void *options, int argc, char **argv)
{
	const struct noforce_options *o = options;
	if (o->cgroup && argc > 0)
		return cmd_usage("ggfs noforce takes a command or --cgroup, not both");
	if (o->cgroup)
		return add_cgroup(o);
	if (argc == 0 || o->policy)
		return cmd_usage("usage: ggfs %s %s", verb_noforce.name, verb_noforce.synopsis);
	return run_command(argv);
}

static const struct verb_option options[] = {
	{ "cgroup", 'c', OPTION_TEXT, "PATH", offsetof(struct noforce_options, cgroup),
	  "from now on, processes in this cgroup and below it may not force" },
	{ "policy", 'p', OPTION_TEXT, "POLICY", offsetof(struct noforce_options, policy),
	  "with --cgroup: what they may: on, local, off (off)" },
	OPTION_STORE(noforce_options),
	{ 0 },
};

const struct verb verb_noforce = {
	.name = "noforce",
	.synopsis = "[--] COMMAND [ARGUMENT]... | --cgroup PATH",
	.summary = "run a command that may not force",
	.description = "Runs COMMAND with GGFS_FORCE=off: whatever it or its children open, "
	               "nothing is made.\n"
	               "An open of a lazy file that has not been made yet fails with EDEADLK "
	               "(\"Resource deadlock\n"
	               "avoided\"); files that are ready, and names, sizes and attributes, are "
	               "there as usual.\n\n"
	               "With --cgroup nothing is run: the cgroup, as /proc/PID/cgroup names it, is "
	               "added to the\n"
	               "list 'cgroups' in the store, a text to be edited, which also takes it "
	               "away. Of several\n"
	               "that a process is in, the nearest one counts; GGFS_FORCE of a process "
	               "comes before it.\n\n"
	               "The exit code is that of COMMAND; 127 when there is no such command, 126 "
	               "when it cannot\n"
	               "be run.",
	.options = options,
	.options_size = sizeof(struct noforce_options),
	.takes_command = true,
	.min_operands = 0,
	.max_operands = -1,
	.run = run,
};
