/*
 * Placement: which of several engines takes a job (docs/engines.md). Private to engine/remote/.
 *
 * A job that asks for engines gets one of those, one that may cost nothing the local one. Of what
 * remains: the local engine while it has room, if to send the job's inputs takes longer than it
 * is likely to run; else one elsewhere that has room; else the local one, rather than
 * let it idle; and when all are full, the one that is least so, where it queues. What one of those
 * asked for has refused, the local engine may take too: it costs nothing.
 *
 * Threads: pure.
 */
#ifndef GGFS_ENGINE_REMOTE_PLACE_H
#define GGFS_ENGINE_REMOTE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PLACE_BYTES_A_SECOND = 10 << 20,         /* what a line from here carries, about */
	PLACE_TRIP_MICROS = 60000,               /* what an invocation takes besides its function */
	PLACE_EXPECTED_MICROS_UNKNOWN = 1000000, /* of a thunk that never ran */
};

struct place_engine {
	const char *name;
	bool local;
	bool refused; /* this job, already */
	unsigned capacity, running;
};

struct place_job {
	const char *engines; /* "lambda,http"; NULL: any */
	bool local_only;
	uint64_t send_bytes;      /* inputs that are not where the remote engines find them */
	uint64_t expected_micros; /* 0: not known */
};

/* The engine's index, or -1: none may take it. */
int place_choose(const struct place_engine *engines, size_t count, const struct place_job *job);

#endif
