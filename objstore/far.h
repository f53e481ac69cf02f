/*
 * Far: the far store (S3 and what speaks it) as the service, the engines and the worker use it:
 * asynchronous, thousands at a time. Keys are documented in docs/format-far.md:
 *
 *     PREFIX objects/ab/cdef...     a blob, maybe zstd ("Content-Encoding: zstd"), with
 *                                   its size in x-amz-meta-ggfs-size
 *     PREFIX memo/ab/cdef...        a memo's text
 *
 * What is absent there is put, once for all who ask; what was put or seen there is remembered
 * (far_known, kept by the caller's index), and forgotten when it proves wrong. Whatever arrives is
 * verified by digest before anybody sees it. Throttling, 5xx and lost connections are retried
 * with full jitter under one retry budget; a far store that is away pauses everything and
 * is probed, at most FAR_AWAY_MS long for one request.
 *
 * Threads: any, but far_free not the net's; done is called on the net's thread, once, never from
 * within the call. A group's done comes when all of it has ended, one way or the other.
 * Errors: -ENOENT absent, -EBADMSG what came has another digest (or what is near and to be sent),
 * -EACCES refused by the service or no credentials, -ENETDOWN away, -ENODEV no such bucket, -EINVAL
 * another region, -EPROTO no S3, -ENOSPC no room here, -ECANCELED far_free; else the transport's.
 */
#ifndef GGFS_OBJSTORE_FAR_H
#define GGFS_OBJSTORE_FAR_H

#include "common/aws/client.h"
#include "objstore/store.h"

enum {
	FAR_AWAY_MS = 120000,
	FAR_CONNECTIONS_DEFAULT = 64,   /* kept warm, and transfers at once */
	FAR_MULTIPART_BYTES = 64 << 20, /* larger puts go in parts */
	FAR_RANGED_BYTES = 32 << 20,    /* larger gets come in ranges, in parallel */
};

struct far;

struct far_options {
	const char *url;      /* s3://BUCKET[/PREFIX] */
	const char *endpoint; /* NULL: from the AWS configuration */
	const char *region;   /* likewise */
	int path_style;       /* -1: path style where the endpoint is not Amazon's; 0, 1 */
	unsigned connections; /* 0: FAR_CONNECTIONS_DEFAULT */
	/* Remembering what is there, across processes; may be NULL: in memory alone. Any thread. */
	bool (*known)(void *arg, const struct digest *d);
	void (*remember)(void *arg, const struct digest *d, bool there);
	void *arg;
};

/* near: where blobs are pushed from and pulled into; a local store. Both outlive it. */
int far_new(struct aws *aws, struct store *near, const struct far_options *options,
            struct far **out, struct error *err);
void far_free(struct far *far); /* what is under way ends with -ECANCELED first */
const char *far_url(const struct far *far);

typedef void far_done_fn(void *arg, int code, const struct error *err);
/* absent: the first blob that was in neither store (push) or not in far (pull), for -ENOENT. */
typedef void far_many_fn(void *arg, int code, const struct digest *absent, const struct error *err);

struct sized_blob {
	struct digest digest;
	uint64_t size_bytes; /* UINT64_MAX: not known */
};

/* Sees to it that all these blobs are in the far store. The list is copied. */
void far_push(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg);
/* Sees to it that all are in near. */
void far_pull(struct far *far, const struct sized_blob *blobs, size_t count, far_many_fn *done,
              void *arg);
/* Without asking anybody: it was seen there and has not proved absent since. */
bool far_known(struct far *far, const struct digest *d);
/* It proved wrong (absent, or with other bytes), or right: a worker says so. After it proved wrong
 * the next push puts it whatever is there. */
void far_remember(struct far *far, const struct digest *d, bool there);
/* 0 with its size, or -ENOENT, by asking. */
typedef void far_has_fn(void *arg, int code, uint64_t size_bytes, const struct error *err);
void far_has(struct far *far, const struct digest *d, far_has_fn *done, void *arg);

/* memo is the callee's to look at (and steal from) until it returns. */
typedef void far_memo_fn(void *arg, int code, struct memo *memo, const struct error *err);
void far_memo_get(struct far *far, const struct digest *thunk, far_memo_fn *done, void *arg);
void far_memo_put(struct far *far, const struct memo *memo, far_done_fn *done, void *arg);

/* Since far_new; for the bill. */
struct far_usage {
	uint64_t puts, gets, lists, deletes; /* requests, retried ones counted */
	uint64_t sent_bytes, received_bytes, retries;
	bool paused; /* away, being probed */
};
void far_usage(struct far *far, struct far_usage *out);

/* Told of sizes: that of each blob; in store_iterate, of the object as it lies there (maybe zstd).
 * The same bucket as a store of the contract (objstore/store.h): blocking, any thread but the
 * net's; for verbs, gc, fsck and the contract suite. options->known and remember are not used. */
int store_open_s3(struct aws *aws, const struct far_options *options, struct store **out,
                  struct error *err);
/* near over far: gets look in near, then in far, and what far had stays in near; puts go to near;
 * has and iterate tell of both (near first); memos likewise. Owns both from now on, on success. */
int store_open_near_far(struct store *near, struct store *far, struct store **out,
                        struct error *err);

#endif
