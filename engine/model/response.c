/* Response files, as libiberty's expandargv reads them. */
#include <ctype.h>
#include <string.h>

#include "engine/model/plan.h"

enum { RESPONSE_FILES_MAX = 2000 };

/* One argument from *text; NULL at the end. Quotes group, a backslash takes the next
 * character as it is, also within quotes. */
static char *next_word(const char **text)
{
	const char *c = *text;
	while (isspace((unsigned char)*c))
		c++;
	if (!*c)
		return NULL;
	scoped_buf struct buf word = BUF_INIT;
	char quote = 0;
	for (; *c && (quote || !isspace((unsigned char)*c)); c++) {
		if (*c == '\\' && c[1])
			buf_add_char(&word, *++c);
		else if (quote && *c == quote)
			quote = 0;
		else if (!quote && (*c == '\'' || *c == '"'))
			quote = *c;
		else if (*c != '\\')
			buf_add_char(&word, *c);
	}
	*text = c;
	return buf_steal(&word, NULL);
}

static int expand_one(const char *arg, const struct files *files, struct strv *out,
                      unsigned *budget)
{
	if (out->count >= PLAN_ARGS_MAX)
		return -E2BIG;
	enum view_kind kind = arg[0] == '@' ? files->kind(files->arg, arg + 1) : VIEW_ABSENT;
	if (kind == VIEW_ABSENT || kind == VIEW_DIR) {
		strv_add(out, arg);
		return 0;
	}
	if (kind != VIEW_FILE || (*budget)-- == 0)
		return -ENODATA;
	scoped_buf struct buf text = BUF_INIT;
	if (files->read(files->arg, arg + 1, &text) < 0)
		return -ENODATA;
	const char *at = text.data ? text.data : "";
	if (strlen(at) != text.len)
		return -ENODATA;
	for (char *word; (word = next_word(&at));) {
		int r = expand_one(word, files, out, budget);
		free(word);
		if (r < 0)
			return r;
	}
	return 0;
}

int response_expand(const struct strv *argv, const struct files *files, struct strv *out)
{
	unsigned budget = RESPONSE_FILES_MAX;
	for (size_t i = 0; i < argv->count; i++) {
		int r = i == 0 ? (strv_add(out, argv->items[0]), 0)
		               : expand_one(argv->items[i], files, out, &budget);
		if (r < 0)
			return r;
	}
	return 0;
}
