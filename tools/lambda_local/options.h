/*
 * The program's options, and its --help. Private to this program.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_OPTIONS_H
#define GGFS_TOOLS_LAMBDA_LOCAL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct options {
	const char *host;
	unsigned port, runtime_port; /* 0: any free one */
	const char *dir;             /* NULL: a temporary one, removed at the end */
	const char *region, *account;
	const char *access_key, *secret_key, *session_token;
	const char *function_keys; /* ACCESS:SECRET[:TOKEN] */
	unsigned concurrency, scaling, processes;
	unsigned cold_start_ms, latency_ms, idle_ms, pending_ms, slow_ms;
	const char *faults;
	uint64_t seed;
	const char *log, *function_log, *opt;
	unsigned uid;
	bool emulate, with_stdin, no_sandbox;
	unsigned emulate_ms;
	const char *function; /* that is there from the beginning, with --emulate */
};

/* 1: go on; 0: help or version was printed; -EINVAL. All borrowed from argv. */
int options_read(int argc, char **argv, struct options *out, struct error *err);

#endif
