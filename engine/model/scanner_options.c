#include "engine/model/scanner_options.h"

#include <string.h>

#include "engine/model/gcc_options.h"

void scanner_options_release(struct scanner_options *o)
{
	strv_release(&o->flags);
	buf_release(&o->macros);
	strv_release(&o->includes);
	strv_release(&o->macro_files);
	strv_release(&o->quote);
	strv_release(&o->bracket);
	strv_release(&o->system);
	strv_release(&o->after_all);
}

/* Options that change how text is read, in ways the scanner has no rules for. */
static const char *const refused[] = {
	"-fpreprocessed",
	"-fdirectives-only",
	"-finput-charset",
	"-fexec-charset",
	"-fwide-exec-charset",
	"-fno-operator-names",
	"-fmax-include-depth",
	"-fdebug-cpp",
	"-fno-extended-identifiers",
	"-traditional",
	"-fsearch-include-path",
	"-no-integrated-cpp",
	"-fdeps",
	"-A",
};

/* Options that no predefined macro hangs on: without them more compiles share one answer. */
static bool is_indifferent(const char *arg)
{
	static const char *const prefixes[] = { "-W",
		                                "-g",
		                                "-pedantic",
		                                "-ffile-prefix-map",
		                                "-fmacro-prefix-map",
		                                "-fdebug-prefix-map",
		                                "-fdiagnostics",
		                                "-frandom-seed" };
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (after(arg, prefixes[i]))
			return true;
	return strcmp(arg, "-w") == 0 || strcmp(arg, "-pipe") == 0;
}

static int refuse(const char *arg, struct error *err)
{
	return error_set(err, -ENODATA, "option %s", arg);
}

/* -D and -U as libcpp makes directives of them. */
static int add_macro(struct scanner_options *o, char kind, const char *value, struct error *err)
{
	/* these could go on over the line, or into the next */
	if (strpbrk(value, "\n\r\\") || strstr(value, "/*") || strstr(value, "??"))
		return refuse(value, err);
	const char *equals = strchr(value, '=');
	if (kind == 'U')
		buf_add_format(&o->macros, "#undef %s\n", value);
	else if (equals)
		buf_add_format(&o->macros, "#define %.*s %s\n", (int)(equals - value), value,
		               equals + 1);
	else
		buf_add_format(&o->macros, "#define %s 1\n", value);
	return 0;
}

static int add_cpp_options(struct scanner_options *o, const char *list, struct error *err)
{
	int r = 0;
	while (*list && r == 0) {
		size_t len = strcspn(list, ",");
		scoped_free char *arg = xstrndup(list, len);
		list += len + (list[len] == ',');
		r = after(arg, "-D") || after(arg, "-U") ? add_macro(o, arg[1], arg + 2, err)
		                                         : refuse(arg, err);
	}
	return r;
}

static int add_directory(struct scanner_options *o, const struct gcc_option *g, struct error *err)
{
	struct strv *list = after(g->arg, "-iquote")      ? &o->quote
	                    : after(g->arg, "-isystem")   ? &o->system
	                    : after(g->arg, "-idirafter") ? &o->after_all
	                    : after(g->arg, "-I")         ? &o->bracket
	                                                  : NULL;
	/* = and $SYSROOT stand for a directory of the compiler's */
	if (!list || !g->value[0] || g->value[0] == '=' || g->value[0] == '$')
		return refuse(g->arg, err);
	strv_add(list, g->value);
	return 0;
}

static int add_flag(struct scanner_options *o, const struct gcc_option *g, struct error *err)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (after(g->arg, refused[i]))
			return refuse(g->arg, err);
	if (strcmp(g->arg, "-fno-canonical-system-headers") == 0)
		o->no_canonical = true;
	if (strcmp(g->arg, "-fcanonical-system-headers") == 0)
		o->no_canonical = false;
	if (strcmp(g->arg, "-nostdinc") == 0)
		o->no_standard = true;
	if (is_indifferent(g->arg))
		return 0;
	strv_add(&o->flags, g->arg);
	if (g->separate)
		strv_add(&o->flags, g->value);
	return 0;
}

static int add_option(struct scanner_options *o, const struct gcc_option *g, struct error *err)
{
	switch (g->kind) {
	case GCC_REAL:
	case GCC_INPUT:
		return refuse(g->arg, err);
	case GCC_INCLUDE_DIR:
		return add_directory(o, g, err);
	case GCC_INCLUDE_FILE:
		strv_add(&o->includes, g->value);
		return 0;
	case GCC_MACRO_FILE:
		strv_add(&o->macro_files, g->value);
		return 0;
	default:
		if (g->value && (after(g->arg, "-D") || after(g->arg, "-U")))
			return add_macro(o, g->arg[1], g->value, err);
		return add_flag(o, g, err);
	}
}

/* Directories of the environment; an empty one is the current. */
static void add_environment(const struct strv *env, const char *name, struct strv *list)
{
	const char *value = env_get(env, name);
	while (value && *value) {
		size_t len = strcspn(value, ":");
		strv_add_take(list, len ? xstrndup(value, len) : xstrdup("."));
		if (value[len] == ':' && !value[len + 1])
			strv_add(list, ".");
		value += len + (value[len] == ':');
	}
}

int scanner_options_read(const struct strv *discover, const struct strv *env, bool cxx,
                         struct scanner_options *out, struct error *err)
{
	int r = 0;
	for (size_t at = 0; r == 0 && at < discover->count;) {
		struct gcc_option g = gcc_next(discover, &at);
		if (g.kind != GCC_FOR_CPP)
			r = add_option(out, &g, err);
	}
	/* the driver puts these behind all others */
	for (size_t at = 0; r == 0 && at < discover->count;) {
		struct gcc_option g = gcc_next(discover, &at);
		if (g.kind == GCC_FOR_CPP)
			r = add_cpp_options(out, g.value, err);
	}
	add_environment(env, "CPATH", &out->bracket);
	add_environment(env, cxx ? "CPLUS_INCLUDE_PATH" : "C_INCLUDE_PATH", &out->system);
	return r;
}
