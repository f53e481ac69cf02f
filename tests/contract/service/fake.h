/* A service that says what a test wants: a thread that accepts one connection after another, greets
 * back, and hands every other frame to the test. */
#ifndef GGFS_TESTS_CONTRACT_SERVICE_FAKE_H
#define GGFS_TESTS_CONTRACT_SERVICE_FAKE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/service/conn.h"
#include "engine/service/messages.h"

struct fake;
/* Less than 0: hang up. On the fake's thread. */
typedef int fake_frame_fn(struct fake *f, const struct wire_header *header, const char *payload,
                          size_t len);

struct fake {
	uint32_t protocol; /* it greets with */
	fake_frame_fn *on_frame;
	void *arg;
	atomic_int connections; /* greeted so far */
	atomic_int frames;      /* handed over so far */
	int64_t deadlines[4];   /* of forces, the first few, for tests that look at them */
	atomic_int deadline_count;
	/* The fake's own: */
	int listen_fd, end_fd;
	struct conn conn;
	pthread_t thread;
};

/* Listens as the service of the store (made if absent) from now on. */
void fake_start(struct fake *f, const char *store, fake_frame_fn *on_frame, void *arg);
/* The same, of that protocol. */
void fake_start_as(struct fake *f, uint32_t protocol, const char *store, fake_frame_fn *on_frame,
                   void *arg);
void fake_stop(struct fake *f);
/* For on_frame: an answer, its payload (may be NULL) left empty. */
int fake_answer(struct fake *f, uint16_t type, uint32_t id, struct buf *payload);

#endif
