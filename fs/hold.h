/*
 * Holding: -o hold=N stops a program that has never forced before at N files in one go, until the
 * user allows it. For those who open everything by accident and are on no list yet: an indexer, a
 * backup, `grep -r`.
 *
 * A go is over when the program has not asked for HOLD_PAUSE_MS after its last answer. A program
 * whose first go ended by itself is one that forces, and is not counted any more; so is one that
 * the user allows. What was known already costs nothing and does not count. All this is
 * remembered until the mount ends, by the program's name.
 *
 * Threads: any.
 */
#ifndef GGFS_FS_HOLD_H
#define GGFS_FS_HOLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	HOLD_PAUSE_MS = 60000,
	HOLD_PROGRAMS_MAX = 64, /* the one that asked the longest ago is forgotten first */
	HOLD_NAME_SIZE = 17,
};

struct hold_program {
	char name[HOLD_NAME_SIZE]; /* as in /proc/PID/comm */
	int64_t last_ms;           /* when it asked or was answered last */
	unsigned count;
	bool free; /* not counted any more */
};

struct hold {
	pthread_mutex_t lock; /* guards what follows */
	struct hold_program programs[HOLD_PROGRAMS_MAX];
	unsigned count;
};

void hold_init(struct hold *h);

/* Has the user allowed this program? Asked, with no lock held, only of those at the limit. */
typedef bool hold_allowed_fn(void *arg, const char *name);

/* The program asks for one more; false when it is held. now_ms on any clock that only grows. */
bool hold_ask(struct hold *h, const char *name, unsigned limit, int64_t now_ms,
              hold_allowed_fn *allowed, void *arg);
/* What was asked for is answered; known: it did not have to be made. */
void hold_answered(struct hold *h, const char *name, int64_t now_ms, bool known);

#endif
