#include "tools/real_tool.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cover.h"
#include "tools/standin.h"

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_this_executable(const char *file)
{
	struct stat self, st;
	return stat("/proc/self/exe", &self) == 0 && stat(file, &st) == 0 &&
	       self.st_ino == st.st_ino && self.st_dev == st.st_dev;
}

/* A link to the program of that name. */
bool real_tool_is_link(const char *file)
{
	char target[PATH_MAX];
	return realpath(file, target) && strcmp(last_component(target), STANDIN_PROGRAM) == 0;
}

bool real_tool_is_standin(const char *file)
{
	return real_tool_is_link(file) || is_this_executable(file);
}

/* Programs that run a compiler found further along PATH under the name they were called by. */
bool real_tool_is_wrapper(const char *file)
{
	static const char *const names[] = { "ccache", "distcc", "icecc", "sccache" };
	char target[PATH_MAX];
	if (!realpath(file, target))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(last_component(target), names[i]) == 0)
			return true;
	return false;
}

static bool is_program(const char *file)
{
	struct stat st;
	return stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0;
}

/* The next directory of a PATH; an empty one means the working directory. */
static bool next_directory(const char **path, const char **dir, size_t *len)
{
	if (!*path)
		return false;
	*dir = *path;
	*len = strcspn(*path, ":");
	*path = (*path)[*len] ? *path + *len + 1 : NULL;
	if (*len == 0)
		*dir = ".", *len = 1;
	return true;
}

void real_tool_find(const char *name, const char *path, struct real_tool *out)
{
	*out = (struct real_tool){ 0 };
	const char *dir;
	size_t len;
	while (next_directory(&path, &dir, &len)) {
		scoped_free char *file = xformat("%.*s/%s", (int)len, dir, name);
		if (!is_program(file) || real_tool_is_link(file))
			continue;
		char *covered = is_this_executable(file) ? cover_real(file) : NULL;
		if (is_this_executable(file) && !covered)
			continue;
		if (!out->run)
			out->run = covered ? xstrdup(covered) : xstrdup(file);
		free(covered);
		if (real_tool_is_wrapper(file))
			continue;
		out->model = steal(&file);
		return;
	}
}

void real_tool_of_call(const char *argv0, const char *path, struct real_tool *out)
{
	bool named = strchr(argv0, '/') && is_this_executable(argv0) && !real_tool_is_link(argv0);
	char *covered = named ? cover_real(argv0) : NULL;
	if (covered)
		*out = (struct real_tool){ .run = covered, .model = xstrdup(argv0) };
	else
		real_tool_find(last_component(argv0), path, out);
}

void real_tool_release(struct real_tool *t)
{
	free(t->run);
	free(t->model);
}

char *real_tool_path(const char *path, const char *name, const char *skip)
{
	struct buf kept = BUF_INIT;
	const char *dir;
	size_t len;
	while (next_directory(&path, &dir, &len)) {
		scoped_free char *file = xformat("%.*s/%s", (int)len, dir, name);
		bool skipped = skip && strlen(skip) == len && strncmp(dir, skip, len) == 0;
		if (skipped || (access(file, X_OK) == 0 && real_tool_is_link(file)))
			continue;
		buf_add_format(&kept, "%s%.*s", kept.len ? ":" : "", (int)len, dir);
	}
	return buf_steal(&kept, NULL);
}
