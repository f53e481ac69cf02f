/*
 * Conn: one end of a connection on the service's socket, in frames (engine/service/wire.h), with
 * descriptors riding along. The same code for blocking ends (the client) and for ends that a loop
 * drives (service, link): on a blocking socket nothing is ever left unsent.
 *
 * Threads: one owner at a time. Errors: -ECONNRESET the other side is gone, -EBADMSG it does not
 * speak our protocol, -ENOBUFS it does not read what it asked for, -EMSGSIZE nothing was sent since
 * the frame is larger than WIRE_FRAME_MAX.
 */
#ifndef GGFS_ENGINE_SERVICE_CONN_H
#define GGFS_ENGINE_SERVICE_CONN_H

#include "engine/service/wire.h"

enum {
	CONN_UNSENT_MAX = 128 << 20, /* bytes waiting for a reader before it is given up */
	CONN_FDS_MAX = 64,           /* descriptors received and not yet claimed by a frame */
};

struct conn_frame; /* one frame waiting to be sent */

struct conn {
	int fd;
	struct buf in; /* bytes received; [in_at, len) not yet looked at */
	size_t in_at;
	int fds[CONN_FDS_MAX];
	size_t fd_count;
	struct conn_frame *first, *last;
	size_t unsent; /* bytes in those frames */
};

void conn_init(struct conn *c, int fd); /* fd is c's from now on */
void conn_release(struct conn *c);      /* closes everything */

/* Queues the frame in bytes (left empty) and sends what the socket takes. fd (or -1) goes with
 * it and is the conn's from now on. */
int conn_send(struct conn *c, struct buf *bytes, int fd, struct error *err);
/* Sends more of what waits; conn_pending tells whether some still does. */
int conn_flush(struct conn *c, struct error *err);
bool conn_pending(const struct conn *c);

/* Receives once: 0, or -EAGAIN when there is nothing now. */
int conn_receive(struct conn *c, struct error *err);

/* The next whole frame received: 1 and *payload (borrowed until the next call on c), or 0 when
 * there is none yet. */
int conn_next(struct conn *c, struct wire_header *header, const char **payload, size_t *len,
              struct error *err);
/* Claims the oldest descriptor received: the caller's, or -1 when there is none. */
int conn_claim_fd(struct conn *c);

#endif
