/*
 * gcc, g++, cc, c++: compiling, assembling, linking through the driver.
 *
 * The function's arguments are the caller's, response files expanded, without the options
 * that only ask for dependency files: those are written when the call is inferred, and nothing
 * of them is to be found in an object.
 */
#include <string.h>

#include "engine/model/depfile.h"
#include "engine/model/gcc_options.h"

struct input {
	const char *path;
	enum gcc_language language;
};

struct gcc {
	const struct call *call;
	struct plan *p;
	bool cxx_driver;
	bool compile_only, to_assembly;
	const char *output;
	const char *x; /* the -x in force */
	struct input *inputs;
	size_t input_count, input_capacity;
	bool sources, objects;
	bool relocatable;
	/* dependency files */
	bool md, mmd, mp;
	bool by_cpp; /* asked for by -Wp: the driver then names no target */
	char *depfile;
	struct strv plain_targets, quoted_targets; /* -MT, -MQ */
	bool options_kept; /* debug information and the like record the options */
};

static void gcc_release(struct gcc *g)
{
	free(g->inputs);
	free(g->depfile);
	strv_release(&g->plain_targets);
	strv_release(&g->quoted_targets);
}

static void add_input(struct gcc *g, const char *path)
{
	enum gcc_language l = gcc_language(path, g->x, g->cxx_driver);
	array_grow(g->inputs, g->input_count, g->input_capacity);
	g->inputs[g->input_count++] = (struct input){ path, l };
	if (l == LANGUAGE_OTHER)
		plan_real(g->p, "%s: not C, C++ or assembler", path);
	if (l == LANGUAGE_NONE) {
		g->objects = true;
		strv_add(&g->p->ld_args, path);
		return;
	}
	g->sources = true;
	if (gcc_is_preprocessed(l))
		strv_add(&g->p->discover_sources, path);
}

static void split(const char *list, struct strv *out)
{
	for (;;) {
		size_t len = strcspn(list, ",");
		strv_add_take(out, xstrndup(list, len));
		if (!list[len])
			return;
		list += len + 1;
	}
}

static void set_depfile(struct gcc *g, const char *path)
{
	if (g->depfile)
		plan_real(g->p, "two dependency files");
	free(g->depfile);
	g->depfile = xstrdup(path);
}

/* -Wp,-MD,file and its like go to the preprocessor past the driver. What is not about
 * dependency files is kept. */
static void cpp_options(struct gcc *g, const char *list)
{
	scoped_strv struct strv o = STRV_INIT;
	scoped_buf struct buf kept = BUF_INIT;
	split(list, &o);
	for (size_t i = 0; i < o.count; i++) {
		const char *arg = o.items[i];
		bool user = strcmp(arg, "-MMD") == 0;
		if ((user || strcmp(arg, "-MD") == 0) && i + 1 < o.count) {
			if (g->md || g->mmd)
				plan_real(g->p, "two kinds of dependency file");
			g->by_cpp = true;
			*(user ? &g->mmd : &g->md) = true;
			set_depfile(g, o.items[++i]);
		} else if (strcmp(arg, "-MP") == 0) {
			g->mp = true;
		} else if (strcmp(arg, "-MT") == 0 && i + 1 < o.count) {
			strv_add(&g->plain_targets, o.items[++i]);
		} else if (strcmp(arg, "-MQ") == 0 && i + 1 < o.count) {
			strv_add(&g->quoted_targets, o.items[++i]);
		} else if ((after(arg, "-D") || after(arg, "-U")) && arg[2]) {
			buf_add_format(&kept, ",%s", arg);
		} else {
			plan_real(g->p, "preprocessor option %s", arg);
		}
	}
	if (kept.len) {
		strv_add_format(&g->p->args, "-Wp%s", kept.data);
		strv_add_format(&g->p->discover, "-Wp%s", kept.data);
	}
}

static void assembler_options(struct gcc *g, const char *list)
{
	scoped_strv struct strv o = STRV_INIT;
	split(list, &o);
	for (size_t i = 0; i < o.count; i++)
		as_option_check(g->p, &o, &i);
}

static void dependency_option(struct gcc *g, const struct gcc_option *o)
{
	switch (o->kind) {
	case GCC_MD:
		g->md = true;
		break;
	case GCC_MMD:
		g->mmd = true;
		break;
	case GCC_MP:
		g->mp = true;
		break;
	case GCC_MF:
		set_depfile(g, o->value);
		break;
	case GCC_MT:
		strv_add(&g->plain_targets, o->value);
		break;
	default:
		strv_add(&g->quoted_targets, o->value);
		break;
	}
}

static void add_words(struct strv *to, const struct gcc_option *o)
{
	strv_add(to, o->arg);
	if (o->separate)
		strv_add(to, o->value);
}

static void linker_option(struct gcc *g, const struct gcc_option *o)
{
	struct plan *p = g->p;
	switch (o->kind) {
	case GCC_LINKER:
		split(o->value, &p->ld_args);
		break;
	case GCC_LIBRARY:
		strv_add_format(&p->ld_args, "-l%s", o->value);
		break;
	case GCC_LINK_DIR:
		strv_add(&p->search_dirs, o->value);
		break;
	case GCC_LINK_SCRIPT:
		/* -Ttext and the like are flags; joined -T takes all that follows */
		strv_add_format(&p->ld_args, "-T%s", o->value);
		break;
	default:
		add_words(&p->ld_args, o);
		break;
	}
}

/* Options that the compile heeds, or might: given to discovery as well. */
static void compiler_option(struct gcc *g, const struct gcc_option *o)
{
	struct plan *p = g->p;
	add_words(&p->discover, o);
	switch (o->kind) {
	case GCC_INCLUDE_DIR:
		strv_add(&p->dirs, o->value);
		break;
	case GCC_MACRO_FILE:
		p->macro_files = true;
		break;
	case GCC_NATIVE:
		p->native = true;
		break;
	case GCC_DRIVER_LINK:
		strv_add(&p->driver_flags, o->arg);
		break;
	default:
		break;
	}
	if ((after(o->arg, "-g") && strcmp(o->arg, "-g0") != 0) || after(o->arg, "-flto") ||
	    strcmp(o->arg, "-frecord-gcc-switches") == 0)
		g->options_kept = true;
	if (strcmp(o->arg, "-r") == 0)
		g->relocatable = true;
	const char *linker = after(o->arg, "-fuse-ld=");
	if (linker) {
		free(p->linker);
		p->linker = xformat("ld.%s", linker);
	}
}

static void take_option(struct gcc *g, const struct gcc_option *o)
{
	struct plan *p = g->p;
	switch (o->kind) {
	case GCC_REAL:
		plan_real(p, "option %s", o->arg);
		return;
	case GCC_INPUT:
		add_input(g, o->arg);
		break;
	case GCC_COMPILE:
		g->compile_only = true;
		break;
	case GCC_ASSEMBLY:
		g->compile_only = g->to_assembly = true;
		break;
	case GCC_OUTPUT:
		if (g->output)
			plan_real(p, "two outputs");
		g->output = o->value;
		break;
	case GCC_LANGUAGE:
		g->x = strcmp(o->value, "none") == 0 ? NULL : o->value;
		add_words(&p->discover_sources, o);
		break;
	case GCC_FOR_CPP:
		cpp_options(g, o->value);
		return;
	case GCC_FOR_AS:
		assembler_options(g, o->value);
		break;
	case GCC_LINKER:
	case GCC_LINK_OPTION:
	case GCC_LINK_DIR:
	case GCC_LIBRARY:
	case GCC_LINK_SCRIPT:
		linker_option(g, o);
		break;
	case GCC_MD:
	case GCC_MMD:
	case GCC_MP:
	case GCC_MF:
	case GCC_MT:
	case GCC_MQ:
		dependency_option(g, o);
		return;
	default:
		compiler_option(g, o);
		break;
	}
	add_words(&p->args, o);
}

/* What the driver makes of a source's name when no output is given: base and new suffix. */
static char *default_output(const char *source, const char *suffix)
{
	const char *base = path_base(source);
	const char *dot = strrchr(base, '.');
	size_t len = dot ? (size_t)(dot - base) : strlen(base);
	return xformat("%.*s%s", (int)len, base, suffix);
}

static char *replace_suffix(const char *path, const char *suffix)
{
	const char *base = path_base(path);
	const char *dot = strrchr(base, '.');
	size_t len = dot ? (size_t)(dot - path) : strlen(path);
	return xformat("%.*s%s", (int)len, path, suffix);
}

static void set_targets(struct gcc *g, const char *source, struct plan_depfile *d)
{
	for (size_t i = 0; i < g->plain_targets.count; i++)
		strv_add(&d->targets, depfile_name(g->plain_targets.items[i]));
	struct strv *quoted = &g->quoted_targets;
	scoped_free char *fallback = NULL;
	scoped_strv struct strv one = STRV_INIT;
	if (quoted->count == 0 && g->plain_targets.count == 0) {
		bool named = g->output && !g->by_cpp;
		fallback = named ? xstrdup(g->output) : default_output(source, ".o");
		strv_add(&one, fallback);
		quoted = &one;
	}
	for (size_t i = 0; i < quoted->count; i++) {
		scoped_buf struct buf b = BUF_INIT;
		depfile_quote(depfile_name(quoted->items[i]), &b);
		strv_add(&d->targets, b.data ? b.data : "");
	}
}

static void plan_depfile(struct gcc *g, struct plan_source *s)
{
	if (!g->md && !g->mmd)
		return;
	s->has_depfile = true;
	struct plan_depfile *d = &s->depfile;
	d->user_only = g->mmd;
	d->phony = g->mp;
	if (g->depfile)
		d->path = xstrdup(g->depfile);
	else
		d->path =
		        g->output ? replace_suffix(g->output, ".d") : default_output(s->path, ".d");
	set_targets(g, s->path, d);
	g->p->discover_text = g->p->discover_text || g->mmd;
}

static void plan_source(struct gcc *g, const struct input *in)
{
	struct plan *p = g->p;
	struct plan_source *s = plan_add_source(p, in->path);
	s->language = in->language;
	s->preprocessed_by_cpp = gcc_is_preprocessed(in->language);
	s->assembler = in->language == LANGUAGE_ASM || in->language == LANGUAGE_ASM_CPP;
	bool cxx = in->language == LANGUAGE_CXX || in->language == LANGUAGE_CXX_PLAIN;
	if (in->language != LANGUAGE_ASM)
		p->tools |= cxx ? TOOLS_CXX : TOOLS_C;
	if (s->assembler && g->to_assembly)
		plan_real(p, "-S of assembler");
	if (!g->to_assembly)
		p->tools |= TOOLS_ASSEMBLE;
	if (s->preprocessed_by_cpp)
		plan_depfile(g, s);
	strv_add(&p->reads, in->path);
	if (g->compile_only) {
		scoped_free char *name = default_output(in->path, g->to_assembly ? ".s" : ".o");
		plan_add_output(p, g->output ? g->output : name, 0666);
	}
}

static void check_linker_part(struct plan *p)
{
	for (size_t at = 0; at < p->ld_args.count;) {
		struct ld_arg a = ld_next(&p->ld_args, &at);
		if (a.kind == LD_REFUSED)
			plan_real(p, "linker option %s", a.text);
		else if (a.kind == LD_OUTPUT)
			plan_real(p, "an output named to the linker");
		else if (a.kind == LD_MAP)
			plan_add_output(p, a.text, 0666);
	}
}

static void plan_link(struct gcc *g)
{
	struct plan *p = g->p;
	p->link = true;
	p->tools |= TOOLS_LINK;
	if (!p->linker)
		p->linker = xstrdup("ld");
	plan_add_output(p, g->output ? g->output : "a.out", g->relocatable ? 0666 : 0777);
	check_linker_part(p);
	const char *libraries = env_get(g->call->env, "LD_LIBRARY_PATH");
	if (libraries && *libraries)
		plan_real(p, "the linker would heed LD_LIBRARY_PATH");
	if ((g->md || g->mmd) && !g->depfile)
		plan_real(p, "a dependency file named by the driver while linking");
}

static void check_together(struct gcc *g)
{
	struct plan *p = g->p;
	if (g->input_count == 0)
		plan_real(p, "no input files");
	if (g->compile_only && g->objects)
		plan_real(p, "objects that a compile does not use");
	if (g->compile_only && g->output && g->input_count > 1)
		plan_real(p, "one output for several sources");
	if (g->depfile && !g->md && !g->mmd)
		plan_real(p, "-MF without -MD");
	if (g->md && g->mmd)
		plan_real(p, "-MD and -MMD");
	if (g->depfile && g->input_count > 1 && g->sources)
		for (size_t i = 0, n = 0; i < g->input_count; i++)
			if (gcc_is_preprocessed(g->inputs[i].language) && ++n > 1)
				plan_real(p, "one dependency file for several sources");
	/* what the driver makes of native it also puts elsewhere in the list of options kept there
	 */
	if (p->native && g->options_kept)
		plan_real(p, "-march=native with options recorded in the object");
}

static void check_environment(struct gcc *g)
{
	static const char *const refused[] = {
		"GCC_EXEC_PREFIX",      "COMPILER_PATH",     "DEPENDENCIES_OUTPUT",
		"SUNPRO_DEPENDENCIES",  "GCC_COMPARE_DEBUG", "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
		"CCC_OVERRIDE_OPTIONS",
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (env_get(g->call->env, refused[i]))
			plan_real(g->p, "%s is set", refused[i]);
}

/* Directories that the environment adds to the header search; an empty one is the current. */
static void include_environment(struct gcc *g)
{
	static const char *const names[] = { "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
		                             "OBJC_INCLUDE_PATH" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *list = env_get(g->call->env, names[i]);
		while (list && *list) {
			size_t len = strcspn(list, ":");
			strv_add_take(&g->p->dirs, len ? xstrndup(list, len) : xstrdup("."));
			list += len + (list[len] == ':');
		}
	}
}

static bool is_cxx_name(const char *program)
{
	const char *base = NULL;
	return model_find(path_base(program), &base) == gcc_plan && base && strchr(base, '+');
}

void gcc_plan(const struct call *call, struct plan *out)
{
	struct gcc g = { .call = call, .p = out, .cxx_driver = is_cxx_name(call->tool) };
	strv_add(&out->args, call->argv->items[0]);
	check_environment(&g);
	for (size_t at = 1; at < call->argv->count && !out->real;) {
		struct gcc_option o = gcc_next(call->argv, &at);
		take_option(&g, &o);
	}
	check_together(&g);
	for (size_t i = 0; i < g.input_count && !out->real; i++)
		if (g.inputs[i].language != LANGUAGE_NONE)
			plan_source(&g, &g.inputs[i]);
	if (!g.compile_only && !out->real)
		plan_link(&g);
	if (g.sources)
		include_environment(&g);
	gcc_release(&g);
}
