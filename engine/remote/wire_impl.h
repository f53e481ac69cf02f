/*
 * What requests and answers share: JSON written by hand (a request is encoded for each of
 * thousands of invocations), read by jansson, and blobs within it.
 *
 * Private to the wire. Pure; threads: any.
 */
#ifndef GGFS_ENGINE_REMOTE_WIRE_IMPL_H
#define GGFS_ENGINE_REMOTE_WIRE_IMPL_H

#include <jansson.h>

#include "engine/remote/wire.h"

enum {
	WIRE_COMPRESS_MIN = 512,  /* of smaller blobs zstd makes too little to be worth its time */
	WIRE_TEXT_MAX = 64 << 10, /* of a string that is neither a blob nor a memo */
};

/* --- writing -----------------------------------------------------------------------------------
 */

/* A JSON string of the bytes; what is no UTF-8, and NUL, becomes U+FFFD. */
void json_wire_add_bytes(struct buf *b, const char *bytes, size_t len);
/* ,"NAME":"TEXT"; nothing when text is NULL. */
void json_wire_add_text(struct buf *b, const char *name, const char *text);
void json_wire_add_number(struct buf *b, const char *name, uint64_t value);
void json_wire_add_true(struct buf *b, const char *name, bool value); /* nothing when false */
/* A digest as a JSON string, without name or comma. */
void json_wire_add_digest(struct buf *b, const struct digest *d);
/* ,"blobs":[...] */
void json_wire_add_blobs(struct buf *b, const struct remote_blobs *blobs);

/* --- reading -----------------------------------------------------------------------------------
 */

/* Parses a message of at most REMOTE_HTTP_BYTES_MAX bytes: an object whose "protocol" is ours.
 * Free *out with json_decref, which -EPROTO leaves set as well. */
int json_wire_parse(const char *text, size_t len, json_t **out, struct error *err);

/* Members of an object. Absent (or null): 0, and *out as it was. -EBADMSG: of another type. */
int json_wire_text(const json_t *object, const char *name, char **out, struct error *err);
int json_wire_number(const json_t *object, const char *name, uint64_t max, uint64_t *out,
                     struct error *err);
int json_wire_bool(const json_t *object, const char *name, bool *out, struct error *err);
/* 1: there was one. */
int json_wire_digest(const json_t *object, const char *name, struct digest *out, struct error *err);
int json_wire_digest_of(const json_t *value, const char *what, struct digest *out,
                        struct error *err);
/* *out is NULL when absent; borrowed. -EFBIG: more than max. */
int json_wire_array(const json_t *object, const char *name, size_t max, json_t **out,
                    struct error *err);
/* out must be zeroed. */
int json_wire_blobs(const json_t *object, struct remote_blobs *out, struct error *err);

#endif
