#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/money.h"
#include "tools/mounted.h"
#include "tools/session.h"

struct mount_verb_options {
	const char *store;
	const char *budget;
	struct strv engines;
	struct strv settings;
	bool foreground;
};

static int apply_setting(const char *setting, struct mount_options *m)
{
	if (strcmp(setting, "force=on") == 0)
		m->force = MOUNT_FORCE_ON;
	else if (strcmp(setting, "force=local") == 0)
		m->force = MOUNT_FORCE_LOCAL;
	else if (strcmp(setting, "force=off") == 0)
		m->force = MOUNT_FORCE_OFF;
	else if (strcmp(setting, "stat=force") == 0)
		m->stat_forces = true;
	else if (strcmp(setting, "allow_other") == 0)
		m->allow_other = true;
	else if (strcmp(setting, "nopassthrough") == 0)
		m->no_passthrough = true;
	else if (strncmp(setting, "hold=", 5) == 0 && atoi(setting + 5) > 0)
		m->hold = (unsigned)atoi(setting + 5);
	else if (strncmp(setting, "deadline=", 9) == 0 && atoi(setting + 9) > 0)
		m->deadline_ms = (int64_t)atoi(setting + 9) * 1000;
	else
		return cmd_usage("no mount setting '%s'; see ggfs mount --help", setting);
	return 0;
}

/* -o a,b -o c */
static int apply_settings(const struct strv *settings, struct mount_options *m)
{
	for (size_t i = 0; i < settings->count; i++) {
		scoped_free char *copy = xstrdup(settings->items[i]);
		char *rest = copy, *one;
		while ((one = strsep(&rest, ",")))
			if (*one && apply_setting(one, m) != 0)
				return EXIT_USAGE;
	}
	return 0;
}

static int run(const void *options, int argc, char **argv)
{
	(void)argc;
	const struct mount_verb_options *o = options;
	struct error err = ERROR_INIT;
	scoped_free char *self = session_self();
	scoped_free char *directory = mounted_path(argv[0]);
	if (!directory)
		return cmd_fail_text("cannot mount %s: %s", argv[0], strerror(errno));
	struct mount_daemon m = { .options = { .directory = directory,
		                               .store = o->store,
		                               .service = self,
		                               .ready_fd = -1 } };
	scoped_free char *engine = options_joined(&o->engines);
	m.options.engine = engine;
	if (o->budget && money_parse(o->budget, &m.options.budget_nanodollars) < 0)
		return cmd_usage("--budget is dollars, like 2.50, not '%s'", o->budget);
	if (apply_settings(&o->settings, &m.options) != 0)
		return EXIT_USAGE;
	int r = o->foreground ? mount_run(&m.options, &err) : mount_in_background(&m, &err);
	if (r == 0 && !o->foreground)
		printf("%s is mounted (process %d, log %s); ggfs umount %s ends it\n", directory,
		       m.pid, m.log, argv[0]);
	mount_daemon_release(&m);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(mount_verb_options),
	{ "engine", 'e', OPTION_LIST, "ENGINE", offsetof(struct mount_verb_options, engines),
	  "make files there: local, lambda or http, with how many at once: --engine local=2 "
	  "--engine lambda=1000, or with commas; else as ggfs config engine says" },
	{ "budget", 'b', OPTION_TEXT, "USD", offsetof(struct mount_verb_options, budget),
	  "an open that would make all of them cost more fails with EDQUOT, counting what is in "
	  "flight" },
	{ "option", 'o', OPTION_LIST, "SETTING,...", offsetof(struct mount_verb_options, settings),
	  "settings of the mount, see above" },
	{ "foreground", 'f', OPTION_SWITCH, NULL, offsetof(struct mount_verb_options, foreground),
	  "stay until it is unmounted; log to standard error" },
	{ 0 },
};

const struct verb verb_mount = {
	.name = "mount",
	.synopsis = "[OPTION]... DIR",
	.summary = "show a directory's lazy files as the files they will be",
	.description =
	        "Mounts DIR over itself: its files stay where they are, and lazy files "
	        "among them look like\n"
	        "the files they stand for. Opening one makes it. Returns when the mount "
	        "answers; a\n"
	        "process in the background serves it until 'ggfs umount DIR'. A mount that "
	        "a crash left\n"
	        "behind is replaced.\n\n"
	        "Settings for -o:\n"
	        "  force=on       an open makes the file (this is so by default)\n"
	        "  force=local    ... but never on an engine that costs money\n"
	        "  force=off      an open of a file not made yet fails with EDEADLK\n"
	        "  hold=N         a program that has never made files before is stopped at N, "
	        "until\n"
	        "                 'ggfs allow PROGRAM'\n"
	        "  stat=force     asking for a lazy file's size makes it, too\n"
	        "  deadline=S     an open waits at most S seconds, then ETIMEDOUT\n"
	        "  allow_other    other users may see the mount\n"
	        "  nopassthrough  all reads go through the mount process\n",
	.options = options,
	.options_size = sizeof(struct mount_verb_options),
	.min_operands = 1,
	.max_operands = 1,
	.run = run,
};
