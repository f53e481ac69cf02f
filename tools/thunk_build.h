/*
 * Thunks made by hand: from what a person (options of `ggfs thunk`) or a program (a line of JSON)
 * says to a thunk in the store. What was put once is remembered, so that many thunks of one program
 * cost one round trip each.
 *
 * Threads: none. Errors: -EINVAL what was said makes no thunk; -ENOENT a file is not there.
 */
#ifndef GGFS_TOOLS_THUNK_BUILD_H
#define GGFS_TOOLS_THUNK_BUILD_H

#include <jansson.h>

#include "engine/service/client.h"
#include "engine/thunk.h"

/* What is said of one thunk. Paths of the world are relative to its root; a leading "./" or "/" is
 * taken off. */
struct thunk_words {
	struct strv command; /* the program and its arguments */
	struct strv inputs;  /* "PATH=FILE" or "FILE" */
	struct strv thunks;  /* "PATH=DIGEST:OUTPUT" */
	struct strv tools;   /* programs that the function runs: their closures become inputs */
	struct strv outputs, trees;
	struct strv env;                /* "NAME=VALUE" */
	char *cwd;                      /* of the world; NULL: its root */
	uint32_t timeout_s, memory_mib; /* 0: the default */
	bool yields;
};

void thunk_words_release(struct thunk_words *w);

/* Reads one JSON object (docs of `ggfs thunk --stdin`). words must be empty. */
int thunk_words_from_json(const json_t *o, struct thunk_words *words, struct error *err);

struct thunk_builder;

struct thunk_builder *thunk_builder_new(struct client *c);
void thunk_builder_free(struct thunk_builder *b);

/* Makes the thunk and puts it into the store. t (THUNK_INIT) is it; its digest in *out. */
int thunk_build(struct thunk_builder *b, const struct thunk_words *words, struct thunk *t,
                struct digest *out, struct error *err);

#endif
