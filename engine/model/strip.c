/* strip and objcopy. */
#include <string.h>

#include "engine/model/plan.h"

/* Options of one letter, of both programs. */
static const char flag_letters[] = "sSgdxXwD";
static const char valued_letters[] = "KNRFIOjLGWB";

static const char *const flags[] = {
	"--strip-all",
	"--strip-debug",
	"--strip-unneeded",
	"--strip-dwo",
	"--discard-all",
	"--discard-locals",
	"--wildcard",
	"--enable-deterministic-archives",
	"--only-keep-debug",
	"--keep-file-symbols",
	"--keep-section-symbols",
	"--merge-notes",
	"--no-merge-notes",
	"--localize-hidden",
	"--weaken",
	"--extract-dwo",
	"--extract-symbol",
	"--compress-debug-sections",
	"--decompress-debug-sections",
	"--debugging",
	"--writable-text",
	"--readonly-text",
	"--pure",
	"--impure",
};

static const char *const valued[] = {
	"--keep-symbol",
	"--strip-symbol",
	"--remove-section",
	"--keep-section",
	"--target",
	"--input-target",
	"--output-target",
	"--only-section",
	"--rename-section",
	"--set-section-flags",
	"--set-section-alignment",
	"--prefix-symbols",
	"--prefix-sections",
	"--prefix-alloc-sections",
	"--redefine-sym",
	"--localize-symbol",
	"--globalize-symbol",
	"--keep-global-symbol",
	"--weaken-symbol",
	"--add-symbol",
	"--gap-fill",
	"--pad-to",
	"--set-start",
	"--change-start",
	"--change-addresses",
	"--change-section-address",
	"--change-section-lma",
	"--change-section-vma",
	"--binary-architecture",
	"--remove-relocations",
	"--reverse-bytes",
	"--elf-stt-common",
	"--alt-machine-code",
	"--interleave",
	"--interleave-width",
	"--byte",
};

/* The option at *at, stepping over its value; false when it is not understood. */
static bool understood(const struct strv *argv, size_t *at)
{
	const char *o = argv->items[*at];
	if (o[1] != '-') {
		if (!o[1])
			return false;
		if (strchr(flag_letters, o[1]))
			return o[2] == '\0';
		if (!strchr(valued_letters, o[1]))
			return false;
		return o[2] || ++*at < argv->count;
	}
	size_t len = strcspn(o, "=");
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strlen(flags[i]) == len && strncmp(flags[i], o, len) == 0)
			return true;
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++)
		if (strlen(valued[i]) == len && strncmp(valued[i], o, len) == 0)
			return o[len] == '=' || ++*at < argv->count;
	return false;
}

static void add_output(const struct call *call, struct plan *p, const char *from, const char *to)
{
	struct plan_output *o = plan_add_output(p, to, 0);
	o->mode = call->files->mode(call->files->arg, from);
	o->exact_mode = true;
}

/* Fills p but for the outputs; files gets the operands and output -o's, if there is one. */
static void parse(const struct call *call, struct plan *p, struct strv *files, const char **output)
{
	const struct strv *argv = call->argv;
	strv_copy(&p->args, argv);
	for (size_t at = 1; at < argv->count && !p->real; at++) {
		const char *arg = argv->items[at];
		if (arg[0] != '-')
			strv_add(files, arg);
		else if (output && after(arg, "-o") && (arg[2] || at + 1 < argv->count))
			*output = arg[2] ? arg + 2 : argv->items[++at];
		else if (!understood(argv, &at))
			plan_real(p, "option %s", arg);
	}
	if (files->count == 0)
		plan_real(p, "no files");
	strv_copy(&p->reads, files);
	p->tools = TOOLS_PLUGINS;
	p->if_deterministic = true;
}

void strip_plan(const struct call *call, struct plan *out)
{
	scoped_strv struct strv files = STRV_INIT;
	const char *output = NULL;
	parse(call, out, &files, &output);
	if (output && files.count > 1)
		plan_real(out, "one output for several files");
	for (size_t i = 0; i < files.count && !out->real; i++)
		add_output(call, out, files.items[i], output ? output : files.items[i]);
}

void objcopy_plan(const struct call *call, struct plan *out)
{
	scoped_strv struct strv files = STRV_INIT;
	parse(call, out, &files, NULL);
	if (files.count > 2)
		plan_real(out, "too many files");
	if (out->real)
		return;
	bool in_place = files.count == 1;
	if (!in_place) {
		/* the second is no input */
		free(out->reads.items[1]);
		out->reads.items[1] = NULL;
		out->reads.count = 1;
	}
	add_output(call, out, files.items[0], files.items[in_place ? 0 : 1]);
}
