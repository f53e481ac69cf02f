#include "engine/model/depfile.h"

#include <string.h>

enum { COLUMNS_MAX = 72 };

const char *depfile_name(const char *path)
{
	while (path[0] == '.' && path[1] == '/') {
		path += 2;
		while (*path == '/')
			path++;
	}
	return path;
}

void depfile_quote(const char *name, struct buf *b)
{
	for (const char *c = name; *c; c++) {
		if (*c == ' ' || *c == '\t') {
			/* make halves the backslashes before white space */
			for (const char *back = c; back != name && back[-1] == '\\'; back--)
				buf_add_char(b, '\\');
			buf_add_char(b, '\\');
		} else if (*c == '#') {
			buf_add_char(b, '\\');
		} else if (*c == '$') {
			buf_add_char(b, '$');
		}
		buf_add_char(b, *c);
	}
}

static void add_word(struct buf *b, const char *word, size_t len, size_t *column)
{
	if (*column) {
		if (*column + len > COLUMNS_MAX) {
			buf_add_str(b, " \\\n");
			*column = 0;
		}
		buf_add_char(b, ' ');
		++*column;
	}
	buf_add(b, word, len);
	*column += len;
}

void depfile_write(const struct plan_depfile *d, const struct strv *listed, struct buf *b)
{
	size_t column = 0;
	for (size_t i = 0; i < d->targets.count; i++)
		add_word(b, d->targets.items[i], strlen(d->targets.items[i]), &column);
	buf_add_char(b, ':');
	column++;
	scoped_buf struct buf word = BUF_INIT;
	for (size_t i = 0; i < listed->count; i++) {
		buf_reset(&word);
		depfile_quote(depfile_name(listed->items[i]), &word);
		add_word(b, word.data, word.len, &column);
	}
	buf_add_char(b, '\n');
	for (size_t i = 1; d->phony && i < listed->count; i++) {
		depfile_quote(depfile_name(listed->items[i]), b);
		buf_add_str(b, ":\n");
	}
}
