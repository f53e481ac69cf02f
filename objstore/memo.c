#include "objstore/memo.h"

#include <assert.h>
#include <stdlib.h>

#include "common/escape.h"
#include "common/fields.h"

void memo_release(struct memo *memo)
{
	for (size_t i = 0; i < memo->count; i++) {
		free(memo->outputs[i].path);
		ref_release(&memo->outputs[i].ref);
	}
	free(memo->outputs);
	free(memo->engine);
	*memo = MEMO_INIT;
}

void memo_add_output(struct memo *memo, const char *path, const struct ref *ref)
{
	array_grow(memo->outputs, memo->count, memo->capacity);
	struct memo_output *output = &memo->outputs[memo->count++];
	output->path = xstrdup(path);
	ref_copy(&output->ref, ref);
}

void memo_copy(struct memo *to, const struct memo *from)
{
	*to = *from;
	to->outputs = NULL;
	to->count = to->capacity = 0;
	to->engine = from->engine ? xstrdup(from->engine) : NULL;
	for (size_t i = 0; i < from->count; i++)
		memo_add_output(to, from->outputs[i].path, &from->outputs[i].ref);
}

const struct ref *memo_output(const struct memo *memo, const char *path)
{
	for (size_t i = 0; i < memo->count; i++)
		if (strcmp(memo->outputs[i].path, path) == 0)
			return &memo->outputs[i].ref;
	return NULL;
}

static int compare_outputs(const void *a, const void *b)
{
	return strcmp((*(const struct memo_output *const *)a)->path,
		      (*(const struct memo_output *const *)b)->path);
}

static void encode_outputs(const struct memo *memo, struct buf *b)
{
	if (memo->count == 0)
		return;
	scoped_free const struct memo_output **sorted = xcalloc(memo->count, sizeof(*sorted));
	for (size_t i = 0; i < memo->count; i++)
		sorted[i] = &memo->outputs[i];
	qsort(sorted, memo->count, sizeof(*sorted), compare_outputs);
	for (size_t i = 0; i < memo->count; i++) {
		/* A thunk names each output once, so whoever filled this in was wrong. */
		assert(i == 0 || compare_outputs(&sorted[i - 1], &sorted[i]) != 0);
		buf_add_str(b, "output ");
		ref_encode(&sorted[i]->ref, b);
		buf_add_char(b, ' ');
		escape_add(b, sorted[i]->path);
		buf_add_char(b, '\n');
	}
}

void memo_encode(const struct memo *memo, struct buf *b)
{
	buf_add_format(b, "ggfs-memo 1\nthunk %s\n", digest_hex(&memo->thunk).text);
	encode_outputs(memo, b);
	if (memo->has_stderr)
		buf_add_format(b, "stderr %s %llu\n", digest_hex(&memo->stderr_digest).text,
			       (unsigned long long)memo->stderr_size_bytes);
	buf_add_str(b, "engine ");
	escape_add(b, memo->engine ? memo->engine : "");
	buf_add_format(b, "\nmicros %llu\ncost %llu\n", (unsigned long long)memo->micros,
		       (unsigned long long)memo->cost_nanodollars);
}

/* The text that is left, and the number of the line that is read next. */
struct reader {
	const char *at, *end;
	size_t number;
};

static int malformed(const struct reader *r, const char *what, struct error *err)
{
	return error_set(err, -EINVAL, "memo line %zu: expected %s", r->number, what);
}

/* The line that begins with this word: its fields after "WORD ". The reader moves only then. */
static bool take_line(struct reader *r, const char *word, const char **fields,
		      const char **line_end)
{
	const char *at = r->at, *line;
	if (!line_next(&at, r->end, &line, line_end) || !field_word(&line, *line_end, word) ||
	    !field_space(&line, *line_end))
		return false;
	*fields = line;
	r->at = at;
	r->number++;
	return true;
}

static bool take_number(struct reader *r, const char *word, uint64_t *out)
{
	struct reader ahead = *r;
	const char *at, *end;
	if (!take_line(&ahead, word, &at, &end) || !field_number(&at, end, out) || at != end)
		return false;
	*r = ahead;
	return true;
}

static int decode_output(const char *at, const char *end, struct memo *memo, struct error *err)
{
	scoped_ref struct ref ref = REF_INIT;
	int r = ref_decode(&at, end, &ref, err);
	if (r < 0)
		return r;
	scoped_free char *path = field_space(&at, end) ? field_path(&at, end) : NULL;
	if (!path || at != end)
		return error_set(err, -EINVAL, "an output's path is no normal, escaped path");
	if (memo->count && strcmp(memo->outputs[memo->count - 1].path, path) >= 0)
		return error_set(err, -EINVAL, "%s is out of order or there twice", path);
	memo_add_output(memo, path, &ref);
	return 0;
}

static int decode_outputs(struct reader *r, struct memo *memo, struct error *err)
{
	const char *at, *end;
	while (take_line(r, "output", &at, &end)) {
		if (memo->count == MEMO_OUTPUTS_MAX)
			return error_set(err, -EFBIG, "the memo has more than %d outputs",
					 MEMO_OUTPUTS_MAX);
		int code = decode_output(at, end, memo, err);
		if (code < 0)
			return error_prefix(err, code, "memo line %zu", r->number - 1);
	}
	return 0;
}

static int decode_stderr(struct reader *r, struct memo *memo, struct error *err)
{
	const char *at, *end;
	if (!take_line(r, "stderr", &at, &end))
		return 0;
	memo->has_stderr = end - at > DIGEST_HEX_SIZE &&
			   digest_parse(at, DIGEST_HEX_SIZE, &memo->stderr_digest);
	at += memo->has_stderr ? DIGEST_HEX_SIZE : 0;
	if (!memo->has_stderr || !field_space(&at, end) ||
	    !field_number(&at, end, &memo->stderr_size_bytes) || at != end)
		return error_set(err, -EINVAL, "memo line %zu: expected \"stderr DIGEST SIZE\"",
				 r->number - 1);
	return 0;
}

static int decode_head(struct reader *r, struct memo *memo, struct error *err)
{
	const char *at, *end;
	if (!take_line(r, "ggfs-memo", &at, &end) || end - at != 1 || *at != '1')
		return error_set(err, -EINVAL, "memo line 1 is not \"ggfs-memo 1\"");
	if (!take_line(r, "thunk", &at, &end) ||
	    !digest_parse(at, (size_t)(end - at), &memo->thunk))
		return error_set(err, -EINVAL, "memo line 2 is not \"thunk DIGEST\"");
	return 0;
}

static int decode_all(struct reader *r, struct memo *memo, struct error *err)
{
	const char *at, *end;
	int code = decode_head(r, memo, err);
	if (code == 0)
		code = decode_outputs(r, memo, err);
	if (code == 0)
		code = decode_stderr(r, memo, err);
	if (code < 0)
		return code;
	if (take_line(r, "engine", &at, &end))
		memo->engine = field_string(&at, end);
	if (!memo->engine || at != end)
		return malformed(r, "\"engine NAME\"", err);
	if (!take_number(r, "micros", &memo->micros))
		return malformed(r, "\"micros N\"", err);
	if (!take_number(r, "cost", &memo->cost_nanodollars))
		return malformed(r, "\"cost N\"", err);
	return r->at == r->end ? 0 : malformed(r, "the end", err);
}

int memo_decode(const char *text, size_t len, struct memo *out, struct error *err)
{
	scoped_memo struct memo memo = MEMO_INIT;
	if (len > MEMO_BYTES_MAX)
		return error_set(err, -EFBIG, "a memo of %zu bytes is too large", len);
	struct reader reader = { .at = text, .end = text + len, .number = 1 };
	int r = decode_all(&reader, &memo, err);
	if (r < 0)
		return r;
	*out = memo;
	memo = MEMO_INIT;
	return 0;
}
