/* ar and ranlib. */
#include <string.h>

#include "engine/model/plan.h"

struct ar {
	const struct call *call;
	struct plan *p;
	char operation;     /* r, q or s; 0 before one was seen */
	bool deterministic; /* D */
};

static void take_letters(struct ar *a, const char *letters)
{
	for (const char *c = letters; *c; c++) {
		if (*c == 'r' || *c == 'q') {
			if (a->operation == 'r' || a->operation == 'q')
				plan_real(a->p, "two operations of ar");
			a->operation = *c;
		} else if (*c == 's') {
			/* an operation when it stands alone, else a modifier */
			a->operation = a->operation ? a->operation : 's';
		} else if (*c == 'D') {
			a->deterministic = true;
		} else if (!strchr("cSTPuf", *c)) {
			/* U wants times and owners as they are; v, t, p, x answer at once; d, m, a,
			 * b, i are rare */
			plan_real(a->p, "ar %s", letters);
		}
	}
}

/* "--plugin P" or "--plugin=P", as gcc-ar and gcc-ranlib say it. Only gcc's own is known to need no
 * more than ar itself does; with another one *at stays where it is, at an option for nobody. */
static bool take_plugin(const struct strv *argv, size_t *at, struct plan *p)
{
	const char *arg = argv->items[*at], *value = NULL;
	size_t value_at = *at;
	if (strncmp(arg, "--plugin=", strlen("--plugin=")) == 0)
		value = arg + strlen("--plugin=");
	else if (strcmp(arg, "--plugin") == 0 && *at + 1 < argv->count)
		value = argv->items[++value_at];
	if (!value || strcmp(path_base(value), "liblto_plugin.so") != 0)
		return false;
	strv_add(&p->reads, value);
	*at = value_at;
	return true;
}

/* Adds the archive that is changed in place or made. */
static void add_archive(const struct call *call, struct plan *p, const char *path, bool must_be)
{
	enum view_kind kind = call->files->kind(call->files->arg, path);
	bool there = kind == VIEW_FILE || kind == VIEW_LAZY;
	struct plan_output *o = plan_add_output(p, path, 0666);
	if (there) {
		o->mode = call->files->mode(call->files->arg, path);
		o->exact_mode = true;
		strv_add(&p->reads, path);
	} else if (must_be || kind != VIEW_ABSENT) {
		plan_real(p, "%s is not a file", path);
	}
	p->archive_members = true;
	p->tools |= TOOLS_PLUGINS;
}

void ar_plan(const struct call *call, struct plan *out)
{
	struct ar a = { .call = call, .p = out };
	const struct strv *argv = call->argv;
	strv_copy(&out->args, argv);
	size_t at = 1;
	if (at < argv->count && argv->items[at][0] != '-')
		take_letters(&a, argv->items[at++]);
	for (; at < argv->count && argv->items[at][0] == '-'; at++) {
		if (strcmp(argv->items[at], "--thin") == 0 || take_plugin(argv, &at, out))
			continue;
		if (argv->items[at][1] == '-')
			plan_real(out, "ar %s", argv->items[at]);
		else
			take_letters(&a, argv->items[at] + 1);
	}
	if (at >= argv->count || !a.operation) {
		plan_real(out, "ar without an archive to make");
		return;
	}
	add_archive(call, out, argv->items[at], a.operation == 's');
	for (at++; at < argv->count; at++)
		strv_add(&out->reads, argv->items[at]);
	out->if_deterministic = !a.deterministic;
}

void ranlib_plan(const struct call *call, struct plan *out)
{
	bool deterministic = false;
	strv_copy(&out->args, call->argv);
	for (size_t i = 1; i < call->argv->count; i++) {
		const char *arg = call->argv->items[i];
		if (strcmp(arg, "-D") == 0)
			deterministic = true;
		else if (take_plugin(call->argv, &i, out))
			continue;
		else if (arg[0] == '-')
			plan_real(out, "ranlib %s", arg);
		else
			add_archive(call, out, arg, true);
	}
	if (out->output_count == 0)
		plan_real(out, "ranlib without an archive");
	out->if_deterministic = !deterministic;
}
