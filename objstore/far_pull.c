/* Pulling one blob: fetched, verified, and only then in the near store. */
#include "objstore/far_private.h"

#include "common/log.h"

DEFINE_SCOPED(scoped_put_, struct store_put, store_put_abort)

static int add(void *put, const void *bytes, size_t len, struct error *err)
{
	return store_put_write(put, bytes, len, err);
}

static int keep_verified(struct far_job *job, struct error *err)
{
	scoped(scoped_put_) struct store_put *put = NULL;
	struct digest d;
	if (job->info.zstd && job->info.plain_bytes == UINT64_MAX)
		return error_set(err, -EBADMSG, "it is compressed and has no " S3_SIZE_HEADER);
	int r = store_put_begin(job->far->near, &put, err);
	if (r == 0)
		r = s3_body_unpack(&job->body, job->info.zstd, job->info.plain_bytes, add, put,
		                   err);
	return r < 0 ? r : store_put_finish(steal(&put), &job->digest, &d, err);
}

static void keep(void *arg)
{
	struct far_job *job = arg;
	struct error err = ERROR_INIT;
	int r = keep_verified(job, &err);
	if (r == -EBADMSG)
		error_prefix(&err, r, "blob %s from %s is not what it should be",
		             digest_hex(&job->digest).text, far_url(job->far));
	far_job_result(job, r, &err);
}

static void fetch(struct far_job *job);

/* Other bytes: maybe only on the way, so once more; then what is there is wrong. */
static void came_wrong(struct far_job *job, const struct error *err)
{
	s3_body_release(&job->body);
	if (job->refetches++ < FAR_REFETCHES) {
		log_info("%s; once more", error_text(err));
		fetch(job);
		return;
	}
	far_note(job->far, &job->digest, FAR_WRONG);
	far_settle(job, -EBADMSG, err);
}

static void on_kept(void *arg)
{
	struct far_job *job = arg;
	if (job->code == -EBADMSG) {
		struct error err = *job->err;
		came_wrong(job, &err);
		return;
	}
	if (job->code == 0)
		far_note(job->far, &job->digest, FAR_THERE);
	far_settle(job, job->code, job->err);
}

static void on_fetched(void *arg, int code, struct s3_body *body, const struct s3_info *info,
                       const struct error *err)
{
	struct far_job *job = arg;
	if (code == -EBADMSG) {
		came_wrong(job, err);
	} else if (code == -ENOENT) {
		struct error absent = ERROR_INIT;
		error_set(&absent, code, "blob %s is not in %s", digest_hex(&job->digest).text,
		          far_url(job->far));
		far_note(job->far, &job->digest, FAR_ABSENT);
		far_settle(job, code, &absent);
	} else if (code < 0) {
		far_settle(job, code, err);
	} else {
		job->body = *body;
		*body = S3_BODY_INIT(body->dirfd);
		job->info = *info;
		far_in_pool(job, keep, on_kept);
	}
}

static void fetch(struct far_job *job)
{
	s3_fetch(job->far->s3, job->key, job->size_bytes, job->far->near_dirfd, job->queued_ms,
	         on_fetched, job);
}

static void look_here(void *arg)
{
	struct far_job *job = arg;
	struct error err = ERROR_INIT;
	far_job_result(job, store_has(job->far->near, &job->digest, NULL, &err), &err);
}

static void on_looked_here(void *arg)
{
	struct far_job *job = arg;
	if (job->code == -ENOENT)
		fetch(job);
	else
		far_settle(job, job->code, job->err);
}

void far_pull_begin(struct far_job *job)
{
	far_in_pool(job, look_here, on_looked_here);
}
