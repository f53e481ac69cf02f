/* Plans from command lines, with files that are only told of. For table-driven tests. */
#ifndef GGFS_TESTS_UNIT_MODEL_PLANS_H
#define GGFS_TESTS_UNIT_MODEL_PLANS_H

#include <string.h>

#include "engine/model/plan.h"
#include "tests/lib/test.h"

struct told_file {
	const char *path;
	enum view_kind kind;
	mode_t mode;
	const char *text;
};

/* Absent: whatever is not listed. */
static const struct told_file told_files[] = {
	{ "x.c", VIEW_FILE, 0644, "int x;\n" },
	{ "x.o", VIEW_LAZY, 0640, NULL },
	{ "y.o", VIEW_LAZY, 0644, NULL },
	{ "prog", VIEW_LAZY, 0755, NULL },
	{ "old.a", VIEW_FILE, 0600, "!<arch>\n" },
	{ "dir", VIEW_DIR, 0755, NULL },
	{ "rsp", VIEW_FILE, 0644, "-O2 '-DA=b c' \"-DQ=\\\"z\\\"\"\n-c x.c @more" },
	{ "more", VIEW_FILE, 0644, "-o\tr.o" },
	{ "itself", VIEW_FILE, 0644, "@itself" },
	{ "lazy.rsp", VIEW_LAZY, 0644, NULL },
};

static inline const struct told_file *told(const char *path)
{
	for (size_t i = 0; i < sizeof(told_files) / sizeof(told_files[0]); i++)
		if (strcmp(told_files[i].path, path) == 0)
			return &told_files[i];
	return NULL;
}

static inline enum view_kind told_kind(void *arg, const char *path)
{
	(void)arg;
	return told(path) ? told(path)->kind : VIEW_ABSENT;
}

static inline mode_t told_mode(void *arg, const char *path)
{
	(void)arg;
	return told(path) ? told(path)->mode : 0;
}

static inline int told_text(void *arg, const char *path, struct buf *b)
{
	(void)arg;
	if (!told(path) || !told(path)->text)
		return -ENODATA;
	buf_add_str(b, told(path)->text);
	return 0;
}

static const struct files told_all = { NULL, told_kind, told_mode, told_text };

/* "A=1 B=2" or "gcc -c x.c": words by spaces, no quoting. */
static inline void words(const char *line, struct strv *out)
{
	while (*line) {
		size_t len = strcspn(line, " ");
		if (len)
			strv_add_take(out, xstrndup(line, len));
		line += len + (line[len] == ' ');
	}
}

static inline char *joined(const struct strv *v)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < v->count; i++)
		buf_add_format(&b, "%s%s", i ? " " : "", v->items[i]);
	return buf_steal(&b, NULL);
}

/* "path:mode path:mode!" ('!': the mode is final) */
static inline char *outputs_text(const struct plan *p)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < p->output_count; i++)
		buf_add_format(&b, "%s%s:%o%s", i ? " " : "", p->outputs[i].path,
		               p->outputs[i].mode, p->outputs[i].exact_mode ? "!" : "");
	return buf_steal(&b, NULL);
}

static inline struct plan planned(const char *env_line, const char *line)
{
	scoped_strv struct strv argv = STRV_INIT, env = STRV_INIT;
	struct plan p = PLAN_INIT;
	words(line, &argv);
	words(env_line, &env);
	scoped_free char *tool = xformat("/usr/bin/%s", path_base(argv.items[0]));
	struct call call = { &argv, &env, &told_all, tool };
	model_fn *model = model_find(path_base(argv.items[0]), NULL);
	assert_non_null(model);
	model(&call, &p);
	return p;
}

#define assert_text(got, want)                                                                     \
	do {                                                                                       \
		scoped_free char *got_ = (got);                                                    \
		if (strcmp(got_, want) != 0)                                                       \
			fail_msg("%s: \"%s\" instead of \"%s\"", line, got_, want);                \
	} while (0)

static inline void assert_real(const char *line, const char *why)
{
	struct plan p = planned("", line);
	if (!p.real || !strstr(p.reason, why))
		fail_msg("%s: %s, not real for \"%s\"", line, p.real ? p.reason : "lazy", why);
	model_plan_release(&p);
}

#endif
