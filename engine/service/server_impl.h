/* What the service's own files share; nobody else includes this. All of it lives on the loop's
 * thread, but for what says otherwise. */
#ifndef GGFS_ENGINE_SERVICE_SERVER_IMPL_H
#define GGFS_ENGINE_SERVICE_SERVER_IMPL_H

#include "common/loop.h"
#include "engine/force.h"
#include "engine/service/cloud.h"
#include "engine/service/conn.h"
#include "engine/service/messages.h"
#include "common/pool.h"
#include "engine/service/server.h"

struct peer_force;

/* One connection. Work in the pool keeps it alive (refs) after the connection itself is gone. */
struct peer {
	struct server *server;
	struct peer *next, *previous;
	struct conn conn;
	struct loop_watch *watch;
	unsigned refs;
	bool closed;
	bool greeted;
	char *mountpoint;          /* of a mount's connection; else NULL */
	struct peer_force *forces; /* not yet ended */
};

/* The budget of a mount: good for all its connections to this service. */
struct mount_purse {
	char *mountpoint;
	struct purse *purse;
	struct mount_purse *next;
};

struct server {
	const struct server_options *options;
	struct loop *loop;
	struct store *store;
	struct index *index;
	struct engine *engine;
	struct cloud *cloud; /* owns the engine */
	struct mount_purse *purses;
	struct forcer *forcer;
	struct mount_table *mounts; /* locked inside; the pool reads it too */
	struct pool *pool;
	int listen_fd, signal_fd;
	struct loop_watch *listen_watch, *signal_watch;
	struct loop_timer *idle_timer, *accept_timer, *counts_timer;
	int64_t idle_since_ms;
	struct peer *peers;
	size_t peer_count;
	bool stopping;
};

/* --- server_peer.c: connections ------------------------------------------------------------- */

void server_accept(void *arg, uint32_t events);
void peer_close(struct peer *p);
void peer_ref(struct peer *p);
void peer_unref(struct peer *p);

/* Frames to a peer; nothing happens when it is closed. A peer that does not read is closed; one
 * whose answer is larger than a frame may be gets MESSAGE_ERROR instead. */
void peer_send(struct peer *p, struct buf *frame, int fd);
void peer_send_error(struct peer *p, uint32_t id, int code, const char *text);
void peer_send_ok(struct peer *p, uint32_t id, int fd);

/* Tells the mounts that it was somebody's wish, so that they do not start the next one at once. */
void server_tell_going(struct server *s);

/* --- server_requests.c: what each message does ------------------------------------------------ */

/* -EBADMSG, with a reason: the peer does not speak our protocol and is dropped. */
int server_handle(struct peer *p, const struct wire_header *header, const char *payload, size_t len,
                  struct error *err);

/* --- server_pool.c: what may take a while, off the loop --------------------------------------- */

int server_infer(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err);
int server_put(struct peer *p, uint32_t id, int fd, struct error *err);
int server_input(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err);
int server_log(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err);
int server_put_bytes(struct peer *p, uint32_t id, const char *payload, size_t len,
                     struct error *err);

/* --- server_force.c -----------------------------------------------------------------------------
 */

int server_force(struct peer *p, uint32_t id, const char *payload, size_t len, struct error *err);
void server_force_cancel(struct peer *p, uint32_t id);
void server_forces_drop(struct peer *p); /* the peer is gone */
int server_estimate(struct peer *p, uint32_t id, const char *payload, size_t len,
                    struct error *err);
void server_purses_free(struct server *s);
void server_event(void *arg, const struct force_event *event);
void server_settled(void *arg, const struct digest *thunk, int code);

#endif
