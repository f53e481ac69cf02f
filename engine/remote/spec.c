#include <string.h>

#include "engine/remote/remote.h"

static const char *const known[] = { "local", "lambda", "http" };

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

/* A decimal number from 1 on, nothing behind it. */
static bool parse_jobs(const char *text, unsigned *out)
{
	unsigned n = 0;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || n > REMOTE_JOBS_MAX)
			return false;
		n = 10 * n + (unsigned)(*c - '0');
	}
	*out = n;
	return n >= 1 && n <= REMOTE_JOBS_MAX;
}

static int parse_one(char *item, struct engine_spec *out, struct error *err)
{
	char *jobs = strchr(item, '=');
	*out = (struct engine_spec){ 0 };
	if (jobs)
		*jobs++ = '\0';
	if (!is_known(item))
		return error_set(err, -EINVAL,
		                 "\"%s\" is no engine; there are local, lambda and http", item);
	snprintf(out->name, sizeof(out->name), "%s", item);
	if (jobs && !parse_jobs(jobs, &out->jobs))
		return error_set(err, -EINVAL,
		                 "%s=%s: how many jobs at once is a number from 1 to %d", item,
		                 jobs, REMOTE_JOBS_MAX);
	return 0;
}

int engine_spec_parse(const char *text, struct engine_spec out[ENGINE_SPECS_MAX], struct error *err)
{
	struct engine_spec found[ENGINE_SPECS_MAX];
	scoped_free char *copy = xstrdup(text);
	char *rest = copy;
	int count = 0;
	for (char *item; (item = strsep(&rest, ","));) {
		if (count == ENGINE_SPECS_MAX)
			return error_set(err, -EINVAL, "more than %d engines", ENGINE_SPECS_MAX);
		int r = parse_one(item, &found[count], err);
		if (r < 0)
			return r;
		for (int i = 0; i < count; i++)
			if (strcmp(found[i].name, found[count].name) == 0)
				return error_set(err, -EINVAL, "the engine %s is named twice",
				                 found[i].name);
		count++;
	}
	memcpy(out, found, (size_t)count * sizeof(*out));
	return count;
}

bool engine_list_names(const char *list, const char *name)
{
	size_t len = strlen(name);
	if (!list)
		return true;
	for (;;) {
		size_t item = strcspn(list, ",");
		if (item == len && memcmp(list, name, len) == 0)
			return true;
		if (!list[item])
			return false;
		list += item + 1;
	}
}
