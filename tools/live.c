#include "tools/live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "tools/money.h"

void live_begin(struct live *l, bool quiet)
{
	*l = (struct live){
		.terminal = !quiet && isatty(STDERR_FILENO),
		.quiet = quiet,
		.start_ms = now_ms(),
	};
}

static void line_away(const struct live *l)
{
	if (l->terminal)
		fputs("\r\033[K", stderr);
}

static void line_show(const struct live *l)
{
	const struct force_counts *n = &l->counts;
	fprintf(stderr,
	        "\r\033[K%" PRIu64 " queued, %" PRIu64 " running, %" PRIu64 " done, %" PRIu64
	        " failed, %.1f s",
	        n->queued, n->running, n->done, n->failed, (double)(now_ms() - l->start_ms) / 1000);
	if (n->cost_nanodollars) {
		struct money_text cost = money_text(n->cost_nanodollars);
		fprintf(stderr, ", %s", cost.text);
	}
	fflush(stderr);
}

void live_stderr(const char *label, const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, "\n");
		scoped_free char *line = xformat("%s: %.*s\n", label, (int)len, text);
		fputs(line, stderr);
		text += len;
		text += *text == '\n';
	}
}

static void show_event(const struct live *l, const struct force_event *e)
{
	if (e->kind == FORCE_EVENT_STARTED || e->kind == FORCE_EVENT_KNOWN)
		return;
	line_away(l);
	if (!l->terminal && !l->quiet)
		fprintf(stderr, "%s %s\n", e->kind == FORCE_EVENT_DONE ? "made" : "failed",
		        e->label);
	live_stderr(e->label, e->stderr_tail);
}

void live_progress(void *arg, const struct client_progress *progress)
{
	struct live *l = arg;
	l->counts = progress->counts;
	/* The service counts now and then only, so what came with a start may be from before it. */
	if (progress->event && progress->event->kind == FORCE_EVENT_STARTED &&
	    l->counts.running == 0)
		l->counts.running = 1;
	if (progress->event)
		show_event(l, progress->event);
	if (l->terminal)
		line_show(l);
}

double live_end(struct live *l)
{
	line_away(l);
	return (double)(now_ms() - l->start_ms) / 1000;
}
