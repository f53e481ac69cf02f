#include "objstore/ref.h"

#include <stdlib.h>

#include "common/escape.h"
#include "common/fields.h"

void ref_release(struct ref *ref)
{
	free(ref->output);
	free(ref->selection);
	*ref = REF_INIT;
}

void ref_copy(struct ref *to, const struct ref *from)
{
	*to = *from;
	to->output = from->output ? xstrdup(from->output) : NULL;
	to->selection = from->selection ? xstrdup(from->selection) : NULL;
}

void ref_replace(struct ref *at, const struct ref *by)
{
	ref_release(at);
	ref_copy(at, by);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool ref_equal(const struct ref *a, const struct ref *b)
{
	return a->kind == b->kind && digest_equal(&a->digest, &b->digest) &&
	       a->size_bytes == b->size_bytes && same_text(a->output, b->output) &&
	       same_text(a->selection, b->selection);
}

static const char *ref_word(const struct ref *ref)
{
	if (ref->kind == REF_THUNK)
		return ref->selection ? "select " : "thunk ";
	return ref->kind == REF_TREE ? "tree " : "blob ";
}

void ref_encode(const struct ref *ref, struct buf *b)
{
	buf_add_str(b, ref_word(ref));
	buf_add(b, digest_hex(&ref->digest).text, DIGEST_HEX_SIZE);
	if (ref->kind != REF_THUNK) {
		buf_add_char(b, ' ');
		buf_add_number(b, ref->size_bytes);
		return;
	}
	buf_add_char(b, ' ');
	escape_add(b, ref->output);
	if (ref->selection) {
		buf_add_char(b, ' ');
		escape_add(b, ref->selection);
	}
}

static bool take_digest(const char **at, const char *end, struct digest *out)
{
	if (end - *at < DIGEST_HEX_SIZE || !digest_parse(*at, DIGEST_HEX_SIZE, out))
		return false;
	*at += DIGEST_HEX_SIZE;
	return true;
}

/* The fields after the digest. What was allocated stays in *out when it fails. */
static int decode_rest(const char **at, const char *end, bool selects, struct ref *out,
		       struct error *err)
{
	if (!field_space(at, end))
		return error_set(err, -EINVAL, "a ref ends after its digest");
	if (out->kind != REF_THUNK)
		return field_number(at, end, &out->size_bytes) ?
			       0 :
			       error_set(err, -EINVAL, "a ref's size is no canonical number");
	out->output = field_path(at, end);
	if (!out->output)
		return error_set(err, -EINVAL, "a ref's output is no normal, escaped path");
	if (!selects)
		return 0;
	if (field_space(at, end))
		out->selection = field_path(at, end);
	if (!out->selection)
		return error_set(err, -EINVAL, "a ref's selection is no normal, escaped path");
	return 0;
}

int ref_decode(const char **text, const char *end, struct ref *out, struct error *err)
{
	scoped_ref struct ref ref = REF_INIT;
	const char *at = *text;
	bool selects = false;
	if (field_word(&at, end, "blob"))
		ref.kind = REF_BLOB;
	else if (field_word(&at, end, "tree"))
		ref.kind = REF_TREE;
	else if (field_word(&at, end, "thunk"))
		ref.kind = REF_THUNK;
	else if (field_word(&at, end, "select"))
		ref.kind = REF_THUNK, selects = true;
	else
		return error_set(err, -EINVAL, "a ref begins with blob, tree, thunk or select");
	if (!field_space(&at, end) || !take_digest(&at, end, &ref.digest))
		return error_set(err, -EINVAL, "a ref's digest is not 64 lower-case hex digits");
	int r = decode_rest(&at, end, selects, &ref, err);
	if (r < 0)
		return r;
	*out = ref;
	ref = REF_INIT;
	*text = at;
	return 0;
}
