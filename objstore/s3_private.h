/*
 * What the two files of the S3 requests share. s3.c: one request's life; s3_pause.c: the queue,
 * how many at once, and the pause while nobody answers. All on the net's thread.
 */
#ifndef GGFS_OBJSTORE_S3_PRIVATE_H
#define GGFS_OBJSTORE_S3_PRIVATE_H

#include <stdatomic.h>

#include "objstore/s3.h"

enum { S3_WINDOW_UNIT = 256 };

/* One request, from s3_start to its done. On one list of all; and, while it waits for its turn,
 * in the queue. */
struct s3_op {
	struct s3 *s3;
	struct s3_request r;
	char *path, *query, *payload_sha256;
	struct strv headers;
	struct aws_call *call;
	struct loop_timer *timer; /* until it is queued again */
	unsigned failures;
	uint64_t number; /* among those sent */
	bool of_bucket;
	int64_t queued_ms;
	bool listed;        /* on the list of all */
	struct error *last; /* why it was sent again; NULL: it was not */
	struct s3_op *prev, *next;
	struct s3_op *queue_next;
};

struct s3_counters {
	atomic_uint_fast64_t puts, gets, lists, deletes, sent_bytes, received_bytes, retries;
	atomic_bool paused;
};

struct s3 {
	struct aws *aws;
	struct s3_place place;
	struct s3_limits limits;
	struct s3_budget budget;
	unsigned connections;
	unsigned active;
	/* How many at once, in units of 1/S3_WINDOW_UNIT: one more for each success up to the
	 * threshold, then one more for each window full of them; half when throttled. */
	unsigned window, threshold;
	uint64_t sends, shrunk_at; /* requests sent so far, and when it was last halved */
	struct s3_op *all;
	struct s3_op *queue, *queue_last;
	bool pump_posted, stopped;
	bool unconditional; /* the service knows no conditional put */
	unsigned failures_in_row;
	bool paused, told; /* told: somebody was, for it lasts */
	int64_t paused_ms, next_probe_ms;
	unsigned probes;
	struct s3_op *probe; /* under way */
	struct loop_timer *tick;
	unsigned seed;
	struct s3_counters usage;
};

/* s3.c */
void s3_op_send(struct s3_op *op);
void s3_op_finish(struct s3_op *op, int code, struct http_response *response,
                  const struct error *err);
uint32_t s3_random(struct s3 *s3);
struct loop *s3_loop(const struct s3 *s3);

/* s3_pause.c */
void s3_enqueue(struct s3_op *op);
/* Has what may be sent now sent, soon. */
void s3_pump(struct s3 *s3);
/* It answered, whatever it said. */
void s3_went_well(struct s3 *s3);
/* It wants fewer of us. */
void s3_throttled(struct s3 *s3, const struct s3_op *op);
/* Whether so many failures in a row mean that nobody is there. */
bool s3_seems_away(const struct s3 *s3);
void s3_pause(struct s3 *s3);
void s3_probe_failed(struct s3 *s3, const struct s3_op *op);
void s3_probe_ended(struct s3 *s3, struct s3_op *op);
void s3_pause_stop(struct s3 *s3);

#endif
