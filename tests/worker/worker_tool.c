/*
 * worker-tool STORE CACHE FILE...   runs the thunks behind placeholders on a worker, and puts the
 *                                   files in their place
 *
 * In one process, with no network: what is tested is how a worker runs things.
 */
#include <stdio.h>

#include "tests/lib/force_files.h"
#include "tests/worker/worker_engine.h"

#define TOOL "worker-tool"

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct tool_session s;
	struct engine *engine;
	if (argc < 4) {
		fprintf(stderr, "usage: " TOOL " STORE CACHE FILE...\n");
		return 98;
	}
	tool_session_open(&s, TOOL, argv[1]);
	if (worker_engine_new(s.store, argv[2], &engine, &err) < 0)
		tool_fail(TOOL, "engine", &err);
	int failed = force_files(&s, engine, argv + 3);
	tool_session_close(&s);
	return failed;
}
