/*
 * Discovery: which files a compile would read, by the compiler's own scan (gcc -M). It is asked
 * where the scanner (scanner.h) is not certain.
 *
 * discovery_command() gives the command that the stand-in has to run in the caller's
 * directory and environment; discovery_read() makes lists of what it printed. -M lists every
 * header, but expands no macros outside of directives, so that _Pragma("push_macro(...)") and
 * __COUNTER__ in the text pass it by; and -MM leaves out the system's. Where a dependency file must
 * leave those out (-MMD), or a source has one of those (plan.discover_text), the preprocessed text
 * is asked for instead, for a third more CPU: its line markers say what is read, and behind it
 * stands the rule as gcc writes it for the dependency file.
 *
 * Private to engine/model/. Threads: pure functions.
 */
#ifndef GGFS_ENGINE_MODEL_DISCOVERY_H
#define GGFS_ENGINE_MODEL_DISCOVERY_H

#include "engine/model/plan.h"

enum { DISCOVERY_FILES_MAX = 100000 };

/* What one source reads and what its dependency file lists: gcc lists some files twice, and
 * leaves out those of the system when asked to. Both begin with the source itself. */
struct headers {
	struct strv read;   /* as the compiler spells them; each once or more */
	struct strv listed; /* in gcc's order; empty where no dependency file is wanted */
	bool scanned;       /* by the scanner, which tells of all that is read */
	struct strv asked;  /* scanned: what __has_include found */
};

void headers_release(struct headers *h);

void discovery_command(const struct plan *p, const char *tool, struct strv *argv);

/* One list for each source that is preprocessed, in order: out has count elements, all empty.
 * -EBADMSG when the text is not what the command should print. */
int discovery_read(const struct plan *p, const char *text, size_t len, struct headers *out,
                   size_t count, struct error *err);

#endif
