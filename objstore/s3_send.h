/*
 * Sending one packed body: by one PUT, or in parts when it was packed in parts. An upload in parts
 * that fails is aborted, so that its parts are not paid for.
 *
 * Threads: the net's.
 */
#ifndef GGFS_OBJSTORE_S3_SEND_H
#define GGFS_OBJSTORE_S3_SEND_H

#include "objstore/s3.h"
#include "objstore/s3_body.h"

enum { S3_PARTS_AT_ONCE = 4 }; /* of one object */

/* code: 0 sent; -EEXIST it was there already (conditional); else as s3_judge.h has them. */
typedef void s3_send_fn(void *arg, int code, const struct error *err);

/* body is borrowed until done. conditional: only if there is nothing under that key. */
void s3_send(struct s3 *s3, const char *key, const struct s3_body *body, bool conditional,
             int64_t since_ms, s3_send_fn *done, void *arg);

#endif
