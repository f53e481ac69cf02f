/* ld called by itself. */
#include <string.h>

#include "engine/model/plan.h"

static bool is_relocatable(const char *arg)
{
	return strcmp(arg, "-r") == 0 || strcmp(arg, "-i") == 0 ||
	       strcmp(arg, "--relocatable") == 0 || strcmp(arg, "-relocatable") == 0;
}

void ld_plan(const struct call *call, struct plan *out)
{
	const char *output = "a.out";
	bool relocatable = false, files = false;
	strv_copy(&out->args, call->argv);
	for (size_t i = 1; i < call->argv->count; i++) {
		strv_add(&out->ld_args, call->argv->items[i]);
		relocatable = relocatable || is_relocatable(call->argv->items[i]);
	}
	for (size_t at = 0; at < out->ld_args.count && !out->real;) {
		struct ld_arg a = ld_next(&out->ld_args, &at);
		if (a.kind == LD_REFUSED)
			plan_real(out, "linker option %s", a.text);
		else if (a.kind == LD_OUTPUT)
			output = a.text;
		else if (a.kind == LD_MAP)
			plan_add_output(out, a.text, 0666);
		files = files || a.kind == LD_FILE || a.kind == LD_LIBRARY || a.kind == LD_SCRIPT;
	}
	if (!files)
		plan_real(out, "nothing to link");
	const char *libraries = env_get(call->env, "LD_LIBRARY_PATH");
	if (libraries && *libraries)
		plan_real(out, "the linker would heed LD_LIBRARY_PATH");
	out->link = out->direct_ld = true;
	out->tools = TOOLS_PLUGINS;
	plan_add_output(out, output, relocatable ? 0666 : 0777);
}
