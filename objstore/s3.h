/*
 * S3 requests to one bucket, as many as there are, at most a number of them at once; sent again as
 * objstore/s3_retry.h has it. When nobody answers, or nothing but errors came for a while, all wait
 * (paused) but one, which is sent again now and then as a probe; whoever has waited for away_ms
 * gets -ENETDOWN. When throttled, fewer are sent at once, and more again as it goes well.
 *
 * Threads: all on the net's thread, but where it says otherwise.
 * Errors: as s3_judge.h has them.
 */
#ifndef GGFS_OBJSTORE_S3_H
#define GGFS_OBJSTORE_S3_H

#include "common/aws/client.h"
#include "objstore/far.h"
#include "objstore/s3_place.h"
#include "objstore/s3_retry.h"

struct s3;

struct s3_answer {
	int code;                       /* 0, or as s3_judge() has it; -ECANCELED by s3_stop */
	struct http_response *response; /* what came last; NULL: nothing; its body may be stolen */
	const struct error *err;
};

typedef void s3_done_fn(void *arg, const struct s3_answer *answer);

struct s3_request {
	const char *method;
	const char *key;   /* NULL: the bucket itself; copied */
	const char *query; /* encoded, or NULL; copied */
	const char *const *headers;
	size_t header_count; /* copied */
	bool conditional;    /* If-None-Match: *, where the service knows that */
	bool late_error;     /* see s3_judge */
	const void *body;    /* borrowed until done */
	uint64_t body_len;
	http_source_fn *source;
	const char *payload_sha256; /* of the source's bytes; copied */
	http_sink_fn *sink;
	size_t body_max;
	int64_t since_ms; /* waiting since then already (now_ms()); 0: since now */
	void (*again)(
	        void *arg); /* before each attempt: what came through the sink is void; or NULL */
	void *arg;
	s3_done_fn *done; /* once, never from within s3_start */
};

/* Any thread. The AWS client must outlive it. */
int s3_new(struct aws *aws, const struct far_options *options, struct s3 **out, struct error *err);
/* s3_stop, from any thread but the net's, and waits until all have been told. */
void s3_close(struct s3 *s3);
void s3_free(struct s3 *s3); /* closed before, or never used; NULL is fine */
const struct s3_place *s3_get_place(const struct s3 *s3);
struct net *s3_net(const struct s3 *s3);
unsigned s3_connections(const struct s3 *s3);
void s3_set_limits(struct s3 *s3, const struct s3_limits *limits); /* before the first request */

void s3_start(struct s3 *s3, const struct s3_request *request);
/* All end with -ECANCELED, now; those started later as well. */
void s3_stop(struct s3 *s3);

/* Any thread. */
void s3_usage(struct s3 *s3, struct far_usage *out);

#endif
