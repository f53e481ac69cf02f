/* A thunk that can be run wherever a worker is: the shell of this machine, sent along with the
 * libraries that it needs, writes one line into a file. */
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "common/io.h"
#include "engine/remote/wire.h"
#include "tools/cmd_doctor_cloud.h"

#define SHELL "/bin/sh"

enum {
	FILES_MAX = 16,
	FILE_BYTES_MAX = 8 << 20,
	TIMEOUT_S = 10,
	INLINE_MAX = 4096, /* the one output is a line */
};

/* What is sent, until it is encoded. */
struct luggage {
	struct buf files[FILES_MAX];
	size_t count;
	struct remote_blobs blobs;
	struct thunk thunk;
};

static void luggage_release(struct luggage *l)
{
	for (size_t i = 0; i < l->count; i++)
		buf_release(&l->files[i]);
	remote_blobs_release(&l->blobs);
	thunk_release(&l->thunk);
}

/* The file stands at the same place in the function's world as here. */
static int add_file(struct luggage *l, const char *path, struct error *err)
{
	struct ref ref = { .kind = REF_BLOB };
	if (l->count == FILES_MAX)
		return error_set(err, -EFBIG, SHELL " needs more than %d libraries", FILES_MAX);
	struct buf *file = &l->files[l->count++];
	int r = read_file_at(AT_FDCWD, path, file, FILE_BYTES_MAX, err);
	if (r < 0)
		return r;
	digest_of(&ref.digest, file->data, file->len);
	ref.size_bytes = file->len;
	manifest_add_file(&l->thunk.inputs, path + strspn(path, "/"), 0755, &ref);
	remote_blobs_add(&l->blobs, &ref.digest, file->data, file->len);
	return 0;
}

static int add_shell(struct luggage *l, struct error *err)
{
	scoped_free char *loader = NULL;
	scoped_strv struct strv libraries = STRV_INIT;
	int r = lambda_program_needs(SHELL, &loader, &libraries, err);
	if (r == 0)
		r = add_file(l, SHELL, err);
	if (r == 0 && *loader)
		r = add_file(l, loader, err);
	for (size_t i = 0; r == 0 && i < libraries.count; i++)
		r = add_file(l, libraries.items[i], err);
	return r;
}

/* Another one each time, so that nobody's result is meant, or taken away. */
static void add_command(struct luggage *l, struct digest *output)
{
	uint64_t random = 0;
	ssize_t got = getrandom(&random, sizeof(random), 0);
	(void)got; /* so few bytes are never cut short */
	scoped_free char *line = xformat("ggfs doctor %016llx\n", (unsigned long long)random);
	digest_of(output, line, strlen(line));
	line[strlen(line) - 1] = '\0';
	l->thunk.program = xstrdup(&SHELL[1]);
	strv_add(&l->thunk.args, "sh");
	strv_add(&l->thunk.args, "-c");
	strv_add_format(&l->thunk.args, "echo '%s' >out", line);
	thunk_add_output(&l->thunk, OUTPUT_FILE, "out");
	l->thunk.timeout_s = TIMEOUT_S;
}

static void encode(const struct doctor_cloud *d, struct luggage *l, struct doctor_request *p)
{
	scoped_buf struct buf text = BUF_INIT;
	thunk_encode(&l->thunk, &text);
	thunk_digest(&l->thunk, &p->thunk);
	remote_blobs_add(&l->blobs, &p->thunk, text.data, text.len);
	struct remote_request request = {
		.thunks = &p->thunk,
		.thunk_count = 1,
		.blobs = l->blobs,
		.keep_results = d->far.url,
		.inline_max = INLINE_MAX,
	};
	doctor_request_encode(d, &request, p);
}

int doctor_run_init(const struct doctor_cloud *d, struct doctor_request *p, struct error *err)
{
	struct luggage l = { .thunk = THUNK_INIT };
	*p = (struct doctor_request){ 0 };
	int r = add_shell(&l, err);
	if (r == 0) {
		add_command(&l, &p->output);
		r = thunk_finish(&l.thunk, err);
	}
	if (r == 0)
		encode(d, &l, p);
	luggage_release(&l);
	if (r == 0 && p->text.len > REMOTE_BYTES_MAX)
		r = error_set(err, -EFBIG, SHELL " and its libraries take %zu bytes of a request",
		              p->text.len);
	return r;
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void judge_stored(struct doctor_cloud *d, const struct doctor_request *p,
                         const struct remote_result *result)
{
	scoped_free char *subject = xformat("%sresult", d->whose);
	if (d->far.url && result->stored)
		doctor_far_take_back(d, &p->output, &p->thunk);
	else if (d->far.url)
		found(&d->findings, FINDING_FAILURE, subject,
		      "its own credentials must be allowed what ggfs lambda policy --for role "
		      "prints",
		      "the worker could not put it into the far store: %s",
		      result->reason ? result->reason : "it came with the answer alone");
	else
		found(&d->findings, FINDING_OK, subject, NULL, "it came with the answer");
}

static void judge_run(struct doctor_cloud *d, const struct doctor_request *p,
                      const struct remote_answer *answer)
{
	const struct remote_result *result = answer->result_count ? &answer->results[0] : NULL;
	const char *reason = result ? result->reason : answer->reason;
	scoped_free char *subject = xformat("%srun", d->whose);
	bool done = result && result->outcome == OUTCOME_DONE;
	if (done && !remote_blobs_find(&answer->blobs, &p->output)) {
		found(&d->findings, FINDING_FAILURE, subject, NULL,
		      "a function ran there, and its output is not what it must be");
	} else if (done) {
		found(&d->findings, FINDING_OK, subject, NULL,
		      "a function ran there in %.1f ms (%.1f ms all told) and its output is right",
		      (double)result->usage.function_micros / 1e3,
		      (double)result->usage.micros / 1e3);
	} else {
		found(&d->findings, FINDING_FAILURE, subject,
		      "docs/worker.md tells what a worker needs",
		      "a function did not run there: %s", reason ? reason : "it does not say why");
	}
	if (done)
		judge_stored(d, p, result);
}

void doctor_run_judge(struct doctor_cloud *d, const struct doctor_request *p,
                      const struct http_response *r)
{
	struct remote_answer answer = { 0 };
	struct error err = ERROR_INIT;
	scoped_free char *subject = xformat("%srun", d->whose);
	if (remote_answer_decode(r->body.data ? r->body.data : "", r->body.len, &answer, &err) < 0)
		found(&d->findings, FINDING_FAILURE, subject, NULL, "%s", error_text(&err));
	else
		judge_run(d, p, &answer);
	remote_answer_release(&answer);
}
