#include "tools/standins.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/model/infer.h"
#include "tools/real_tool.h"
#include "tools/session.h"
#include "tools/standin.h"

enum { STANDINS_MAX = 10000 };

static void add_known(const char *directory, struct strv *names, struct standins *found)
{
	scoped_dir DIR *dir = opendir(directory);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)) && names->count < STANDINS_MAX) {
		if (!model_known(entry->d_name) || strv_contains(names, entry->d_name))
			continue;
		scoped_free char *file = xformat("%s/%s", directory, entry->d_name);
		struct stat st;
		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode) || access(file, X_OK) < 0 ||
		    real_tool_is_standin(file))
			continue;
		if (real_tool_is_wrapper(file))
			found->wrapped = true;
		else
			strv_add(&found->programs, file);
		strv_add(names, entry->d_name);
	}
}

/* Relative directories of PATH mean something else in each directory: left alone. */
static void find_known(const char *path, struct strv *names, struct standins *found)
{
	scoped_free char *copy = xstrdup(path ? path : "/usr/bin:/bin");
	char *rest = copy, *directory;
	while ((directory = strsep(&rest, ":")))
		if (*directory == '/')
			add_known(directory, names, found);
	strv_sort(names);
}

static char *directory_name(const char *store, const char *stub, const struct strv *names)
{
	scoped_buf struct buf facts = BUF_INIT;
	buf_add_format(&facts, "%s\n", stub);
	for (size_t i = 0; i < names->count; i++)
		buf_add_format(&facts, "%s\n", names->items[i]);
	struct digest d;
	digest_of(&d, facts.data, facts.len);
	return xformat("%s/service/stand-ins/%.16s", store, digest_hex(&d).text);
}

int standins_make(const char *store, const char *path, struct standins *out, struct error *err)
{
	scoped_free char *stub = session_helper(STANDIN_PROGRAM);
	if (!stub)
		return error_set(err, -ENOENT,
		                 "%s is neither beside this ggfs nor in ../libexec/ggfs: install "
		                 "ggfs whole",
		                 STANDIN_PROGRAM);
	scoped_strv struct strv names = STRV_INIT;
	scoped(standins_release) struct standins found = { 0 };
	find_known(path, &names, &found);
	scoped_free char *made = directory_name(store, stub, &names);
	int r = make_dirs_at(AT_FDCWD, made, 0700, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		scoped_free char *file = xformat("%s/%s", made, names.items[i]);
		if (symlink(stub, file) < 0 && errno != EEXIST)
			r = error_errno(err, "cannot make the stand-in %s", file);
	}
	if (r < 0)
		return r;
	found.directory = steal(&made);
	found.stub = steal(&stub);
	*out = found;
	found = (struct standins){ 0 };
	return 0;
}

void standins_release(struct standins *s)
{
	free(s->directory);
	free(s->stub);
	strv_release(&s->programs);
	*s = (struct standins){ 0 };
}
