/*
 * S3 from threads that can wait: each function posts to the net's thread and waits for the end.
 *
 * Threads: any but the net's. Errors: as s3_judge.h has them.
 */
#ifndef GGFS_OBJSTORE_S3_WAIT_H
#define GGFS_OBJSTORE_S3_WAIT_H

#include "objstore/s3.h"
#include "objstore/s3_body.h"
#include "objstore/s3_fetch.h"

/* request's done and arg are set here. The body of the answer is moved to *body (may be NULL). */
int s3_call(struct s3 *s3, const struct s3_request *request, struct buf *body, struct error *err);
int s3_call_fetch(struct s3 *s3, const char *key, struct s3_body *body, struct s3_info *info,
                  struct error *err);
int s3_call_look(struct s3 *s3, const char *key, struct s3_info *info, struct error *err);
int s3_call_send(struct s3 *s3, const char *key, const struct s3_body *body, bool conditional,
                 struct error *err);

#endif
