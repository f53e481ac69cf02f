/*
 * What travels to a worker and back (docs/format-worker.md): JSON, because Lambda takes nothing
 * else; blobs inside are base64, zstd first where that is smaller. One request carries one or
 * more resolved thunks; each is a blob of the request, or else in the far store, like any input.
 *
 * Pure. Everything decoded is checked: lengths, digests of all inline blobs, UTF-8, types; unknown
 * members are ignored, so that later versions may add some. Errors: -EBADMSG malformed or a blob
 * with another digest; -EFBIG over a limit; -EPROTO another protocol number.
 */
#ifndef GGFS_ENGINE_REMOTE_WIRE_H
#define GGFS_ENGINE_REMOTE_WIRE_H

#include "engine/engine.h"

enum {
	REMOTE_PROTOCOL = 1,
	REMOTE_THUNKS_MAX = 256, /* of one request */
	REMOTE_BLOBS_MAX = 100000,
	REMOTE_BYTES_MAX = 6 << 20,       /* Lambda's limit on a request and on an answer, whole */
	REMOTE_HTTP_BYTES_MAX = 32 << 20, /* of an HTTP worker */
	REMOTE_PACKS_MAX = 64,             /* of a request */
	REMOTE_STDERR_MAX = 16 << 10,     /* of a function's, in an answer: its end */
	REMOTE_REASON_MAX = 4 << 10,      /* longer sentences are cut */
	REMOTE_DECODED_MAX = 256 << 20,   /* of all blobs of a message, decompressed */
};

struct remote_blob {
	struct digest digest;
	const void *bytes; /* borrowed, in both directions */
	size_t len;
};

struct remote_blobs {
	struct remote_blob *items;
	size_t count, capacity;
	struct buf bytes; /* decoded ones lie here */
};
void remote_blobs_release(struct remote_blobs *b);
void remote_blobs_add(struct remote_blobs *b, const struct digest *d, const void *bytes,
                      size_t len);
/* At most how many bytes of a message a blob takes, compressed or not. */
size_t remote_blob_cost(size_t len);
/* The blob of this digest, or NULL; borrowed until b changes. Looks at each. */
const struct remote_blob *remote_blobs_find(const struct remote_blobs *b, const struct digest *d);

/* A pack (objstore/pack.h) of all that the manifest of names. */
struct remote_pack {
	struct digest of, pack;
	uint64_t size_bytes;
};

struct remote_request {
	char *version;         /* GGFS_VERSION of the sender: a worker of another one refuses */
	struct digest *thunks; /* resolved, run one after the other */
	size_t thunk_count;
	struct digest *next; /* run after them: inputs may be outputs of a thunk named before */
	size_t next_count;
	struct remote_blobs blobs;
	char *far_url, *far_endpoint, *far_region; /* NULL: no far store, all inputs are inside */
	int far_path_style;                        /* as in struct far_options */
	struct remote_pack *packs; /* of toolchains, in the far store */
	size_t pack_count;
	bool keep_results;                         /* put results and memos in the far store */
	uint32_t inline_max; /* outputs up to so many bytes each also come in the answer */
};
void remote_request_release(struct remote_request *r);
void remote_request_encode(const struct remote_request *r, struct buf *b);
/* out must be zeroed; after -EPROTO its version alone is set, to be released, so that the refusal
 * can name it; after another failure it is zero again. */
int remote_request_decode(const char *text, size_t len, struct remote_request *out,
                          struct error *err);

struct remote_usage {
	uint64_t micros; /* the whole handling of this thunk, fetching included */
	uint64_t function_micros;
	uint64_t max_rss_kib;
	uint64_t far_gets, far_puts, far_received_bytes, far_sent_bytes;
	bool cold; /* the worker's first */
};

struct remote_result {
	struct digest thunk;
	enum outcome outcome;
	int exit_status;
	struct memo memo;  /* OUTCOME_DONE; its engine and cost are for the receiver to fill in */
	char *reason;      /* NULL when done */
	char *stderr_tail; /* never NULL */
	bool has_absent;
	struct digest absent;
	bool stored; /* all outputs, yielded thunks and the memo are in the far store */
	struct remote_usage usage;
};

struct remote_answer {
	char *version, *worker;        /* worker: a name that tells instances apart */
	bool wrong_version;            /* nothing was run */
	char *reason;                  /* why nothing was run; else NULL */
	/* One for each thunk of the request, in any order; for each of its next ones that was run,
	 * named by its digest with all inputs put in. */
	struct remote_result *results;
	size_t result_count;
	struct remote_blobs blobs;
};
void remote_answer_release(struct remote_answer *a);
void remote_answer_encode(const struct remote_answer *a, struct buf *b);
/* out must be zeroed; it is zero again on failure. */
int remote_answer_decode(const char *text, size_t len, struct remote_answer *out,
                         struct error *err);

#endif
