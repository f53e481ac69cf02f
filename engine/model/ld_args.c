/* The linker's options: which take a value, which name files. */
#include <string.h>

#include "engine/model/plan.h"

/* Options whose value is joined by '=' or is the next argument; one or two dashes. */
static const struct {
	const char *name;
	enum ld_kind kind;
} valued[] = {
	{ "script", LD_SCRIPT },
	{ "default-script", LD_SCRIPT },
	{ "dT", LD_SCRIPT },
	{ "version-script", LD_TEXT },
	{ "dynamic-list", LD_TEXT },
	{ "retain-symbols-file", LD_TEXT },
	{ "export-dynamic-symbol-list", LD_TEXT },
	{ "just-symbols", LD_FILE },
	{ "plugin", LD_TEXT },
	{ "library", LD_LIBRARY },
	{ "library-path", LD_SEARCH_DIR },
	{ "rpath", LD_RPATH },
	{ "rpath-link", LD_RPATH_LINK },
	{ "output", LD_OUTPUT },
	{ "Map", LD_MAP },
	{ "entry", LD_FLAG },
	{ "undefined", LD_FLAG },
	{ "require-defined", LD_FLAG },
	{ "soname", LD_FLAG },
	{ "dynamic-linker", LD_FLAG },
	{ "defsym", LD_FLAG },
	{ "wrap", LD_FLAG },
	{ "section-start", LD_FLAG },
	{ "Ttext", LD_FLAG },
	{ "Tdata", LD_FLAG },
	{ "Tbss", LD_FLAG },
	{ "Ttext-segment", LD_FLAG },
	{ "Trodata-segment", LD_FLAG },
	{ "Tldata-segment", LD_FLAG },
	{ "init", LD_FLAG },
	{ "fini", LD_FLAG },
	{ "plugin-opt", LD_FLAG },
	{ "format", LD_FLAG },
	{ "oformat", LD_FLAG },
	{ "exclude-libs", LD_FLAG },
	{ "exclude-modules-for-implib", LD_FLAG },
	{ "architecture", LD_FLAG },
	{ "auxiliary", LD_FLAG },
	{ "filter", LD_FLAG },
	{ "assert", LD_FLAG },
	{ "hash-size", LD_FLAG },
	{ "export-dynamic-symbol", LD_FLAG },
	{ "ctf-share-types", LD_FLAG },
	{ "spare-dynamic-tags", LD_FLAG },
	{ "orphan-handling", LD_FLAG },
	{ "sort-section", LD_FLAG },
	{ "compress-debug-sections", LD_FLAG },
	{ "unresolved-symbols", LD_FLAG },
	{ "hash-style", LD_FLAG },
};

/* Options whose value, if there is one, is joined by '='. */
static const char *const joined[] = {
	"build-id",
	"sort-common",
	"pack-dyn-relocs",
	"max-page-size",
	"common-page-size",
	"stack",
	"package-metadata",
	"reduce-memory-overheads",
	"fix-cortex-a53-843419", /* gcc's own, on arm64 */
};

static const char *const flags[] = {
	"shared",
	"Bshareable",
	"pie",
	"pic-executable",
	"no-pie",
	"Bsymbolic",
	"Bsymbolic-functions",
	"export-dynamic",
	"no-export-dynamic",
	"relocatable",
	"strip-all",
	"strip-debug",
	"discard-all",
	"discard-locals",
	"discard-none",
	"nostdlib",
	"emit-relocs",
	"as-needed",
	"no-as-needed",
	"whole-archive",
	"no-whole-archive",
	"start-group",
	"end-group",
	"start-lib",
	"end-lib",
	"gc-sections",
	"no-gc-sections",
	"eh-frame-hdr",
	"no-eh-frame-hdr",
	"push-state",
	"pop-state",
	"no-undefined",
	"allow-shlib-undefined",
	"no-allow-shlib-undefined",
	"allow-multiple-definition",
	"warn-common",
	"fatal-warnings",
	"no-fatal-warnings",
	"no-warn-rwx-segments",
	"warn-rwx-segments",
	"no-warn-execstack",
	"warn-execstack",
	"no-warnings",
	"no-warn-mismatch",
	"warn-once",
	"warn-section-align",
	"warn-shared-textrel",
	"warn-textrel",
	"warn-alternate-em",
	"warn-unresolved-symbols",
	"error-unresolved-symbols",
	"no-ld-generated-unwind-info",
	"ld-generated-unwind-info",
	"no-dynamic-linker",
	"use-android-relr-tags",
	"relax",
	"no-relax",
	"no-keep-memory",
	"no-omagic",
	"omagic",
	"nmagic",
	"no-define-common",
	"define-common",
	"no-demangle",
	"demangle",
	"enable-new-dtags",
	"disable-new-dtags",
	"no-add-needed",
	"add-needed",
	"copy-dt-needed-entries",
	"no-copy-dt-needed-entries",
	"no-accept-unknown-input-arch",
	"accept-unknown-input-arch",
	"no-undefined-version",
	"undefined-version",
	"default-symver",
	"dynamic-list-data",
	"dynamic-list-cpp-new",
	"dynamic-list-cpp-typeinfo",
	"sort-common",
	"split-by-file",
	"traditional-format",
	"no-check-sections",
	"check-sections",
	"force-exe-suffix",
	"no-strip-discarded",
	"strip-discarded",
	"no-print-gc-sections",
	"force-group-allocation",
	"ctf-variables",
	"no-ctf-variables",
	"no-threads",
	"threads",
	"enable-linker-version",
	"disable-linker-version",
	"EL",
	"EB",
	"noinhibit-exec",
	"fix-cortex-a53-835769",
	"pic-veneer",
	"no-apply-dynamic-relocs",
};

/* Options of one letter whose value is joined or the next argument. */
static enum ld_kind letter_kind(char letter)
{
	switch (letter) {
	case 'L':
		return LD_SEARCH_DIR;
	case 'l':
		return LD_LIBRARY;
	case 'T':
		return LD_SCRIPT;
	case 'o':
		return LD_OUTPUT;
	case 'm':
		return LD_EMULATION;
	case 'e':
	case 'u':
	case 'z':
	case 'h':
	case 'I':
	case 'b':
	case 'A':
	case 'a':
	case 'F':
	case 'f':
	case 'G':
		return LD_FLAG;
	default:
		return LD_REFUSED;
	}
}

/* -R names a file of symbols or a directory for the run path; rare: left to the real tool. */
static bool is_letter_flag(const char *arg)
{
	if (arg[1] == 'O')
		return arg[2 + strspn(arg + 2, "0123456789")] == '\0';
	return arg[1] && !arg[2] && strchr("sSxXErdNnqig()", arg[1]);
}

static bool is_static_switch(const char *name)
{
	return strcmp(name, "static") == 0 || strcmp(name, "Bstatic") == 0 ||
	       strcmp(name, "dn") == 0 || strcmp(name, "non_shared") == 0;
}

static bool is_dynamic_switch(const char *name)
{
	return strcmp(name, "Bdynamic") == 0 || strcmp(name, "dy") == 0 ||
	       strcmp(name, "call_shared") == 0;
}

static bool in_list(const char *const *list, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == len && strncmp(list[i], name, len) == 0)
			return true;
	return false;
}
#define LISTED(list, name, len) in_list(list, sizeof(list) / sizeof(list[0]), name, len)

static struct ld_arg with_value(enum ld_kind kind, const char *value, const struct strv *args,
                                size_t *at)
{
	if (value)
		return (struct ld_arg){ kind, value };
	if (*at >= args->count)
		return (struct ld_arg){ LD_REFUSED, "a linker option without its value" };
	return (struct ld_arg){ kind, args->items[(*at)++] };
}

static bool named_option(const char *name, const struct strv *args, size_t *at, struct ld_arg *out)
{
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		if (strlen(valued[i].name) != len || strncmp(valued[i].name, name, len) != 0)
			continue;
		*out = with_value(valued[i].kind, equals ? equals + 1 : NULL, args, at);
		return true;
	}
	if (LISTED(joined, name, len) || (!equals && LISTED(flags, name, len))) {
		*out = (struct ld_arg){ LD_FLAG, name };
		return true;
	}
	return false;
}

struct ld_arg ld_next(const struct strv *args, size_t *at)
{
	const char *arg = args->items[(*at)++];
	if (arg[0] != '-')
		return (struct ld_arg){ LD_FILE, arg };
	if (!arg[1])
		return (struct ld_arg){ LD_REFUSED, arg };
	const char *name = arg[1] == '-' ? arg + 2 : arg + 1;
	if (is_static_switch(name))
		return (struct ld_arg){ LD_STATIC, name };
	if (is_dynamic_switch(name))
		return (struct ld_arg){ LD_DYNAMIC, name };
	struct ld_arg found;
	if (named_option(name, args, at, &found))
		return found;
	if (arg[1] == '-')
		return (struct ld_arg){ LD_REFUSED, arg };
	if (is_letter_flag(arg))
		return (struct ld_arg){ LD_FLAG, arg };
	enum ld_kind kind = letter_kind(arg[1]);
	if (kind == LD_REFUSED)
		return (struct ld_arg){ LD_REFUSED, arg };
	return with_value(kind, arg[2] ? arg + 2 : NULL, args, at);
}
