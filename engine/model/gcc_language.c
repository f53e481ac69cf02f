/* Which language the driver takes a file for. */
#include <string.h>

#include "engine/model/gcc_options.h"

static const struct {
	const char *suffix;
	enum gcc_language language;
} suffixes[] = {
	{ "c", LANGUAGE_C },        { "i", LANGUAGE_C_PLAIN }, { "ii", LANGUAGE_CXX_PLAIN },
	{ "cc", LANGUAGE_CXX },     { "cp", LANGUAGE_CXX },    { "cxx", LANGUAGE_CXX },
	{ "cpp", LANGUAGE_CXX },    { "CPP", LANGUAGE_CXX },   { "c++", LANGUAGE_CXX },
	{ "C", LANGUAGE_CXX },      { "s", LANGUAGE_ASM },     { "S", LANGUAGE_ASM_CPP },
	{ "sx", LANGUAGE_ASM_CPP },
};

/* Not modelled: headers (they would be precompiled) and the driver's other languages. */
static const char *const other_suffixes[] = {
	"h",   "H",   "hh",  "hp",  "hxx", "hpp", "HPP", "h++", "tcc",  "m",
	"mi",  "mm",  "M",   "mii", "f",   "for", "ftn", "F",   "FOR",  "fpp",
	"FPP", "FTN", "f90", "f95", "f03", "f08", "F90", "F95", "F03",  "F08",
	"ads", "adb", "d",   "dd",  "di",  "go",  "mod", "def", "java", "rs",
};

static const struct {
	const char *name;
	enum gcc_language language;
} names[] = {
	{ "c", LANGUAGE_C },
	{ "c++", LANGUAGE_CXX },
	{ "cpp-output", LANGUAGE_C_PLAIN },
	{ "c++-cpp-output", LANGUAGE_CXX_PLAIN },
	{ "assembler", LANGUAGE_ASM },
	{ "assembler-with-cpp", LANGUAGE_ASM_CPP },
};

static enum gcc_language by_name(const char *x)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(x, names[i].name) == 0)
			return names[i].language;
	return LANGUAGE_OTHER;
}

enum gcc_language gcc_language(const char *path, const char *x, bool cxx_driver)
{
	if (x)
		return by_name(x);
	const char *dot = strrchr(path_base(path), '.');
	if (!dot)
		return LANGUAGE_NONE;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(dot + 1, suffixes[i].suffix) != 0)
			continue;
		enum gcc_language l = suffixes[i].language;
		if (cxx_driver && l == LANGUAGE_C)
			return LANGUAGE_CXX;
		return cxx_driver && l == LANGUAGE_C_PLAIN ? LANGUAGE_CXX_PLAIN : l;
	}
	for (size_t i = 0; i < sizeof(other_suffixes) / sizeof(other_suffixes[0]); i++)
		if (strcmp(dot + 1, other_suffixes[i]) == 0)
			return LANGUAGE_OTHER;
	return LANGUAGE_NONE;
}

bool gcc_is_preprocessed(enum gcc_language l)
{
	return l == LANGUAGE_C || l == LANGUAGE_CXX || l == LANGUAGE_ASM_CPP;
}
