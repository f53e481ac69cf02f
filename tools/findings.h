/*
 * Findings: what `ggfs doctor` says of one thing after the other, for people or, with --json, as
 * one array of {"subject", "verdict", "text", "todo"}.
 *
 * Threads: one owner.
 */
#ifndef GGFS_TOOLS_FINDINGS_H
#define GGFS_TOOLS_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>

enum finding { FINDING_OK, FINDING_WARNING, FINDING_FAILURE };

struct findings {
	json_t *list; /* NULL: printed as they come */
	unsigned warnings, failures;
};

void findings_begin(struct findings *f, bool as_json);
/* One finding; todo is what to do about it, NULL when there is nothing to be done. */
void found(struct findings *f, enum finding verdict, const char *subject, const char *todo,
           const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Prints what is left to be printed. The exit code: 1 if there was a failure, else 0. */
int findings_end(struct findings *f);

#endif
