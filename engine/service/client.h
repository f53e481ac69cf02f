/*
 * Client: a connection to the service of one store, started when it is not there. For verbs and
 * stand-ins: blocking, one request at a time. Mounts use engine/service/link.h, which never blocks.
 *
 * A connection lost in mid-request is made again (the service started anew if it is gone)
 * and the request asked again, until CLIENT_TRIES_MAX: all requests are idempotent.
 *
 * A request may take as long as it takes. A service that has been silent for a while is asked
 * whether it is there; one that does not even answer that is deaf.
 *
 * A client newer than the service asks it to step down and starts its own binary's; one whose
 * protocol is older than the service speaks, or newer than one that it may not replace, gets
 * -EPROTO.
 *
 * Threads: one owner at a time. Errors: -ECONNREFUSED no service and none could be started.
 */
#ifndef GGFS_ENGINE_SERVICE_CLIENT_H
#define GGFS_ENGINE_SERVICE_CLIENT_H

#include "engine/force.h"
#include "engine/price.h"
#include "engine/model/infer.h"

enum { CLIENT_TRIES_MAX = 20, CLIENT_DEAF_MS = 3000 };

struct client;

struct client_options {
	const char *store;   /* directory; NULL: client_default_store() */
	const char *service; /* path of the ggfs binary to start it with; NULL: this executable's
	                        directory, then PATH */
	const char *version; /* what to call ourselves; NULL: GGFS_VERSION */
	bool never_start;    /* -ECONNREFUSED rather than start one */
	int64_t patience_ms; /* with a service that is deaf (below): -ETIMEDOUT then; 0: no end, and
	                        one warning after CLIENT_DEAF_MS */
};

/* $GGFS_STORE, else $XDG_CACHE_HOME/ggfs, else ~/.cache/ggfs. Yours to free. */
char *client_default_store(void);

int client_open(const struct client_options *options, struct client **out, struct error *err);
void client_free(struct client *c);

int client_infer(struct client *c, const struct infer_request *request, struct infer_answer *out,
                 struct error *err);

/* Blobs and thunks into the store. */
int client_put_fd(struct client *c, int fd, struct digest *out, uint64_t *size_bytes,
                  struct error *err);
int client_put_bytes(struct client *c, const void *bytes, size_t len, struct digest *out,
                     struct error *err);
/* The file at an absolute path as inputs of a thunk, appended to into (unfinished): its links and
 * the file itself, lazily if it is lazy; or, with closure, all files that it needs to start as a
 * program. Errors as view_input() and closure_add() (engine/model/). */
int client_input(struct client *c, const char *path, bool closure, struct manifest *into,
                 struct error *err);
/* Any blob of the store, as a descriptor (passed over the socket). -ENOENT absent. */
int client_get(struct client *c, const struct digest *d, struct error *err);

/* Forces all refs. progress may be NULL. Returns 0 when all are ready, else the code of the
 * first that failed; results has one entry a ref, in order, yours to release. */
struct client_force_result {
	int code;
	struct ref ref;
	char *reason;
	struct digest failed;
	bool memoised;
};
struct client_progress {
	struct force_counts counts;      /* of this request's work as far as known */
	const struct force_event *event; /* NULL: only the counts changed, or time has passed */
};
typedef void client_progress_fn(void *arg, const struct client_progress *progress);
struct client_force_options {
	unsigned jobs;               /* 0: leave the engine's capacity alone */
	const char *engine;          /* "local=2,lambda=100"; NULL: as the store's settings say */
	bool leave_far;              /* results may stay in the far store */
	uint64_t budget_nanodollars; /* 0: none */
	bool keep_going;             /* else the first failure cancels what has not started */
	int64_t deadline_ms;         /* 0: none */
	client_progress_fn *progress;
	void *arg;
	volatile const int *interrupted; /* polled; non-zero: cancel and return -EINTR */
};
int client_force(struct client *c, const struct ref *refs, size_t count,
                 const struct client_force_options *options, struct client_force_result *results,
                 struct error *err);
void client_force_result_release(struct client_force_result *r);

int client_look(struct client *c, const struct ref *ref, struct force_look *out, struct error *err);
int client_waiting_for(struct client *c, const struct digest *thunk, struct digest **out,
                       size_t *count, struct error *err);
int client_memo(struct client *c, const struct digest *thunk, struct memo *out, struct error *err);
/* thunk NULL: everything. */
int client_cancel(struct client *c, const struct digest *thunk, struct error *err);
int client_retry(struct client *c, const struct digest *thunk, struct error *err);
int client_log(struct client *c, size_t limit, index_log_fn *fn, void *arg, struct error *err);

/* What forcing all refs would run and cost on these engines (NULL: as the settings say); whole as
 * in forcer_estimate(). */
int client_estimate(struct client *c, const struct ref *refs, size_t count, const char *engines,
                    bool whole, struct force_estimate *out, struct error *err);
/* What was spent since the service began. */
struct client_bill {
	struct ledger_totals totals;
	char *prices_date; /* "" where nothing costs */
	char *far_url;     /* "": none */
	bool far_paused;
};
int client_bill(struct client *c, struct client_bill *out, struct error *err);
void client_bill_release(struct client_bill *bill);

struct client_service_info {
	int pid;
	char *version;
	char *store;
	char *engine;
	unsigned jobs;
	struct force_counts counts;
	struct strv mounts; /* mountpoints registered now */
};
int client_info(struct client *c, struct client_service_info *out, struct error *err);
void client_service_info_release(struct client_service_info *info);

/* Ends the service: running work is killed, nothing is lost. 0 also when none runs, for
 * a client with never_start. Returns when it is gone. */
int client_stop(struct client *c, struct error *err);
/* The same for the service of the options' store, whatever protocol it speaks; -ECONNREFUSED
 * when there is none. */
int client_stop_service(const struct client_options *options, struct error *err);

#endif
