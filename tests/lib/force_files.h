/* What tools of the tests do with placeholders: force them on some engine, and put the files in
 * their place. */
#ifndef GGFS_TESTS_FORCE_FILES_H
#define GGFS_TESTS_FORCE_FILES_H

#include "engine/force.h"

/* A store with its index. Whatever goes wrong with them ends the tool with 99, saying what. */
struct tool_session {
	const char *tool; /* for messages */
	struct store *store;
	struct index *index;
};

void tool_fail(const char *tool, const char *what, const struct error *err)
        __attribute__((noreturn));
void tool_session_open(struct tool_session *s, const char *tool, const char *store);
void tool_session_close(struct tool_session *s);

/* files: NULL-terminated; what is no placeholder is passed over. Frees the engine. 0, or 1 when a
 * function failed, its reason and stderr being printed. */
int force_files(struct tool_session *s, struct engine *engine, char **files);

#endif
