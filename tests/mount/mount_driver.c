/*
 * mount-driver DIR STORE [OPTION…]: mounts with a link that the test scripts (fake_link.c), in the
 * foreground; writes a byte to standard output when the mount answers.
 *
 * Options: force=on|local|off  stat=force  no-passthrough  allow-other  deadline=MS  hold=N
 * Or: mount-driver --unmount DIR [--lazy], --list: what `ggfs umount` and `ggfs mounts` stand on.
 */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "fs/mount.h"

static void set_option(struct mount_options *o, const char *text)
{
	if (strcmp(text, "force=off") == 0)
		o->force = MOUNT_FORCE_OFF;
	else if (strcmp(text, "force=local") == 0)
		o->force = MOUNT_FORCE_LOCAL;
	else if (strcmp(text, "stat=force") == 0)
		o->stat_forces = true;
	else if (strcmp(text, "no-passthrough") == 0)
		o->no_passthrough = true;
	else if (strcmp(text, "allow-other") == 0)
		o->allow_other = true;
	else if (strncmp(text, "hold=", 5) == 0)
		o->hold = (unsigned)atoi(text + 5);
	else if (strncmp(text, "deadline=", 9) == 0)
		o->deadline_ms = strtoll(text + 9, NULL, 10);
}

static int report(int r, const struct error *err)
{
	if (r < 0)
		fprintf(stderr, "%d %s\n", -r, error_text(err));
	return r < 0;
}

static int list(struct error *err)
{
	struct mount_info *mounts;
	size_t count;
	int r = mount_list(&mounts, &count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		printf("%s\t%s\t%d\t%d\n", mounts[i].directory, mounts[i].store, mounts[i].pid,
		       mounts[i].stale);
	mount_list_free(mounts, count);
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return report(list(&err), &err);
	if (argc >= 3 && strcmp(argv[1], "--unmount") == 0)
		return report(mount_unmount(argv[2], argc > 3, &err), &err);
	if (argc < 3)
		return 2;
	struct mount_options options = { .directory = argv[1], .store = argv[2], .ready_fd = 1 };
	for (int i = 3; i < argc; i++)
		set_option(&options, argv[i]);
	return report(mount_run(&options, &err), &err);
}
