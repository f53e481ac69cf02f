/* The canonical text of a thunk: docs/format-thunk.md. */
#include <errno.h>
#include <string.h>

#include "common/escape.h"
#include "engine/thunk.h"

#define FIRST_LINE "ggfs-thunk 1\n"

static void add_fact(struct buf *b, const char *word, const char *value)
{
	buf_add_str(b, word);
	buf_add_char(b, ' ');
	escape_add(b, value);
	buf_add_char(b, '\n');
}

static void add_number(struct buf *b, const char *word, uint64_t value)
{
	buf_add_str(b, word);
	buf_add_char(b, ' ');
	buf_add_number(b, value);
}

static void add_sized_digest(struct buf *b, const char *word, const struct sized_digest *d)
{
	buf_add_str(b, word);
	buf_add_char(b, ' ');
	buf_add(b, digest_hex(&d->digest).text, DIGEST_HEX_SIZE);
	add_number(b, "", d->size_bytes);
	buf_add_char(b, '\n');
}

void thunk_encode(const struct thunk *t, struct buf *b)
{
	enum { USUAL_LINE = 128 };
	buf_reserve(b, USUAL_LINE * (t->args.count + t->env.count + t->inputs.count + 8));
	buf_add_str(b, FIRST_LINE);
	add_fact(b, "program", t->program);
	for (size_t i = 0; i < t->args.count; i++)
		add_fact(b, "arg", t->args.items[i]);
	if (t->cwd)
		add_fact(b, "cwd", t->cwd);
	for (size_t i = 0; i < t->env.count; i++)
		add_fact(b, "env", t->env.items[i]);
	for (size_t i = 0; i < t->inputs.count; i++) {
		buf_add_str(b, "input ");
		manifest_entry_encode(&t->inputs.entries[i], b);
		buf_add_char(b, '\n');
	}
	for (size_t i = 0; i < t->set_count; i++)
		add_sized_digest(b, "inputs", &t->sets[i]);
	if (t->has_toolchain)
		add_sized_digest(b, "toolchain", &t->toolchain);
	for (size_t i = 0; i < t->output_count; i++)
		add_fact(b, t->outputs[i].kind == OUTPUT_TREE ? "output tree" : "output file",
		         t->outputs[i].path);
	add_number(b, "timeout", t->timeout_s);
	buf_add_char(b, '\n');
	if (t->memory_mib) {
		add_number(b, "memory", t->memory_mib);
		buf_add_char(b, '\n');
	}
	if (t->yields)
		buf_add_str(b, "yields\n");
}

/* --- decoding ------------------------------------------------------------------------------ */

/* The fields of one line behind its word. Order, and whether a fact may come twice, need no
 * checks here: thunk_decode() compares with what the result is encoded to. */

static int decode_string(const char *at, const char *end, char **out, struct error *err)
{
	if (*out)
		return error_set(err, -EINVAL, "it is there twice");
	*out = escape_decode(at, (size_t)(end - at));
	return *out ? 0 : error_set(err, -EINVAL, "the field is not escaped canonically");
}

static int decode_list(const char *at, const char *end, struct strv *list, struct error *err)
{
	char *text = NULL;
	int r = decode_string(at, end, &text, err);
	if (r == 0)
		strv_add_take(list, text);
	return r;
}

static int decode_number(const char *at, const char *end, uint64_t max, uint64_t *out,
                         struct error *err)
{
	uint64_t value = 0;
	if (at == end)
		return error_set(err, -EINVAL, "a number is missing");
	for (; at < end; at++) {
		if (*at < '0' || *at > '9')
			return error_set(err, -EINVAL, "a number has other characters than digits");
		uint64_t digit = (uint64_t)(*at - '0');
		if (value > (max - digit) / 10)
			return error_set(err, -EINVAL, "a number is larger than %llu",
			                 (unsigned long long)max);
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

static int decode_u32(const char *at, const char *end, uint32_t *out, struct error *err)
{
	uint64_t value = 0;
	int r = decode_number(at, end, UINT32_MAX, &value, err);
	if (r == 0)
		*out = (uint32_t)value;
	return r;
}

static int decode_sized_digest(const char *at, const char *end, struct sized_digest *out,
                               struct error *err)
{
	if (end - at < DIGEST_HEX_SIZE + 2 || at[DIGEST_HEX_SIZE] != ' ' ||
	    !digest_parse(at, DIGEST_HEX_SIZE, &out->digest))
		return error_set(err, -EINVAL, "not a digest and a size");
	return decode_number(at + DIGEST_HEX_SIZE + 1, end, INT64_MAX, &out->size_bytes, err);
}

static int decode_input(const char *at, const char *end, struct thunk *t, struct error *err)
{
	struct manifest *m = &t->inputs;
	struct manifest_entry entry = { 0 };
	if (m->count >= MANIFEST_ENTRIES_MAX)
		return error_set(err, -EFBIG, "more than %d inputs", MANIFEST_ENTRIES_MAX);
	int r = manifest_entry_decode(at, (size_t)(end - at), &entry, err);
	if (r < 0)
		return r;
	array_grow(m->entries, m->count, m->capacity);
	m->entries[m->count++] = entry;
	return 0;
}

static int decode_output(const char *at, const char *end, struct thunk *t, struct error *err)
{
	enum output_kind kind;
	if (end - at > 5 && memcmp(at, "file ", 5) == 0)
		kind = OUTPUT_FILE;
	else if (end - at > 5 && memcmp(at, "tree ", 5) == 0)
		kind = OUTPUT_TREE;
	else
		return error_set(err, -EINVAL, "an output is neither \"file\" nor \"tree\"");
	if (t->output_count >= THUNK_OUTPUTS_MAX)
		return error_set(err, -EFBIG, "more than %d outputs", THUNK_OUTPUTS_MAX);
	scoped_free char *path = NULL;
	int r = decode_string(at + 5, end, &path, err);
	if (r == 0)
		thunk_add_output(t, kind, path);
	return r;
}

/* Whether the line [at, end) begins with this word and a space; *at is moved behind them. */
static bool take_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(end - *at) <= len || memcmp(*at, word, len) != 0 || (*at)[len] != ' ')
		return false;
	*at += len + 1;
	return true;
}

static int decode_line(const char *at, const char *end, struct thunk *t, struct error *err)
{
	struct sized_digest set;
	int r;

	if (take_word(&at, end, "input"))
		return decode_input(at, end, t, err);
	if (take_word(&at, end, "arg"))
		return decode_list(at, end, &t->args, err);
	if (take_word(&at, end, "env"))
		return decode_list(at, end, &t->env, err);
	if (take_word(&at, end, "output"))
		return decode_output(at, end, t, err);
	if (take_word(&at, end, "inputs")) {
		r = decode_sized_digest(at, end, &set, err);
		if (r == 0)
			thunk_add_set(t, &set.digest, set.size_bytes);
		return r;
	}
	if (take_word(&at, end, "program"))
		return decode_string(at, end, &t->program, err);
	if (take_word(&at, end, "cwd"))
		return decode_string(at, end, &t->cwd, err);
	if (take_word(&at, end, "toolchain")) {
		t->has_toolchain = true;
		return decode_sized_digest(at, end, &t->toolchain, err);
	}
	if (take_word(&at, end, "timeout"))
		return decode_u32(at, end, &t->timeout_s, err);
	if (take_word(&at, end, "memory"))
		return decode_u32(at, end, &t->memory_mib, err);
	if (end - at == 6 && memcmp(at, "yields", 6) == 0) {
		t->yields = true;
		return 0;
	}
	return error_set(err, -EINVAL, "an unknown fact");
}

static int decode_lines(const char *text, const char *end, struct thunk *t, struct error *err)
{
	unsigned number = 2;
	for (const char *at = text + strlen(FIRST_LINE); at < end; number++) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			return error_set(err, -EINVAL,
			                 "thunk, line %u: it has no newline at its end", number);
		int r = decode_line(at, line_end, t, err);
		if (r < 0)
			return error_prefix(err, r, "thunk, line %u", number);
		at = line_end + 1;
	}
	return 0;
}

/* What was decoded must be encoded to the very same text, else two texts meant one thunk. */
static int check_canonical(const struct thunk *t, const char *text, size_t len, struct error *err)
{
	scoped_buf struct buf canonical = BUF_INIT;
	buf_reserve(&canonical, len);
	thunk_encode(t, &canonical);
	if (canonical.len == len && memcmp(canonical.data, text, len) == 0)
		return 0;
	unsigned line = 1;
	for (size_t i = 0; i < len && i < canonical.len && text[i] == canonical.data[i]; i++)
		line += text[i] == '\n';
	return error_set(
	        err, -EINVAL,
	        "thunk, line %u: not canonical: a fact is out of order, there twice, missing "
	        "or spelt otherwise",
	        line);
}

int thunk_decode(const char *text, size_t len, struct thunk *out, struct error *err)
{
	size_t first_len = strlen(FIRST_LINE);
	if (len > THUNK_BYTES_MAX)
		return error_set(err, -EFBIG, "a thunk of %zu bytes is larger than the %d allowed",
		                 len, THUNK_BYTES_MAX);
	if (len < first_len || memcmp(text, FIRST_LINE, first_len) != 0)
		return error_set(err, -EINVAL, "thunk, line 1: not \"ggfs-thunk 1\"");

	scoped_thunk struct thunk t = THUNK_INIT;
	int r = decode_lines(text, text + len, &t, err);
	if (r < 0)
		return r;
	r = thunk_finish(&t, err);
	if (r < 0)
		return error_prefix(err, r, "thunk");
	r = check_canonical(&t, text, len, err);
	if (r < 0)
		return r;
	*out = t;
	t = THUNK_INIT;
	return 0;
}
