#include "engine/model/inputs.h"

#include <string.h>

void inputs_release(struct inputs *in)
{
	manifest_release(&in->single);
	manifest_release(&in->shared);
	strv_release(&in->seen);
}

char *inputs_path(const struct inputs *in, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xformat("%s/%s", in->cwd, path);
}

enum where { SINGLE, SHARED, BY_PLACE };

static int add(struct inputs *in, const char *path, enum where where, struct error *err)
{
	scoped_free char *full = inputs_path(in, path);
	struct view_file f = { 0 };
	int r = view_look(in->v, full, &f, &in->shared, err);
	if (r < 0)
		return r;
	bool shared = where == SHARED || (where == BY_PLACE && f.real_path &&
	                                  !mount_table_covers(view_mounts(in->v), f.real_path));
	if (f.kind == VIEW_ABSENT)
		r = error_set(err, -ENOENT, "%s is not there", path);
	else if (f.kind == VIEW_DIR)
		r = error_set(err, -EISDIR, "%s is a directory", path);
	else if (f.kind == VIEW_OTHER)
		r = error_set(err, -EINVAL, "%s is no ordinary file", path);
	else
		r = view_input_file(in->v, &f,
		                    shared && f.kind != VIEW_LAZY ? &in->shared : &in->single, err);
	view_file_release(&f);
	return r;
}

int inputs_add_single(struct inputs *in, const char *path, struct error *err)
{
	return add(in, path, SINGLE, err);
}

int inputs_add_shared(struct inputs *in, const char *path, struct error *err)
{
	return add(in, path, SHARED, err);
}

int inputs_add(struct inputs *in, const char *path, struct error *err)
{
	return add(in, path, BY_PLACE, err);
}

int inputs_add_dir(struct inputs *in, const char *path, struct error *err)
{
	scoped_free char *full = inputs_path(in, path);
	struct view_file f = { 0 };
	int r = view_look(in->v, full, &f, &in->shared, err);
	if (r == 0 && f.kind == VIEW_DIR && strcmp(f.real_path, "/") != 0)
		manifest_add_dir(&in->shared, f.real_path + 1);
	if (r == 0 && f.kind == VIEW_LAZY)
		r = error_set(err, -ENODATA, "%s is a directory that is not made yet", path);
	view_file_release(&f);
	return r;
}

bool inputs_first_look(struct inputs *in, const char *real_path)
{
	if (strv_contains(&in->seen, real_path))
		return false;
	strv_add(&in->seen, real_path);
	return true;
}
