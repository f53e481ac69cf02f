#include "tools/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_VALUE = 1, FIRST_VALUE = 256 };

static size_t option_count(const struct verb *verb)
{
	size_t count = 0;
	while (verb->options && verb->options[count].name)
		count++;
	return count;
}

static void describe_to_getopt(const struct verb *verb, size_t count, struct option *longs,
                               struct buf *letters)
{
	/* "+": the command's own options are not ours. ":": we say ourselves what is wrong. */
	buf_add_str(letters, verb->takes_command ? "+:h" : ":h");
	for (size_t i = 0; i < count; i++) {
		const struct verb_option *o = &verb->options[i];
		longs[i] = (struct option){
			.name = o->name,
			.has_arg = o->kind == OPTION_SWITCH ? no_argument : required_argument,
			.val = FIRST_VALUE + (int)i,
		};
		if (o->letter)
			buf_add_format(letters, "%c%s", o->letter,
			               o->kind == OPTION_SWITCH ? "" : ":");
	}
	longs[count] = (struct option){ .name = "help", .val = HELP_VALUE };
}

static const struct verb_option *option_found(const struct verb *verb, size_t count, int value)
{
	if (value >= FIRST_VALUE)
		return &verb->options[value - FIRST_VALUE];
	for (size_t i = 0; i < count; i++)
		if (verb->options[i].letter == value)
			return &verb->options[i];
	return NULL;
}

static int option_store(const struct verb_option *o, const char *text, void *options)
{
	char *member = (char *)options + o->offset;
	char *end;
	switch (o->kind) {
	case OPTION_SWITCH:
		*(bool *)(void *)member = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)(void *)member = text;
		return 0;
	case OPTION_LIST:
		strv_add((struct strv *)(void *)member, text);
		return 0;
	case OPTION_NUMBER:
		errno = 0;
		unsigned long number = strtoul(text, &end, 10);
		if (errno || *end || end == text || *text == '-' || number < 1 || number > UINT_MAX)
			return cmd_usage("--%s wants a number of at least 1, not '%s'", o->name,
			                 text);
		*(unsigned *)(void *)member = (unsigned)number;
		return 0;
	}
	return 0;
}

static int bad_option(const struct verb *verb, int c, char **argv)
{
	/* optopt is a letter, or for a long name 0 or its value; that one stands before optind. */
	bool is_letter = optopt != 0 && optopt < FIRST_VALUE && optopt != HELP_VALUE;
	scoped_free char *word = is_letter ? xformat("-%c", optopt) : xstrdup(argv[optind - 1]);
	if (c == ':')
		cmd_usage("%s wants a value; see ggfs %s --help", word, verb->name);
	else
		cmd_usage("no option %s; see ggfs %s --help", word, verb->name);
	return -1;
}

int options_parse(const struct verb *verb, int argc, char **argv, void *options)
{
	size_t count = option_count(verb);
	scoped_free struct option *longs = xcalloc(count + 2, sizeof(*longs));
	scoped_buf struct buf letters = BUF_INIT;
	describe_to_getopt(verb, count, longs, &letters);
	opterr = 0;
	optind = 1;
	int c;
	while ((c = getopt_long(argc, argv, letters.data, longs, NULL)) != -1) {
		if (c == 'h' || c == HELP_VALUE)
			return 0;
		const struct verb_option *o =
		        c == '?' || c == ':' ? NULL : option_found(verb, count, c);
		if (!o)
			return bad_option(verb, c, argv);
		if (option_store(o, optarg, options) != 0)
			return -1;
	}
	return optind;
}

void options_release(const struct verb *verb, void *options)
{
	for (size_t i = 0; i < option_count(verb); i++)
		if (verb->options[i].kind == OPTION_LIST)
			strv_release(
			        (struct strv *)(void *)((char *)options + verb->options[i].offset));
}

char *options_joined(const struct strv *list)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < list->count; i++)
		buf_add_format(&b, "%s%s", i ? "," : "", list->items[i]);
	return list->count ? buf_steal(&b, NULL) : NULL;
}
