#include "common/aws/words.h"

#include <ctype.h>
#include <string.h>

/* Moves *at past one word and adds it; false: it has no end. */
static bool take_word(const char **at, struct strv *out)
{
	scoped_buf struct buf word = BUF_INIT;
	char quote = 0;
	for (; **at && (quote || !isspace((unsigned char)**at)); (*at)++) {
		char c = **at;
		if (c == quote) {
			quote = 0;
		} else if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == '\\' && quote != '\'') {
			char next = (*at)[1];
			if (!next)
				return false;
			/* In double quotes a \ is itself before all but these. */
			if (quote && next != '"' && next != '\\')
				buf_add_char(&word, c);
			buf_add_char(&word, next);
			(*at)++;
		} else {
			buf_add_char(&word, c);
		}
	}
	if (quote)
		return false;
	strv_add_take(out, buf_steal(&word, NULL));
	return true;
}

bool words_split(const char *text, struct strv *out)
{
	for (;;) {
		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return true;
		if (!take_word(&text, out))
			return false;
	}
}
