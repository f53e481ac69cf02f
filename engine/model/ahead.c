#include "engine/model/ahead.h"

#include <string.h>

#include "engine/model/plan.h"

enum { AHEAD_MAX = 4096 };

static bool is_lazy(const struct inputs *in, const char *path)
{
	struct view_file f = { 0 };
	bool lazy = view_look(in->v, path, &f, NULL, NULL) == 0 && f.kind == VIEW_LAZY;
	view_file_release(&f);
	return lazy;
}

/* The last name such a tool is given is what it writes. */
static bool writes_its_last(const char *tool)
{
	static const char *const names[] = { "cp", "install", "objcopy" };
	const char *base = NULL;
	if (!model_find(path_base(tool), &base))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(base, names[i]) == 0)
			return true;
	return false;
}

void ahead_list(const struct inputs *in, const char *tool, const struct strv *argv,
                struct strv *out)
{
	size_t end = argv->count - (argv->count && writes_its_last(tool));
	scoped_strv struct strv found = STRV_INIT;
	for (size_t i = 1; i < end && found.count < AHEAD_MAX; i++) {
		const char *arg = argv->items[i];
		if (strcmp(arg, "-###") == 0)
			return; /* tells what would be run: reads nothing */
		if (strcmp(arg, "-o") == 0)
			i++;
		if (arg[0] == '-')
			continue;
		scoped_free char *path = inputs_path(in, arg);
		if (is_lazy(in, path))
			strv_add(&found, path);
	}
	if (found.count > 1)
		strv_copy(out, &found);
}
