#include "tools/cmd.h"

#include <stdio.h>
#include <string.h>

static const char exit_text[] =
        "Exit codes, unless the text above says more: 0 done, 1 failed (the "
        "reason is on standard error), 2 wrong usage.";

static const char files_text[] =
        "GGFS_STORE names the store; GGFS_FORCE (on, local, off) says what an open of a lazy file "
        "by "
        "this process and its children may do; GGFS_LOG (error, warning, info, debug) how much is "
        "logged.";

/* --- on the terminal ----------------------------------------------------------------------- */

static void print_option(const struct verb_option *o)
{
	char left[64];
	char letter[6] = "    ";
	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
	         o->value ? o->value : "");
	printf("  %-26s %s\n", left, o->help);
}

void help_verb(const struct verb *verb)
{
	printf("usage: ggfs %s%s%s\n\n", verb->name, *verb->synopsis ? " " : "", verb->synopsis);
	printf("%s\n\noptions:\n", verb->description);
	for (const struct verb_option *o = verb->options; o && o->name; o++)
		print_option(o);
	printf("  %-26s %s\n\n%s\n", "-h, --help", "this text", exit_text);
}

void help_verbs(void)
{
	puts("usage: ggfs VERB [OPTION]... [ARGUMENT]...\n\n"
	     "Build steps are recorded instead of run; the files they would make are shown in a\n"
	     "mounted tree, and made when they are first read.\n");
	for (size_t i = 0; verbs[i]; i++)
		if (!verbs[i]->hidden)
			printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	puts("\nggfs VERB --help says more about one of them; ggfs --version says which ggfs this "
	     "is.");
}

/* --- as pages of the manual (roff, man macros) ------------------------------------------------ */

static void roff_text(const char *text, size_t len)
{
	bool line_start = true;
	for (size_t i = 0; i < len; i++) {
		if (line_start && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", stdout);
		line_start = text[i] == '\n';
		if (text[i] == '\\')
			fputs("\\e", stdout);
		else if (text[i] == '-')
			fputs("\\-", stdout);
		else
			putchar(text[i]);
	}
}

static void roff_line(const char *text)
{
	roff_text(text, strlen(text));
	putchar('\n');
}

/* Lines that begin with two spaces stay as they are; the rest flows. */
static void roff_paragraphs(const char *text)
{
	bool literal = false;
	while (*text) {
		size_t len = strcspn(text, "\n");
		bool indented = strncmp(text, "  ", 2) == 0;
		if (indented != literal)
			puts(indented ? ".nf" : ".fi");
		literal = indented;
		if (len == 0)
			puts(".PP");
		else
			roff_text(text, len), putchar('\n');
		text += len;
		text += *text == '\n';
	}
	if (literal)
		puts(".fi");
}

static void roff_title(const char *page, const char *summary)
{
	printf(".TH \"%s\" 1 \"\" \"ggfs %s\" \"ggfs manual\"\n.SH NAME\n", page, GGFS_VERSION);
	roff_text(page, strlen(page));
	fputs(" \\- ", stdout);
	roff_line(summary);
	puts(".SH SYNOPSIS");
}

static void roff_options(const struct verb_option *options)
{
	puts(".SH OPTIONS");
	for (const struct verb_option *o = options; o && o->name; o++) {
		fputs(".TP\n", stdout);
		if (o->letter)
			printf("\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", stdout);
		roff_text(o->name, strlen(o->name));
		printf("\\fR%s%s%s\n", o->value ? " \\fI" : "", o->value ? o->value : "",
		       o->value ? "\\fR" : "");
		roff_line(o->help);
	}
	puts(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nthe same on the terminal");
}

void manual_verb(const struct verb *verb)
{
	scoped_free char *page = xformat("ggfs-%s", verb->name);
	roff_title(page, verb->summary);
	printf("\\fBggfs %s\\fR ", verb->name);
	roff_line(verb->synopsis);
	puts(".SH DESCRIPTION");
	roff_paragraphs(verb->description);
	roff_options(verb->options);
	puts(".SH EXIT STATUS");
	roff_line(exit_text);
	puts(".SH ENVIRONMENT");
	roff_line(files_text);
	puts(".SH SEE ALSO\n.BR ggfs (1)");
}

void manual_verbs(void)
{
	roff_title("ggfs", "a filesystem whose files are built when they are read");
	puts("\\fBggfs\\fR VERB [OPTION]... [ARGUMENT]...\n.SH DESCRIPTION\n"
	     "Build steps are recorded instead of run; the files they would make are shown in a "
	     "mounted tree, and made when they are first read.\n.SH VERBS");
	for (size_t i = 0; verbs[i]; i++) {
		if (verbs[i]->hidden)
			continue;
		printf(".TP\n\\fBggfs\\-%s\\fR(1)\n", verbs[i]->name);
		roff_line(verbs[i]->summary);
	}
	puts(".SH EXIT STATUS");
	roff_line(exit_text);
	puts(".SH ENVIRONMENT");
	roff_line(files_text);
}
