/*
 * Discovery: which files a compile would read. The one place where today the compiler's own
 * scan (gcc -M) is asked, and where an evaluating scanner will stand.
 *
 * discovery_command() gives the command that the stand-in has to run in the caller's
 * directory and environment; discovery_read() makes lists of what it printed. -M lists every
 * header but does not say which are the system's, and expands no macros outside of directives, so
 * that _Pragma("push_macro(...)") and __COUNTER__ in the text pass it by. Where a dependency
 * file must leave the system's out (-MMD), or a source has one of those (plan.discover_text), the
 * preprocessed text is asked for instead, whose line markers say all, for a third more CPU.
 *
 * Private to engine/model/. Threads: pure functions.
 */
#ifndef GGFS_ENGINE_MODEL_DISCOVERY_H
#define GGFS_ENGINE_MODEL_DISCOVERY_H

#include "engine/model/plan.h"

enum { DISCOVERY_FILES_MAX = 100000 };

struct header {
	char *path;  /* as the compiler spells it; -M takes a leading "./" off */
	bool system; /* found in a system directory, or included from there; see above */
};

struct headers {
	struct header *items; /* the source itself first, then in the order of inclusion */
	size_t count, capacity;
};

void headers_release(struct headers *h);
void headers_add(struct headers *h, const char *path, size_t len, bool system);

void discovery_command(const struct plan *p, const char *tool, struct strv *argv);

/* One list for each source that is preprocessed, in order: out has count elements, all empty.
 * -EBADMSG when the text is not what the command should print. */
int discovery_read(const struct plan *p, const char *text, size_t len, struct headers *out,
                   size_t count, struct error *err);

#endif
