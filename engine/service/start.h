/*
 * Getting through to the service of a store: connecting, greeting, and starting it when it is not
 * there. Shared by the client and the link.
 *
 * Threads: any; start_connect may block for a few times START_WAIT_MS.
 */
#ifndef GGFS_ENGINE_SERVICE_START_H
#define GGFS_ENGINE_SERVICE_START_H

#include <stdatomic.h>

#include "engine/service/client.h"
#include "engine/service/conn.h"

enum {
	START_WAIT_MS = 15000, /* for a service to come up, to answer, or to step down */
	START_POLL_MS = 5,     /* doubles up to ... */
	START_POLL_MOST_MS = 100,
	START_SILENT_MAX = 20, /* services in a row that end without a word */
};

/* The directory of the store that the options name, else of the default one: absolute, since a
 * service's working directory is another. Yours to free. */
char *start_store(const struct client_options *options);

/* Connects to the socket of the store's service, which must run: a blocking descriptor, or
 * -ECONNREFUSED. The path may be longer than a socket address holds. */
int start_dial(const char *store, struct error *err);
/* Binds and listens where start_dial looks: a non-blocking descriptor or -errno. */
int start_listen(int store_fd, struct error *err);

/*
 * A connection that has been greeted: dials, starts the service unless never_start, and when the
 * one that answers is older than options->version asks it, once, to step down. *out is ready for
 * requests. -ECONNREFUSED, -EPROTO as in client.h; -ETIMEDOUT when a service is there and does not
 * answer. given_up (or NULL) may be set meanwhile: -ECANCELED, before the next try.
 */
int start_connect(const struct client_options *options, const char *store,
                  const atomic_bool *given_up, struct conn *out, struct error *err);

/* Sends a frame and waits for the next one, on a blocking conn: -ETIMEDOUT when it does not come
 * within wait_ms. */
int start_ask(struct conn *c, struct buf *frame, int64_t wait_ms, struct wire_header *header,
              const char **payload, size_t *len, struct error *err);

/* Asks the service at the other end to stop, releases c, and waits until that process has ended:
 * -ETIMEDOUT after START_WAIT_MS. By then another may serve the store already. */
int start_step_down(struct conn *c, const char *store, struct error *err);

/* Dotted numbers: less than, equal to or greater than zero, as a is older, same, newer. */
int start_version_compare(const char *a, const char *b);

#endif
