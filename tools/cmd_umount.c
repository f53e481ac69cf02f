/* umount and mounts: neither touches what it names. */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/mounted.h"

struct umount_options {
	bool lazy;
};

static int run_umount(const void *options, int argc, char **argv)
{
	const struct umount_options *o = options;
	int code = EXIT_OK;
	for (int i = 0; i < argc; i++) {
		struct error err = ERROR_INIT;
		scoped_free char *directory = mounted_path(argv[i]);
		int r = directory ? mount_unmount(directory, o->lazy, &err)
		                  : error_errno(&err, "%s", argv[i]);
		if (r < 0)
			code = cmd_fail(&err);
		else
			printf("%s is a plain directory again\n", directory);
	}
	return code;
}

static const struct verb_option umount_table[] = {
	{ "lazy", 'l', OPTION_SWITCH, NULL, offsetof(struct umount_options, lazy),
	  "detach it now even if it is in use; it ends when the last user has left" },
	{ 0 },
};

const struct verb verb_umount = {
	.name = "umount",
	.synopsis = "[--lazy] DIR...",
	.summary = "end a mount",
	.description = "Unmounts each DIR, which is a plain directory afterwards: ordinary files "
	               "as they were,\n"
	               "lazy files as placeholders. Mounting it again shows the same lazy files; "
	               "'ggfs force'\n"
	               "turns placeholders into real files.",
	.options = umount_table,
	.options_size = sizeof(struct umount_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run_umount,
};

/* --- mounts ----------------------------------------------------------------------------------- */

struct mounts_options {
	bool json;
};

static void print_mount(const struct mount_info *m)
{
	printf("%s  store %s", m->directory, m->store ? m->store : "?");
	if (m->pid)
		printf("  process %d", m->pid);
	printf("%s\n", m->stale ? "  stale: its process is gone; 'ggfs mount' again heals it" : "");
}

static json_t *mount_json(const struct mount_info *m)
{
	json_t *o = json_object();
	json_object_set_new(o, "directory", json_text(m->directory));
	json_object_set_new(o, "store", json_text(m->store));
	json_object_set_new(o, "pid", m->pid ? json_integer(m->pid) : json_null());
	json_object_set_new(o, "stale", json_boolean(m->stale));
	return o;
}

static int run_mounts(const void *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct mounts_options *o = options;
	struct error err = ERROR_INIT;
	struct mount_info *list = NULL;
	size_t count = 0;
	if (mount_list(&list, &count, &err) < 0)
		return cmd_fail(&err);
	json_t *all = o->json ? json_array() : NULL;
	for (size_t i = 0; i < count; i++)
		if (all)
			json_array_append_new(all, mount_json(&list[i]));
		else
			print_mount(&list[i]);
	if (all)
		json_print(all);
	mount_list_free(list, count);
	return EXIT_OK;
}

static const struct verb_option mounts_table[] = {
	OPTION_JSON(mounts_options),
	{ 0 },
};

const struct verb verb_mounts = {
	.name = "mounts",
	.synopsis = "[--json]",
	.summary = "list the mounts of ggfs on this machine",
	.description = "Lists all mounts of ggfs, from the table of mounts: a mount that hangs or "
	               "was left\n"
	               "behind by a crash is listed too, and not touched.",
	.options = mounts_table,
	.options_size = sizeof(struct mounts_options),
	.run = run_mounts,
};
