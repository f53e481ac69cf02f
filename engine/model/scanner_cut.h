/*
 * Cutting text into preprocessing tokens: physical lines become logical ones (splices, trigraphs),
 * comments become white space, and what is left becomes tokens, one at a time.
 *
 * Private to the scanner. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_CUT_H
#define GGFS_ENGINE_MODEL_SCANNER_CUT_H

#include "common/buf.h"
#include "engine/model/scanner_lex.h"

struct cursor {
	unsigned mode;
	const char *next, *end; /* text from the next physical line on */
	const char *c, *eol;    /* what is left of the logical line */
	bool joined_line;       /* it stands in joined, not in the text */
	struct buf joined;
	const char *doubt; /* why this text is not to be trusted to us; a constant; or NULL */
};

void cursor_release(struct cursor *cur);

/* The next logical line; false at the end. */
bool cut_line(struct cursor *cur);

/* Passes white space and comments, on to further lines where a comment goes on. True when there
 * were any. */
bool cut_blank(struct cursor *cur);

/* The next token of the logical line; TOKEN_END at its end. angled: a header's name may stand here.
 * Its text is borrowed until the line ends; the hash of a name is not set. */
void cut_token(struct cursor *cur, bool angled, struct token *out);

#endif
