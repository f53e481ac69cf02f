/* What the client's files share; nobody else includes this. */
#ifndef GGFS_ENGINE_SERVICE_CLIENT_IMPL_H
#define GGFS_ENGINE_SERVICE_CLIENT_IMPL_H

#include "engine/service/conn.h"
#include "engine/service/messages.h"

struct client {
	struct client_options options; /* its strings are the client's own */
	char *store, *service, *version;
	struct conn conn;
	bool connected;
	uint32_t last_id;
	int64_t heard_ms, probed_ms; /* when; 0: not since it was heard */
	bool told_deaf;
	volatile const int *interrupted; /* of the force that waits; or NULL */
};

struct reply {
	uint16_t type;
	struct buf payload;
	int fd;         /* -1 when none came */
	unsigned tries; /* times it was asked, on as many connections; kept by reply_release */
};

void reply_release(struct reply *r);

static inline void scoped_reply_(struct reply *r)
{
	reply_release(r);
}
#define scoped_reply scoped(scoped_reply_)

/* Begins a request in b with an id of its own. */
size_t client_begin(struct client *c, struct buf *b, enum message_type type, uint32_t *id);

/* Connects if not connected. */
int client_connect(struct client *c, struct error *err);
void client_disconnect(struct client *c);
/* Sends a copy of the frame, with fd (stays the caller's, -1: none); connects first. Does not
 * retry: -ECONNRESET tells that the connection is lost, -EMSGSIZE that nothing was sent. */
int client_send(struct client *c, const struct buf *frame, int fd, struct error *err);
/* For events on the connection: 1; 0 when most_ms have passed (-1: no end); -EINTR when
 * interrupted, -ETIMEDOUT when the service is deaf and the client impatient. */
int client_wait(struct client *c, short events, int64_t most_ms, struct error *err);
void client_wait_begin(struct client *c); /* its silence counts from now */
/* What to say when CLIENT_TRIES_MAX connections were lost; -ECONNRESET. */
int client_lost(const struct client *c, struct error *err);

/*
 * The whole of a request: sends, waits for the answer with this id, and does both again when the
 * connection was lost. MESSAGE_ERROR becomes its code and text; any other type than want is
 * -EPROTO.
 */
int client_call(struct client *c, struct buf *frame, uint32_t id, int fd, enum message_type want,
                struct reply *out, struct error *err);

/* The same for requests whose payload is a digest, and for those with none. */
int client_call_digest(struct client *c, enum message_type type, const struct digest *d,
                       enum message_type want, struct reply *out, struct error *err);

#endif
