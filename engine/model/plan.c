#include "engine/model/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void source_release(struct plan_source *s)
{
	free(s->path);
	free(s->depfile.path);
	strv_release(&s->depfile.targets);
}

void model_plan_release(struct plan *p)
{
	free(p->reason);
	free(p->linker);
	strv_release(&p->args);
	strv_release(&p->reads);
	strv_release(&p->reads_if_there);
	strv_release(&p->dirs);
	strv_release(&p->discover);
	strv_release(&p->discover_sources);
	strv_release(&p->search_dirs);
	strv_release(&p->ld_args);
	strv_release(&p->driver_flags);
	for (size_t i = 0; i < p->output_count; i++)
		free(p->outputs[i].path);
	free(p->outputs);
	for (size_t i = 0; i < p->source_count; i++)
		source_release(&p->sources[i]);
	free(p->sources);
	*p = PLAN_INIT;
}

void plan_real(struct plan *p, const char *format, ...)
{
	if (p->real)
		return;
	p->real = true;
	va_list args;
	va_start(args, format);
	if (vasprintf(&p->reason, format, args) < 0)
		abort();
	va_end(args);
}

struct plan_output *plan_add_output(struct plan *p, const char *path, mode_t mode)
{
	array_grow(p->outputs, p->output_count, p->output_capacity);
	struct plan_output *o = &p->outputs[p->output_count++];
	*o = (struct plan_output){ .path = xstrdup(path), .mode = mode };
	return o;
}

struct plan_source *plan_add_source(struct plan *p, const char *path)
{
	array_grow(p->sources, p->source_count, p->source_capacity);
	struct plan_source *s = &p->sources[p->source_count++];
	*s = (struct plan_source){ .path = xstrdup(path) };
	return s;
}

const char *env_get(const struct strv *env, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
			return env->items[i] + len + 1;
	return NULL;
}

const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);
	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *path_dir_prefix(const char *path)
{
	return xstrndup(path, (size_t)(path_base(path) - path));
}
