/*
 * cp and install of lazy files: the copy stands for the same thing, and nothing is made. Only
 * plain forms; what is not lazy is copied by the real program.
 */
#include <string.h>

#include "engine/model/plan.h"

static enum view_kind kind_of(const struct call *call, const char *path)
{
	return call->files->kind(call->files->arg, path);
}

/* The last operand is a directory, or the name of the one copy. */
static void plan_copies(const struct call *call, struct plan *p, const struct strv *operands,
                        mode_t mode, bool replaces)
{
	if (operands->count < 2) {
		plan_real(p, "too few files");
		return;
	}
	const char *to = operands->items[operands->count - 1];
	bool into = kind_of(call, to) == VIEW_DIR;
	if (!into && (operands->count > 2 || to[strlen(to) - 1] == '/'))
		plan_real(p, "%s is no directory", to);
	p->copy = true;
	for (size_t i = 0; i + 1 < operands->count && !p->real; i++) {
		const char *from = operands->items[i];
		if (kind_of(call, from) != VIEW_LAZY) {
			plan_real(p, "%s is not lazy", from);
			return;
		}
		scoped_free char *path = into ? xformat("%s/%s", to, path_base(from)) : xstrdup(to);
		enum view_kind there = kind_of(call, path);
		/* cp would write into a file that is there, for all its names to see */
		if (there != VIEW_ABSENT &&
		    !(replaces && (there == VIEW_LAZY || there == VIEW_FILE)))
			plan_real(p, "%s is there already", path);
		strv_add(&p->reads, from);
		struct plan_output *o = plan_add_output(p, path, mode);
		o->exact_mode = replaces;
		if (!replaces)
			o->mode = call->files->mode(call->files->arg, from);
	}
}

void cp_plan(const struct call *call, struct plan *out)
{
	scoped_strv struct strv operands = STRV_INIT;
	for (size_t i = 1; i < call->argv->count; i++) {
		const char *arg = call->argv->items[i];
		if (arg[0] != '-')
			strv_add(&operands, arg);
		else if (strcmp(arg, "-f") != 0)
			plan_real(out, "cp %s", arg);
	}
	if (!out->real)
		plan_copies(call, out, &operands, 0, false);
}

static bool parse_octal(const char *text, mode_t *mode)
{
	char *end;
	unsigned long value = strtoul(text, &end, 8);
	if (end == text || *end || value > 0777 || strspn(text, "01234567") != strlen(text))
		return false;
	*mode = (mode_t)value;
	return true;
}

void install_plan(const struct call *call, struct plan *out)
{
	scoped_strv struct strv operands = STRV_INIT;
	mode_t mode = 0755;
	for (size_t i = 1; i < call->argv->count && !out->real; i++) {
		const char *arg = call->argv->items[i];
		const char *value = after(arg, "--mode=");
		if (!value && after(arg, "-m"))
			value = arg[2]                      ? arg + 2
			        : i + 1 < call->argv->count ? call->argv->items[++i]
			                                    : "";
		if (value) {
			if (!parse_octal(value, &mode))
				plan_real(out, "install -m %s", value);
		} else if (arg[0] != '-') {
			strv_add(&operands, arg);
		} else if (strcmp(arg, "-c") != 0) {
			plan_real(out, "install %s", arg);
		}
	}
	if (!out->real)
		plan_copies(call, out, &operands, mode, true);
}
