/* Pushing one blob: asked for first when it is large, else put if absent. */
#include "objstore/far_private.h"

#include "objstore/s3_send.h"

static void on_sent(void *arg, int code, const struct error *err)
{
	struct far_job *job = arg;
	/* A damaged blob of ours is nothing that anybody should read as "what came is wrong". */
	if (code == 0 || code == -EEXIST) {
		far_note(job->far, &job->digest, FAR_THERE);
		far_settle(job, 0, NULL);
	} else {
		far_settle(job, code, err);
	}
}

static void pack(void *arg)
{
	struct far_job *job = arg;
	struct error err = ERROR_INIT;
	scoped_fd int fd = store_get(job->far->near, &job->digest, &err);
	int r = fd < 0 ? fd : s3_body_pack(&job->body, fd, &job->digest, FAR_MULTIPART_BYTES, &err);
	far_job_result(job, r, &err);
}

static void on_packed(void *arg)
{
	struct far_job *job = arg;
	if (job->code < 0)
		far_settle(job, job->code, job->err);
	else
		s3_send(job->far->s3, job->key, &job->body, !job->replace, job->queued_ms, on_sent,
		        job);
}

/* Neither here nor there. */
static void nowhere(struct far_job *job)
{
	struct error err = ERROR_INIT;
	int code = error_set(&err, -ENOENT, "blob %s is neither in the local store nor in %s",
	                     digest_hex(&job->digest).text, far_url(job->far));
	far_note(job->far, &job->digest, FAR_ABSENT);
	far_settle(job, code, &err);
}

static void on_looked(void *arg, int code, const struct s3_info *info, const struct error *err)
{
	struct far_job *job = arg;
	bool here = job->code == 0;
	if (code == 0 && (!here || info->plain_bytes == job->size_bytes)) {
		far_note(job->far, &job->digest, FAR_THERE);
		far_settle(job, 0, NULL);
		return;
	}
	/* There in another size: something has cut it short. */
	job->replace = code == 0;
	if (code < 0 && code != -ENOENT)
		far_settle(job, code, err);
	else if (here)
		far_in_pool(job, pack, on_packed);
	else
		nowhere(job);
}

static bool goes_unasked(const struct far_job *job)
{
	return job->replace || job->size_bytes <= FAR_UNASKED_BYTES;
}

static void look_here(void *arg)
{
	struct far_job *job = arg;
	struct error err = ERROR_INIT;
	int r = store_has(job->far->near, &job->digest, &job->size_bytes, &err);
	far_job_result(job, r, &err);
	if (r == 0 && goes_unasked(job))
		pack(job);
}

static void on_looked_here(void *arg)
{
	struct far_job *job = arg;
	if (job->code == 0 && goes_unasked(job))
		on_packed(job);
	else if (job->code == 0 || job->code == -ENOENT)
		s3_look(job->far->s3, job->key, job->queued_ms, on_looked, job);
	else
		far_settle(job, job->code, job->err);
}

void far_push_begin(struct far_job *job)
{
	job->replace = far_is_wrong(job->far, &job->digest);
	far_in_pool(job, look_here, on_looked_here);
}
