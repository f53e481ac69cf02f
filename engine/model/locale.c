#include "engine/model/locale.h"

#include <ctype.h>
#include <string.h>

#include "engine/model/plan.h"

#define LOCALE_ROOT "/usr/lib/locale"

void locale_names(const struct strv *env, struct strv *names)
{
	static const char *const variables[] = { "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG" };
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = env_get(env, variables[i]);
		if (value && *value && !strchr(value, '/') && strcmp(value, "C") != 0 &&
		    strcmp(value, "POSIX") != 0 && !strv_contains(names, value))
			strv_add(names, value);
	}
}

/* The C library's spelling of a locale's directory: of the codeset only letters and digits, small
 * ("de_DE.UTF-8@euro" is "de_DE.utf8@euro"). */
static char *directory_name(const char *name)
{
	size_t head = strcspn(name, ".");
	const char *at = name + head;
	struct buf b = BUF_INIT;
	buf_add(&b, name, head);
	if (*at == '.')
		buf_add_char(&b, *at++);
	for (; *at && *at != '@'; at++)
		if (isalnum((unsigned char)*at))
			buf_add_char(&b, (char)tolower((unsigned char)*at));
	buf_add_str(&b, at);
	return buf_steal(&b, NULL);
}

/* view_input, but absence is fine. */
static int add_if_there(struct view *v, const char *path, struct manifest *into, bool *there,
                        struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(v, path, &f, NULL, err);
	*there = r == 0 && f.kind == VIEW_FILE;
	view_file_release(&f);
	return *there ? view_input(v, path, into, err) : r;
}

int locale_add(struct view *v, const char *name, struct manifest *into, struct error *err)
{
	static const char *const files[] = {
		"LC_ADDRESS",     "LC_COLLATE",  "LC_CTYPE", "LC_IDENTIFICATION",
		"LC_MEASUREMENT", "LC_MESSAGES/SYS_LC_MESSAGES",         "LC_MONETARY",
		"LC_NAME",        "LC_NUMERIC",  "LC_PAPER", "LC_TELEPHONE",
		"LC_TIME",
	};
	scoped_free char *directory = directory_name(name);
	bool there, any = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
		scoped_free char *path = xformat(LOCALE_ROOT "/%s/%s", directory, files[i]);
		r = add_if_there(v, path, into, &there, err);
		any |= there;
	}
	if (r == 0 && !any)
		r = add_if_there(v, LOCALE_ROOT "/locale-archive", into, &there, err);
	return r;
}
