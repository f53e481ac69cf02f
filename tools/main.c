#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "tools/cmd.h"
#include "tools/session.h"

static void print_line(const char *format, va_list args)
{
	scoped_buf struct buf line = BUF_INIT;
	char text[ERROR_TEXT_MAX + 256];
	vsnprintf(text, sizeof(text), format, args);
	buf_add_format(&line, "ggfs: %s\n", text);
	fwrite(line.data, 1, line.len, stderr);
}

int cmd_fail(const struct error *err)
{
	return cmd_fail_text("%s", error_text(err));
}

int cmd_fail_text(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
	return EXIT_FAILED;
}

int cmd_usage(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
	return EXIT_USAGE;
}

int cmd_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	cmd_fail_text("cannot write to standard output");
	return EXIT_FAILED;
}

static const struct verb *verb_named(const char *name)
{
	for (size_t i = 0; verbs[i]; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int operands_wrong(const struct verb *verb, int count)
{
	if (count < verb->min_operands)
		return cmd_usage("usage: ggfs %s %s", verb->name, verb->synopsis);
	if (verb->max_operands >= 0 && count > verb->max_operands)
		return cmd_usage("ggfs %s takes at most %d argument%s; usage: ggfs %s %s",
		                 verb->name, verb->max_operands, verb->max_operands == 1 ? "" : "s",
		                 verb->name, verb->synopsis);
	return 0;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
	scoped_free void *options = xcalloc(1, verb->options_size ? verb->options_size : 1);
	int first = options_parse(verb, argc, argv, options);
	int code;
	if (first == 0)
		help_verb(verb), code = EXIT_OK;
	else if (first < 0)
		code = EXIT_USAGE;
	else if (operands_wrong(verb, argc - first) != 0)
		code = EXIT_USAGE;
	else
		code = verb->run(options, argc - first, argv + first);
	options_release(verb, options);
	return cmd_finish(code);
}

/* The whole command line, for the program that has the verb. */
static int run_elsewhere(char **argv)
{
	scoped_free char *program = session_helper("ggfs-service");
	if (!program)
		return cmd_fail_text("ggfs-service is neither beside ggfs nor in ../libexec/ggfs");
	execv(program, argv);
	return cmd_fail_text("cannot run %s: %s", program, strerror(errno));
}

/* `ggfs help [--man] [VERB]`: --man is how the build makes the manual. */
static int run_help(int argc, char **argv)
{
	bool manual = argc > 1 && strcmp(argv[1], "--man") == 0;
	const char *name = argv[1 + manual];
	const struct verb *verb = name ? verb_named(name) : NULL;
	if (name && !verb)
		return cmd_usage("no verb '%s'; ggfs help lists them", name);
	if (verb && verb->elsewhere)
		return run_elsewhere(argv - 1);
	if (verb && manual)
		manual_verb(verb);
	else if (verb)
		help_verb(verb);
	else if (manual)
		manual_verbs();
	else
		help_verbs();
	return cmd_finish(EXIT_OK);
}

int main(int argc, char **argv)
{
	reserve_standard_streams();
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *self = slash ? slash + 1 : argc > 0 ? argv[0] : "ggfs";
	if (verbs_placeholder && strcmp(self, "ggfs-force") == 0)
		return verbs_placeholder(argc, argv);
	if (argc < 2) {
		help_verbs();
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0)
		return printf("ggfs %s\n", GGFS_VERSION), cmd_finish(EXIT_OK);
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return run_help(argc - 1, argv + 1);
	const struct verb *verb = verb_named(name);
	if (!verb)
		return cmd_usage("no verb '%s'; ggfs help lists them", name);
	if (verb->elsewhere)
		return run_elsewhere(argv);
	return run_verb(verb, argc - 1, argv + 1);
}
