/*
 * Messages: the types of frames on the service's socket and what they carry (docs/protocol.md).
 * Pure: each pair encodes into a buffer and decodes from memory. Decoders want all of the
 * payload, nothing more: -EBADMSG otherwise, with what they took released again.
 */
#ifndef GGFS_ENGINE_SERVICE_MESSAGES_H
#define GGFS_ENGINE_SERVICE_MESSAGES_H

#include "engine/service/client.h"
#include "engine/service/wire.h"

enum { PROTOCOL_VERSION = 2, MESSAGE_REFS_MAX = 1000000, MESSAGE_LOG_MAX = 100000 };
#define MESSAGE_DEADLINE_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)

enum message_type {
	/* asked by clients; the answer follows the arrow, or MESSAGE_ERROR */
	MESSAGE_HELLO = 1,    /* hello → hello */
	MESSAGE_INFER,        /* infer_request → infer_answer */
	MESSAGE_PUT,          /* (descriptor) → DIGEST */
	MESSAGE_PUT_BYTES,    /* bytes → DIGEST */
	MESSAGE_GET,          /* digest → OK with a descriptor */
	MESSAGE_FORCE,        /* force → EVENT*, RESULT*, OK at the end */
	MESSAGE_FORCE_CANCEL, /* no payload; the id is that of the force; no answer */
	MESSAGE_LOOK,         /* ref → look */
	MESSAGE_WAITING,      /* digest → digests */
	MESSAGE_MEMO,         /* digest → memo text */
	MESSAGE_CANCEL,       /* u8 whether one thunk, digest → OK */
	MESSAGE_RETRY,        /* digest → OK */
	MESSAGE_LOG,          /* u32 limit → records */
	MESSAGE_INFO,         /* → info */
	MESSAGE_STOP,         /* → OK, then the end */
	MESSAGE_MOUNT,        /* string mountpoint (descriptor) → OK; SETTLED from then on */
	MESSAGE_INPUT,        /* string path, u8 whether with its closure → manifest text */
	MESSAGE_ESTIMATE,     /* string engines, u8 whole, list of refs → estimate */
	MESSAGE_BILL,         /* → bill */
	/* said by the service */
	MESSAGE_OK = 64,
	MESSAGE_ERROR,   /* i64 code, string */
	MESSAGE_DIGEST,  /* digest, u64 size */
	MESSAGE_EVENT,   /* event */
	MESSAGE_RESULT,  /* u32 index, force result */
	MESSAGE_SETTLED, /* digest, i64 code; id 0, unasked */
	MESSAGE_ANSWER,  /* any other answer */
	MESSAGE_GOING,   /* no payload; to mounts, id 0, unasked: was told to stop */
};

struct message_hello {
	uint32_t protocol;
	uint32_t pid;
	char *version;
	char *store; /* the service's; empty from a client */
};
void message_hello_encode(struct buf *b, const struct message_hello *m);
int message_hello_decode(const char *p, size_t len, struct message_hello *m, struct error *err);
void message_hello_release(struct message_hello *m);

void message_infer_encode(struct buf *b, const struct infer_request *m);
int message_infer_decode(const char *p, size_t len, struct infer_request *m, struct error *err);
void message_infer_answer_encode(struct buf *b, const struct infer_answer *m);
int message_infer_answer_decode(const char *p, size_t len, struct infer_answer *m,
                                struct error *err);

struct message_force {
	struct ref *refs;
	size_t count;
	uint32_t jobs; /* 0: as it is */
	char *engine;  /* which engines, "local=2,lambda=100"; "": as the store's settings say */
	char *asker;
	int64_t deadline_ms; /* 0: none; at most MESSAGE_DEADLINE_MAX_MS */
	uint8_t priority;    /* enum force_priority */
	bool keep_going;
	bool events; /* wants MESSAGE_EVENT */
	bool local_only, leave_far; /* as in struct force_request */
	uint64_t budget_nanodollars; /* 0: none */
};
void message_force_encode(struct buf *b, const struct message_force *m);
int message_force_decode(const char *p, size_t len, struct message_force *m, struct error *err);
void message_force_release(struct message_force *m);

void message_counts_encode(struct buf *b, const struct force_counts *c);
struct force_counts message_counts_read(struct wire_reader *r);

struct message_event {
	struct force_counts counts;
	bool has_event;
	struct force_event event; /* its strings belong to the message */
};
void message_event_encode(struct buf *b, const struct message_event *m);
int message_event_decode(const char *p, size_t len, struct message_event *m, struct error *err);
void message_event_release(struct message_event *m);

void message_result_encode(struct buf *b, uint32_t index, const struct client_force_result *m);
int message_result_decode(const char *p, size_t len, uint32_t *index, struct client_force_result *m,
                          struct error *err);

void message_look_encode(struct buf *b, const struct force_look *m);
int message_look_decode(const char *p, size_t len, struct force_look *m, struct error *err);

void message_estimate_encode(struct buf *b, const struct force_estimate *m);
int message_estimate_decode(const char *p, size_t len, struct force_estimate *m, struct error *err);

void message_bill_encode(struct buf *b, const struct client_bill *m);
int message_bill_decode(const char *p, size_t len, struct client_bill *m, struct error *err);

void message_info_encode(struct buf *b, const struct client_service_info *m);
int message_info_decode(const char *p, size_t len, struct client_service_info *m,
                        struct error *err);

void message_log_record_encode(struct buf *b, const struct log_record *m);
/* Reads one record where r stands. */
void message_log_record_read(struct wire_reader *r, struct log_record *m);

void message_error_encode(struct buf *b, int code, const char *text);
/* Returns the (negative) code that was sent, with its text in err; -EBADMSG if malformed. */
int message_error_decode(const char *p, size_t len, struct error *err);

#endif
