/* What the link's files share; nobody else includes this. */
#ifndef GGFS_ENGINE_SERVICE_LINK_IMPL_H
#define GGFS_ENGINE_SERVICE_LINK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/loop.h"
#include "engine/service/conn.h"
#include "engine/service/link.h"
#include "engine/service/messages.h"

enum {
	LINK_RETRY_FIRST_MS = 50, /* between tries to connect; doubles up to ... */
	LINK_RETRY_MOST_MS = 500,
	LINK_LIVED_MS = 1000,      /* a connection that lasted so long was a good one */
	LINK_SWEEP_MS = 100,       /* between looks for deadlines that have passed */
	LINK_SWEEP_GRACE_MS = 100, /* the service's own answer is the better one */
};

enum asked_kind { ASKED_FORCE, ASKED_LOOK };

/*
 * One request, from its asking to its answer. A struct link_force * that callers hold is its
 * id in disguise and never looked through, so a late withdrawal finds nothing instead of
 * something freed.
 */
struct asked {
	struct asked *next;
	enum asked_kind kind;
	uint32_t id;
	struct ref ref;
	char *asker;
	bool local_only;
	int64_t due_ms;   /* on the monotonic clock; 0: none */
	uint64_t sent_on; /* number of the connection that it was last sent on; 0: none */
	unsigned lost;    /* short connections lost in a row while it waited */
	force_done_fn *done;
	link_look_fn *look;
	void *arg;
};

struct link {
	struct link_options options; /* its strings and descriptor are the link's own */
	char *mountpoint, *store, *service, *version, *engine;
	struct loop *loop;
	pthread_t thread, connector;
	atomic_bool closing;
	_Atomic uint32_t last_id;

	pthread_mutex_t lock; /* guards asked */
	struct asked *asked;  /* forces and looks not answered, the newest first */

	/* The loop's thread only, and link_free once that has ended: */
	bool connected, was_connected, connecting, told_away;
	bool quiet; /* the service was told to stop: none is started until there is a request */
	struct conn conn;
	uint64_t connection; /* counts them */
	int64_t connected_ms, away_since_ms;
	struct loop_watch *watch;
	struct loop_timer *timer, *sweep;
	int64_t retry_ms;
	/* Handed over by the connector thread, read after it was joined. */
	int connect_code;
	struct error connect_error;
	struct conn fresh;
	struct client_options connect_options; /* lent to the thread */
};

/* --- link.c: what was asked ------------------------------------------------------------------ */

/* Takes the request with this id off the list; NULL when it is not (any more) there. */
struct asked *link_take(struct link *l, uint32_t id);
/* The same for the first that fits. */
typedef bool link_fits_fn(const struct link *l, const struct asked *a);
struct asked *link_take_first(struct link *l, link_fits_fn *fits);

/* Answers and frees. */
void link_answer_force(struct asked *a, int code, const struct ref *ref, const char *reason,
                       const struct digest *failed, bool memoised);
void link_answer_look(struct asked *a, int code, const struct force_look *look);

/* --- link_connection.c: all on the loop's thread ---------------------------------------------- */

void link_connect(void *link);
void link_wake(struct link *l); /* there is a request: connects, if not connected */
void link_disconnect(struct link *l); /* connects anew, unless the link is closing */
void link_send(struct link *l, struct buf *frame, int fd);
/* Sends the request with this id on the present connection, once; nothing if it was withdrawn. */
void link_send_asked(struct link *l, uint32_t id);

/* --- link_frames.c: what the service says ------------------------------------------------------
 */

void link_on_frame(struct link *l, const struct wire_header *header, const char *payload,
                   size_t len);

#endif
