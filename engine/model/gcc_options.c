#include "engine/model/gcc_options.h"

#include <string.h>

enum match {
	EXACT,
	PREFIX,   /* the rest is part of the option */
	SEPARATE, /* the next argument is the value */
	JOINED,   /* the rest is the value */
	EITHER,   /* the rest, or if there is none the next argument */
};

struct rule {
	const char *name;
	enum match match;
	enum gcc_kind kind;
};

/* The first rule that matches decides: exceptions stand before their families. */
static const struct rule rules[] = {
	{ "-c", EXACT, GCC_COMPILE },
	{ "-S", EXACT, GCC_ASSEMBLY },
	{ "-o", EITHER, GCC_OUTPUT },
	{ "-x", EITHER, GCC_LANGUAGE },

	{ "-MD", EXACT, GCC_MD },
	{ "-MMD", EXACT, GCC_MMD },
	{ "-MP", EXACT, GCC_MP },
	{ "-MF", EITHER, GCC_MF },
	{ "-MT", EITHER, GCC_MT },
	{ "-MQ", EITHER, GCC_MQ },
	{ "-Wp,", JOINED, GCC_FOR_CPP },
	{ "-Xpreprocessor", SEPARATE, GCC_REAL },
	{ "-Wa,", JOINED, GCC_FOR_AS },
	{ "-Xassembler", SEPARATE, GCC_FOR_AS },
	{ "-Wl,", JOINED, GCC_LINKER },
	{ "-Xlinker", SEPARATE, GCC_LINKER },

	{ "-I-", EXACT, GCC_REAL },
	{ "-I=", PREFIX, GCC_REAL },
	{ "-I", EITHER, GCC_INCLUDE_DIR },
	{ "-iquote", EITHER, GCC_INCLUDE_DIR },
	{ "-isystem", EITHER, GCC_INCLUDE_DIR },
	{ "-idirafter", EITHER, GCC_INCLUDE_DIR },
	{ "-include", EITHER, GCC_INCLUDE_FILE },
	{ "-imacros", EITHER, GCC_MACRO_FILE },
	{ "-isysroot", EITHER, GCC_INCLUDE_DIR },
	{ "-D", EITHER, GCC_PLAIN },
	{ "-U", EITHER, GCC_PLAIN },
	{ "-A", EITHER, GCC_PLAIN },
	{ "--param", EITHER, GCC_PLAIN },

	{ "-l", EITHER, GCC_LIBRARY },
	{ "-L", EITHER, GCC_LINK_DIR },
	{ "-T", EITHER, GCC_LINK_SCRIPT },
	{ "-u", EITHER, GCC_LINK_OPTION },
	{ "-z", EITHER, GCC_LINK_OPTION },
	{ "-e", SEPARATE, GCC_LINK_OPTION },
	{ "-static", PREFIX, GCC_DRIVER_LINK },
	{ "-shared", PREFIX, GCC_DRIVER_LINK },
	{ "-symbolic", EXACT, GCC_DRIVER_LINK },
	{ "-pie", EXACT, GCC_DRIVER_LINK },
	{ "-no-pie", EXACT, GCC_DRIVER_LINK },
	{ "-rdynamic", EXACT, GCC_DRIVER_LINK },
	{ "-nostdlib", PREFIX, GCC_DRIVER_LINK },
	{ "-nostartfiles", EXACT, GCC_DRIVER_LINK },
	{ "-nodefaultlibs", EXACT, GCC_DRIVER_LINK },
	{ "-nolibc", EXACT, GCC_DRIVER_LINK },
	{ "-pthread", EXACT, GCC_DRIVER_LINK },
	{ "-pthreads", EXACT, GCC_DRIVER_LINK },
	{ "-r", EXACT, GCC_DRIVER_LINK },
	{ "-s", EXACT, GCC_DRIVER_LINK },
	{ "-p", EXACT, GCC_DRIVER_LINK },
	{ "-pg", EXACT, GCC_DRIVER_LINK },
	{ "-Ofast", EXACT, GCC_DRIVER_LINK },

	{ "-march=native", EXACT, GCC_NATIVE },
	{ "-mtune=native", EXACT, GCC_NATIVE },
	{ "-mcpu=native", EXACT, GCC_NATIVE },
	{ "-mllvm", PREFIX, GCC_REAL },
	{ "-mdump", PREFIX, GCC_REAL },
	{ "-m", PREFIX, GCC_DRIVER_LINK },

	{ "-fplugin", PREFIX, GCC_REAL },
	{ "-fdump", PREFIX, GCC_REAL },
	{ "-fprofile-use", PREFIX, GCC_REAL },
	{ "-fbranch-probabilities", PREFIX, GCC_REAL },
	{ "-fauto-profile", PREFIX, GCC_REAL },
	{ "-ftest-coverage", EXACT, GCC_REAL },
	{ "-fcallgraph-info", PREFIX, GCC_REAL },
	{ "-fstack-usage", EXACT, GCC_REAL },
	{ "-fopt-info", PREFIX, GCC_REAL },
	{ "-fmodule", PREFIX, GCC_REAL },
	{ "-foffload", PREFIX, GCC_REAL },
	{ "-fwpa", PREFIX, GCC_REAL },
	{ "-fltrans", PREFIX, GCC_REAL },
	{ "-fresolution", PREFIX, GCC_REAL },
	{ "-fpch", PREFIX, GCC_REAL },
	{ "-fself-test", PREFIX, GCC_REAL },
	{ "-fsyntax-only", EXACT, GCC_REAL },
	{ "-fcompare-debug", PREFIX, GCC_REAL },
	{ "-fverbose-asm", EXACT, GCC_REAL },
	{ "-fsave-optimization-record", EXACT, GCC_REAL },
	{ "-frandomize-layout-seed-file", PREFIX, GCC_REAL },
	{ "-fsanitize-blacklist", PREFIX, GCC_REAL },
	{ "-fsanitize-ignorelist", PREFIX, GCC_REAL },
	{ "-fdiagnostics-generate-patch", EXACT, GCC_REAL },
	{ "-fdiagnostics-format", PREFIX, GCC_REAL },
	{ "-fuse-ld=", PREFIX, GCC_DRIVER_LINK },
	{ "-flto", PREFIX, GCC_DRIVER_LINK },
	{ "-fno-lto", EXACT, GCC_DRIVER_LINK },
	{ "-fsanitize", PREFIX, GCC_DRIVER_LINK },
	{ "-fno-sanitize", PREFIX, GCC_DRIVER_LINK },
	{ "-fopenmp", PREFIX, GCC_DRIVER_LINK },
	{ "-fopenacc", EXACT, GCC_DRIVER_LINK },
	{ "-fgnu-tm", EXACT, GCC_DRIVER_LINK },
	{ "-ftree-parallelize-loops", PREFIX, GCC_DRIVER_LINK },
	{ "-fprofile", PREFIX, GCC_DRIVER_LINK },
	{ "-fsplit-stack", EXACT, GCC_DRIVER_LINK },
	{ "-fvtable-verify", PREFIX, GCC_DRIVER_LINK },
	{ "-fuse-linker-plugin", EXACT, GCC_DRIVER_LINK },
	{ "-fno-use-linker-plugin", EXACT, GCC_DRIVER_LINK },
	{ "-ffast-math", EXACT, GCC_DRIVER_LINK },
	{ "-funsafe-math-optimizations", EXACT, GCC_DRIVER_LINK },
	{ "-f", PREFIX, GCC_PLAIN },

	{ "-gsplit-dwarf", EXACT, GCC_REAL },
	{ "-g", PREFIX, GCC_PLAIN },
	{ "-O", PREFIX, GCC_PLAIN },
	{ "-W", PREFIX, GCC_PLAIN },
	{ "-w", EXACT, GCC_PLAIN },
	{ "-std=", PREFIX, GCC_PLAIN },
	{ "--std=", PREFIX, GCC_PLAIN },
	{ "-ansi", EXACT, GCC_PLAIN },
	{ "-pedantic", PREFIX, GCC_PLAIN },
	{ "-nostdinc", PREFIX, GCC_PLAIN },
	{ "-undef", EXACT, GCC_PLAIN },
	{ "-trigraphs", EXACT, GCC_PLAIN },
	{ "-traditional", PREFIX, GCC_PLAIN },
	{ "-no-canonical-prefixes", EXACT, GCC_PLAIN },
	{ "-no-integrated-cpp", EXACT, GCC_PLAIN },
	{ "-pipe", EXACT, GCC_PLAIN },
};

static bool matches(const struct rule *rule, const char *arg)
{
	if (rule->match == EXACT || rule->match == SEPARATE)
		return strcmp(arg, rule->name) == 0;
	return after(arg, rule->name) != NULL;
}

static void take_value(const struct rule *rule, const struct strv *argv, size_t *at,
                       struct gcc_option *o)
{
	const char *rest = o->arg + strlen(rule->name);
	if (rule->match == JOINED || (rule->match == EITHER && *rest)) {
		o->value = rest;
		return;
	}
	if (rule->match == PREFIX || rule->match == EXACT)
		return;
	if (*at >= argv->count) {
		o->kind = GCC_REAL;
		return;
	}
	o->value = argv->items[(*at)++];
	o->separate = true;
}

struct gcc_option gcc_next(const struct strv *argv, size_t *at)
{
	struct gcc_option o = { .kind = GCC_REAL, .arg = argv->items[(*at)++] };
	if (o.arg[0] != '-') {
		o.kind = GCC_INPUT;
		return o;
	}
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (!matches(&rules[i], o.arg))
			continue;
		o.kind = rules[i].kind;
		take_value(&rules[i], argv, at, &o);
		return o;
	}
	return o;
}
