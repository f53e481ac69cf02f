#include <string.h>

#include "common/io.h"
#include "engine/remote/wire.h"
#include "engine/thunk.h"
#include "tools/lambda_local/lambda.h"

/* Answers as a ggfs-worker would (engine/remote/wire.h) whose functions all do the same: they write
 * their thunk's digest, 64 hexadecimal digits and a newline, to each of their outputs. */

static void fail(struct remote_result *result, const char *reason)
{
	result->outcome = OUTCOME_BAD_INPUT;
	result->exit_status = -1;
	result->reason = xstrdup(reason);
}

static void run_thunk(const struct remote_request *request, const struct digest *d, unsigned ms,
                      struct remote_answer *answer, char text[DIGEST_HEX_SIZE + 1],
                      struct remote_result *result)
{
	scoped_thunk struct thunk thunk = THUNK_INIT;
	struct error err = ERROR_INIT;
	struct digest_hex hex = digest_hex(d);
	const struct remote_blob *blob = remote_blobs_find(&request->blobs, d);
	*result = (struct remote_result){ .thunk = *d, .stderr_tail = xstrdup("") };
	if (!blob) {
		fail(result, "an emulated worker takes a thunk from the request only");
		return;
	}
	if (thunk_decode(blob->bytes, blob->len, &thunk, &err) < 0) {
		fail(result, error_text(&err));
		return;
	}
	memcpy(text, hex.text, DIGEST_HEX_SIZE);
	text[DIGEST_HEX_SIZE] = '\n';
	struct ref ref = { .kind = REF_BLOB, .size_bytes = DIGEST_HEX_SIZE + 1 };
	digest_of(&ref.digest, text, DIGEST_HEX_SIZE + 1);
	result->outcome = OUTCOME_DONE;
	result->memo.thunk = *d;
	result->memo.micros = (uint64_t)ms * 1000;
	result->usage.micros = result->usage.function_micros = (uint64_t)ms * 1000;
	for (size_t i = 0; i < thunk.output_count; i++)
		memo_add_output(&result->memo, thunk.outputs[i].path, &ref);
	remote_blobs_add(&answer->blobs, &ref.digest, text, DIGEST_HEX_SIZE + 1);
}

static void make_answer(struct invocation *inv, struct buf *b)
{
	struct remote_request request = { 0 };
	struct error err = ERROR_INIT;
	struct remote_answer answer = { .version = xstrdup(GGFS_VERSION),
		                        .worker = xstrdup("emulated") };
	char(*texts)[DIGEST_HEX_SIZE + 1] = NULL;
	int r = remote_request_decode(inv->payload.data ? inv->payload.data : "", inv->payload.len,
	                              &request, &err);
	if (r < 0) {
		answer.wrong_version = r == -EPROTO;
		answer.reason = xstrdup(error_text(&err));
	} else if (strcmp(request.version, GGFS_VERSION) != 0) {
		answer.wrong_version = true;
		answer.reason = xformat("this is a worker of ggfs " GGFS_VERSION ", not of %.40s",
		                        request.version);
	} else {
		texts = xcalloc(request.thunk_count + 1, sizeof(*texts));
		answer.results = xcalloc(request.thunk_count + 1, sizeof(*answer.results));
		answer.result_count = request.thunk_count;
		for (size_t i = 0; i < request.thunk_count; i++)
			run_thunk(&request, &request.thunks[i], inv->service->options->emulate_ms,
			          &answer, texts[i], &answer.results[i]);
	}
	remote_answer_encode(&answer, b);
	remote_answer_release(&answer);
	remote_request_release(&request);
	free(texts);
}

static void on_time(void *arg)
{
	struct invocation *inv = arg;
	scoped_buf struct buf b = BUF_INIT;
	inv->timer = NULL;
	make_answer(inv, &b);
	invocation_answer(inv, b.data, b.len, false);
	invocation_end(inv);
}

void emulate_run(struct invocation *inv)
{
	struct service *s = inv->service;
	inv->timer = loop_after(s->loop, s->options->emulate_ms, on_time, inv);
}
