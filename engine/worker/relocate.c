#include "engine/worker/relocate.h"

#include <ctype.h>
#include <string.h>

#include "engine/local/plan.h"

void relocation_release(struct relocation *r)
{
	free(r->execute);
	free(r->cwd);
	strv_release(&r->argv);
	strv_release(&r->env);
	*r = (struct relocation){ 0 };
}

/* --- libraries ---------------------------------------------------------------------------------
 */

static bool is_library(const char *name)
{
	const char *so = strstr(name, ".so");
	return so && (so[3] == '\0' || so[3] == '.');
}

/* Where the dynamic linker looks without being told, as Debian's and Red Hat's are built. */
static const char *const standard[] = {
	"usr/local/lib/x86_64-linux-gnu",
	"usr/local/lib/aarch64-linux-gnu",
	"usr/local/lib",
	"lib/x86_64-linux-gnu",
	"lib/aarch64-linux-gnu",
	"usr/lib/x86_64-linux-gnu",
	"usr/lib/aarch64-linux-gnu",
	"lib64",
	"usr/lib64",
	"lib",
	"usr/lib",
};

void relocate_libraries(const struct manifest *world, struct strv *out)
{
	struct strv found = STRV_INIT;
	const char *last = NULL;
	size_t last_len = 0;
	for (size_t i = 0; i < world->count; i++) {
		const char *path = world->entries[i].path, *slash = strrchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : 0;
		if (!slash || world->entries[i].kind == ENTRY_DIR || !is_library(slash + 1) ||
		    (last && len == last_len && strncmp(last, path, len) == 0))
			continue;
		last = path;
		last_len = len;
		char *dir = xstrndup(path, len);
		if (strv_contains(&found, dir))
			free(dir);
		else
			strv_add_take(&found, dir);
	}
	for (size_t i = 0; i < sizeof(standard) / sizeof(*standard); i++)
		if (strv_contains(&found, standard[i]))
			strv_add(out, standard[i]);
	for (size_t i = 0; i < found.count; i++)
		if (!strv_contains(out, found.items[i]))
			strv_add(out, found.items[i]);
	strv_release(&found);
}

/* --- what is linked statically -----------------------------------------------------------------
 */

/* Whether an absolute path may be in a text: a slash that no name stands before, or anything
 * with a slash behind an option's letters ("-I/usr"). */
static bool may_name_absolute(const char *text)
{
	const char *slash = strchr(text, '/');
	if (slash && text[0] == '-')
		return true;
	for (; slash; slash = strchr(slash + 1, '/')) {
		unsigned char before = slash == text ? ' ' : (unsigned char)slash[-1];
		if (!isalnum(before) && !strchr("._-+~@%/", before))
			return true;
		if (before == '/' && (slash == text + 1))
			return true;
	}
	return false;
}

static int check_static(const struct thunk *t, struct error *err)
{
	for (size_t i = 1; i < t->args.count; i++)
		if (may_name_absolute(t->args.items[i]))
			return error_set(err, -EOPNOTSUPP,
			                 "%s is linked statically and is given %s: without "
			                 "namespaces that would be the machine's own",
			                 t->program, t->args.items[i]);
	return 0;
}

/* --- environment -------------------------------------------------------------------------------
 */

static bool has_variable(const struct thunk *t, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < t->env.count; i++)
		if (strncmp(t->env.items[i], name, len) == 0 && t->env.items[i][len] == '=')
			return true;
	return false;
}

/* Where the C library would look at the machine's own clock settings, which no library that is
 * loaded before can help: /etc/localtime and /usr/share/zoneinfo. */
static void add_time_zone(const struct thunk *t, const struct relocate_facts *facts,
                          const char *job, struct strv *env)
{
	if (has_variable(t, "TZ"))
		strv_add_format(env, "TZDIR=%s/root/usr/share/zoneinfo", job);
	else if (facts->has_local_time)
		strv_add_format(env, "TZ=:%s/root/etc/localtime", job);
	else
		strv_add(env, "TZ=UTC0");
}

static void add_environment(const struct thunk *t, const struct relocate_facts *facts,
                            const char *job, bool sees_root, struct strv *env)
{
	scoped_free char *root = sees_root ? xstrdup("") : xformat("%s/root", job);
	strv_copy(env, &t->env);
	if (t->yields) {
		strv_add_format(env, "GGFS_THUNK=%s/" PLAN_THUNK, root);
		strv_add_format(env, "GGFS_YIELD=%s/" PLAN_YIELD, root);
	}
	add_time_zone(t, facts, job, env);
}

/* --- commands ----------------------------------------------------------------------------------
 */

/* argv as the last interpreter has it: what "#!" lines put in front of the thunk's arguments. */
static void interpreted_argv(const struct thunk *t, const struct relocate_facts *facts,
                             struct strv *argv)
{
	for (size_t i = facts->count - 1; i-- > 0;) {
		const struct program *script = &facts->programs[i];
		strv_add(argv, script->interpreter);
		if (script->argument[0])
			strv_add(argv, script->argument);
		/* An interpreter in the middle is named by the line above, as its argv[0] is. */
		if (i > 0)
			continue;
		strv_add_format(argv, "/%s", t->program);
	}
	if (facts->count == 1 && t->args.count > 0)
		strv_add(argv, t->args.items[0]);
	for (size_t i = 1; i < t->args.count; i++)
		strv_add(argv, t->args.items[i]);
}

static void linked_argv(const char *job, const struct strv *libraries, const char *program,
                        struct strv *argv, struct strv *env)
{
	scoped_buf struct buf path = BUF_INIT;
	for (size_t i = 0; i < libraries->count; i++)
		buf_add_format(&path, "%s%s/root/%s", i ? ":" : "", job, libraries->items[i]);
	const char *list = path.data ? path.data : "";
	struct strv all = STRV_INIT;
	strv_add(&all, "ld.so");
	strv_add(&all, "--inhibit-cache");
	strv_add(&all, "--library-path");
	strv_add(&all, list);
	strv_add(&all, "--preload");
	strv_add_format(&all, "%s/" RELOCATE_LIBRARY, job);
	strv_add(&all, "--argv0");
	strv_add(&all, argv->count ? argv->items[0] : program);
	strv_add_format(&all, "%s/root%s", job, program);
	for (size_t i = 1; i < argv->count; i++)
		strv_add(&all, argv->items[i]);
	strv_release(argv);
	*argv = all;
	strv_add_format(env, "GGFS_RELOCATE=%s/root:%s", job, list);
}

static int relocate_dynamic(const struct program *program, const char *path,
                            const struct relocate_facts *facts, const char *job,
                            const struct strv *libraries, struct relocation *out, struct error *err)
{
	static const char *const known[] = { "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1" };
	const char *base = strrchr(program->interpreter, '/');
	bool is_known = false;
	for (size_t i = 0; base && i < sizeof(known) / sizeof(*known); i++)
		is_known |= strcmp(base + 1, known[i]) == 0;
	if (!is_known || program->interpreter[0] != '/' || !facts->linker_is_modern)
		return error_set(err, -EOPNOTSUPP,
		                 "without namespaces %s cannot be started by its dynamic linker %s",
		                 path, program->interpreter);
	out->execute = xformat("%s/root%s", job, program->interpreter);
	linked_argv(job, libraries, path, &out->argv, &out->env);
	return 0;
}

int relocate(const struct thunk *t, const struct relocate_facts *facts, const char *job,
             const struct strv *libraries, struct relocation *out, struct error *err)
{
	const struct program *last = &facts->programs[facts->count - 1];
	/* What is executed in the end, as the world has it. */
	scoped_free char *path = facts->count > 1
	                                 ? xstrdup(facts->programs[facts->count - 2].interpreter)
	                                 : xformat("/%s", t->program);
	bool dynamic = last->kind == PROGRAM_DYNAMIC;
	int r = 0;
	if (!dynamic && (last->kind != PROGRAM_STATIC || facts->count > 1))
		return error_set(err, -EOPNOTSUPP, "without namespaces %s cannot be executed: %s",
		                 path,
		                 facts->count > 1 ? "a script, and its interpreter is not "
		                                    "dynamically linked"
		                                  : "no program for this machine");
	if (!dynamic)
		r = check_static(t, err);
	if (r < 0)
		return r;
	out->cwd = xformat("%s/root/%s", job, t->cwd ? t->cwd : "");
	interpreted_argv(t, facts, &out->argv);
	add_environment(t, facts, job, dynamic, &out->env);
	if (dynamic)
		return relocate_dynamic(last, path, facts, job, libraries, out, err);
	out->execute = xformat("%s/root%s", job, path);
	return 0;
}
