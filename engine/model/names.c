/* Program names: which have a model. */
#include <ctype.h>
#include <string.h>

#include "engine/model/infer.h"
#include "engine/model/plan.h"

static const struct {
	const char *name;
	model_fn *plan;
	bool decorated; /* also with a target before and a version behind it */
} models[] = {
	{ "gcc", gcc_plan, true },
	{ "g++", gcc_plan, true },
	{ "cc", gcc_plan, true },
	{ "c++", gcc_plan, true },
	{ "as", as_plan, true },
	{ "ld", ld_plan, true },
	{ "ld.bfd", ld_plan, true },
	{ "ar", ar_plan, true },
	{ "ranlib", ranlib_plan, true },
	{ "strip", strip_plan, true },
	{ "objcopy", objcopy_plan, true },
	{ "cp", cp_plan, false },
	{ "install", install_plan, false },
};

/* "-12", "-4.8": what may follow the plain name. */
static bool is_version(const char *text)
{
	if (!*text)
		return true;
	if (*text++ != '-' || !isdigit((unsigned char)*text))
		return false;
	return text[strspn(text, "0123456789.")] == '\0';
}

/* "x86_64-linux-gnu-", "arm-none-eabi-": at least two parts, none of them a tool ("gcc-ar" is
 * a program of its own). */
static bool is_target(const char *text, size_t len)
{
	if (len == 0)
		return true;
	size_t parts = 0, start = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '-')
			continue;
		if (i == start || (i - start == 3 && strncmp(text + start, "gcc", 3) == 0))
			return false;
		parts++;
		start = i + 1;
	}
	return start == len && parts >= 2;
}

static bool name_matches(const char *name, const char *plain, bool decorated)
{
	if (strcmp(name, plain) == 0)
		return true;
	size_t len = strlen(plain);
	for (const char *at = strstr(name, plain); decorated && at; at = strstr(at + 1, plain))
		if (is_target(name, (size_t)(at - name)) && is_version(at + len))
			return true;
	return false;
}

model_fn *model_find(const char *program_name, const char **base)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (!name_matches(program_name, models[i].name, models[i].decorated))
			continue;
		if (base)
			*base = models[i].name;
		return models[i].plan;
	}
	return NULL;
}

bool model_known(const char *program_name)
{
	return model_find(program_name, NULL) != NULL;
}
