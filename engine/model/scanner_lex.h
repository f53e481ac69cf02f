/*
 * The scanner's first half: a source or header, as text, becomes a list of its directives, with
 * their tokens cut and each #define taken apart. What stands between directives is only passed
 * over, for its comments, strings and raw strings. Nothing is expanded or decided here, so that
 * one result serves every compile that reads the file in the same mode (C or C++, trigraphs, ...).
 *
 * The rules are those of GCC's libcpp ("The C Preprocessor", "The GNU C Preprocessor Internals").
 * What this does not treat just as libcpp would becomes a DIRECTIVE_DOUBT at its place, or makes
 * the whole file doubtful: then the compiler is asked.
 *
 * Private to engine/model/. Threads: a struct lexed never changes; it is shared by count.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_LEX_H
#define GGFS_ENGINE_MODEL_SCANNER_LEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEX_BYTES_MAX = 16 << 20, LEX_DEPTH_MAX = 1000 };

/* How a compiler with given options cuts text. */
enum {
	LEX_CXX = 1 << 0,     /* "and", "not" and their like are operators */
	LEX_SLASHES = 1 << 1, /* // begins a comment */
	LEX_RAW = 1 << 2,     /* R"(...)" */
	LEX_TRIGRAPHS = 1 << 3,
	LEX_DIGRAPHS = 1 << 4,
	LEX_SEPARATORS = 1 << 5, /* 1'000 */
	LEX_ASSEMBLER = 1 << 6,
	LEX_DOLLARS = 1 << 7, /* $ in names */
};

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_NUMBER,
	TOKEN_STRING, /* with its quotes and prefix */
	TOKEN_CHARACTER,
	TOKEN_HEADER,    /* <name>, without the brackets */
	TOKEN_MARK,      /* an operator or punctuator; id: its characters, see MARK() */
	TOKEN_PARAMETER, /* in a macro's body; id: which one */
	TOKEN_EMPTY,     /* what an empty argument leaves beside ## */
};

enum {
	TOKEN_WHITE = 1 << 0,   /* white space before it */
	TOKEN_PAINTED = 1 << 1, /* never a macro again */
	TOKEN_PASTE = 1 << 2,   /* ## behind it */
	TOKEN_STRINGIFY = 1 << 3,
};

#define MARK(a, b, c) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16)

struct token {
	const char *text; /* not terminated */
	uint32_t len;
	uint32_t id; /* of names: their hash */
	uint8_t kind, flags;
};

struct macro {
	struct token name;
	bool function, variadic;
	bool doubtful; /* , ## __VA_ARGS__ or __VA_OPT__: not expanded here */
	uint32_t parameters;
	const struct token *body;
	uint32_t count;
};

enum directive_kind {
	DIRECTIVE_DEFINE,
	DIRECTIVE_UNDEF,
	DIRECTIVE_INCLUDE,
	DIRECTIVE_INCLUDE_NEXT,
	DIRECTIVE_IF,
	DIRECTIVE_IFDEF,
	DIRECTIVE_IFNDEF,
	DIRECTIVE_ELIF,
	DIRECTIVE_ELIFDEF, /* and elifndef: what they are depends on the compiler's age */
	DIRECTIVE_ELSE,
	DIRECTIVE_ENDIF,
	DIRECTIVE_ONCE,
	DIRECTIVE_SYSTEM_HEADER,
	DIRECTIVE_PUSH_MACRO, /* one token: the name */
	DIRECTIVE_POP_MACRO,
	DIRECTIVE_DOUBT,
};

struct directive {
	enum directive_kind kind;
	uint32_t next; /* of conditionals but #endif: the next one of the same group */
	const struct token *tokens;
	uint32_t count;
	const struct macro *macro; /* DEFINE */
	const char *doubt;         /* DOUBT: why; a constant */
};

struct lexed {
	atomic_int references;
	const char *doubt; /* of the whole file; NULL when there is none */
	struct directive *directives;
	uint32_t directive_count;
	size_t memory_bytes; /* about what all this takes */
	/* what the pointers above lead into */
	char *text;
	struct token *tokens;
	struct macro *macros;
};

/* Text of any bytes. Never NULL; the caller's to drop. */
struct lexed *lex_file(const char *text, size_t len, unsigned mode);
struct lexed *lexed_ref(struct lexed *l);
void lexed_unref(struct lexed *l); /* NULL is fine */

/* Cuts one token that takes all of text, as ## needs it; false when it is none or several. text
 * must outlive the token. */
bool lex_one(const char *text, size_t len, unsigned mode, struct token *out);

uint32_t lex_hash(const char *text, size_t len);

static inline bool token_is(const struct token *t, uint32_t mark)
{
	return t->kind == TOKEN_MARK && t->id == mark;
}

#endif
