/*
 * Live: what a force shows while it runs. On a terminal one line that is rewritten; elsewhere one
 * line for each thunk that ran. Warnings of functions are printed as they come, each line after
 * the name of what was being made. All on standard error.
 */
#ifndef GGFS_TOOLS_LIVE_H
#define GGFS_TOOLS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/service/client.h"

struct live {
	bool terminal;
	bool quiet; /* warnings only */
	int64_t start_ms;
	struct force_counts counts; /* the last ones heard of */
};

void live_begin(struct live *l, bool quiet);
/* A client_progress_fn; arg is the struct live. */
void live_progress(void *arg, const struct client_progress *progress);
/* Takes the line away; returns the seconds since live_begin(). */
double live_end(struct live *l);

/* Prints a function's standard error, each line after "label: ". */
void live_stderr(const char *label, const char *text);

#endif
