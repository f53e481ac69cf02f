/*
 * What an answer of S3's means: whether to send the request again, and the errno and sentence
 * otherwise. Amazon S3 API Reference, "Error responses".
 *
 * Threads: pure functions.
 */
#ifndef GGFS_OBJSTORE_S3_JUDGE_H
#define GGFS_OBJSTORE_S3_JUDGE_H

#include "common/http.h"
#include "objstore/s3_place.h"

enum s3_verdict {
	S3_SETTLED,       /* code says how; trying again would change nothing */
	S3_AGAIN,         /* worth another try: cut off, 5xx */
	S3_SLOW,          /* likewise, and fewer at once: 429, 503 */
	S3_AWAY,          /* likewise, and nobody is there: no connection, no name */
	S3_UNCONDITIONAL, /* the service knows no conditional put: again, without the condition */
};

/*
 * code: 0 for 2xx; -ENOENT no such key; -EEXIST the condition was not met; -ERANGE the range is
 * outside of the object; -EACCES refused; -ENODEV no such bucket; -EINVAL another region; -EPROTO
 * not an answer of S3's; -ESTALE no such upload in parts; for those worth another try -ENETDOWN.
 * Else the transport's, or -EIO. late_error: a 200 may have an error in its body
 * (CompleteMultipartUpload, CopyObject).
 */
enum s3_verdict s3_judge(const struct s3_place *place, const struct http_response *r,
                         bool late_error, int *code, struct error *err);

#endif
