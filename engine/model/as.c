/* as, and what gcc hands to it by -Wa. */
#include <string.h>

#include "engine/model/plan.h"

/* Options that change the object and name no file. */
static const char *const plain[] = {
	"-m",
	"-g",
	"-W",
	"-K",
	"-L",
	"-n",
	"-J",
	"-R",
	"--noexecstack",
	"--execstack",
	"--fatal-warnings",
	"--warn",
	"--no-warn",
	"--keep-locals",
	"--compress-debug-sections",
	"--nocompress-debug-sections",
	"--debug-prefix-map=",
	"--defsym=",
	"--32",
	"--64",
	"--x32",
	"--no-pad-sections",
	"--generate-missing-build-notes=",
	"--elf-stt-common=",
	"--hash-size",
	"--reduce-memory-overheads",
	"--divide",
	"--strip-local-absolute",
	"--gdwarf",
	"--gen-debug",
	"--size-check=",
	"--sectname-subst",
	"--gstabs",
	"--alternate",
};

void as_option_check(struct plan *p, const struct strv *args, size_t *at)
{
	const char *o = args->items[*at];
	const char *dir = after(o, "-I");
	if (dir) {
		if (!*dir && *at + 1 >= args->count)
			plan_real(p, "assembler option -I without a directory");
		else
			strv_add(&p->dirs, *dir ? dir : args->items[++*at]);
		return;
	}
	if (strcmp(o, "--defsym") == 0 || strcmp(o, "--debug-prefix-map") == 0) {
		if (*at + 1 < args->count)
			++*at;
		return;
	}
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (after(o, plain[i]))
			return;
	/* the value of --defsym in a -Wa of its own */
	if (*o && *o != '-' && strchr(o, '=') && !strchr(o, '/'))
		return;
	plan_real(p, "assembler option %s", o);
}

void as_plan(const struct call *call, struct plan *out)
{
	const char *output = "a.out";
	strv_copy(&out->args, call->argv);
	for (size_t at = 1; at < call->argv->count && !out->real; at++) {
		const char *arg = call->argv->items[at];
		if (after(arg, "-o")) {
			if (!arg[2] && at + 1 >= call->argv->count)
				plan_real(out, "-o without a file");
			else
				output = arg[2] ? arg + 2 : call->argv->items[++at];
		} else if (arg[0] == '-') {
			as_option_check(out, call->argv, &at);
		} else {
			plan_add_source(out, arg)->assembler = true;
			strv_add(&out->reads, arg);
		}
	}
	if (out->source_count == 0)
		plan_real(out, "the assembler reads standard input");
	plan_add_output(out, output, 0666);
}
