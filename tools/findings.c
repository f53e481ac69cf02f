#include "tools/findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "tools/cmd.h"
#include "tools/json.h"

void findings_begin(struct findings *f, bool as_json)
{
	*f = (struct findings){ .list = as_json ? json_array() : NULL };
}

void found(struct findings *f, enum finding verdict, const char *subject, const char *todo,
           const char *format, ...)
{
	static const char *const words[] = { "ok", "warning", "failure" };
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f->warnings += verdict == FINDING_WARNING;
	f->failures += verdict == FINDING_FAILURE;
	if (f->list) {
		json_t *o = json_object();
		json_object_set_new(o, "subject", json_text(subject));
		json_object_set_new(o, "verdict", json_text(words[verdict]));
		json_object_set_new(o, "text", json_text(text));
		json_object_set_new(o, "todo", json_text(todo));
		json_array_append_new(f->list, o);
		return;
	}
	printf("%-8s %-12s %s\n", words[verdict], subject, text);
	if (todo)
		printf("%-8s %-12s -> %s\n", "", "", todo);
}

int findings_end(struct findings *f)
{
	if (f->list)
		json_print(f->list);
	else
		printf("%u failures, %u warnings\n", f->failures, f->warnings);
	f->list = NULL;
	return f->failures ? EXIT_FAILED : EXIT_OK;
}
