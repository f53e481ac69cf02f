#include "engine/remote/inputs.h"

struct walk {
	struct inputs *in;
	struct store *near;
	struct digest *absent;
	unsigned depth;
};

void sending_release(struct inputs *in)
{
	free(in->blobs);
	*in = (struct inputs){ 0 };
}

int inputs_add_blob(struct inputs *in, struct store *near, const struct digest *d,
                    uint64_t size_bytes, struct error *err)
{
	if (in->absent_only) {
		int r = store_has(near, d, NULL, err);
		if (r != -ENOENT)
			return r;
	}
	if (in->count == INPUTS_MAX)
		return error_set(err, -EFBIG, "it has more than %d inputs", INPUTS_MAX);
	array_grow(in->blobs, in->count, in->capacity);
	in->blobs[in->count++] = (struct sized_blob){ .digest = *d, .size_bytes = size_bytes };
	return 0;
}

static int walk_manifest(struct walk *w, const struct digest *d, uint64_t size_bytes,
                         struct error *err);

static int walk_ref(struct walk *w, const struct ref *ref, struct error *err)
{
	if (ref->kind == REF_BLOB)
		return inputs_add_blob(w->in, w->near, &ref->digest, ref->size_bytes, err);
	if (ref->kind == REF_TREE)
		return walk_manifest(w, &ref->digest, ref->size_bytes, err);
	return error_set(err, -EINVAL, "the thunk %s stands among inputs that should be blobs",
	                 digest_hex(&ref->digest).text);
}

static int walk_entries(struct walk *w, const struct buf *text, const struct digest *d,
                        struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int r = manifest_decode(text->data, text->len, &m, err);
	if (r < 0) {
		*w->absent = *d;
		return error_set(err, -EBADMSG, "%s is no manifest", digest_hex(d).text);
	}
	for (size_t i = 0; r == 0 && i < m.count; i++)
		if (m.entries[i].kind == ENTRY_FILE)
			r = walk_ref(w, &m.entries[i].ref, err);
	return r;
}

static int walk_manifest(struct walk *w, const struct digest *d, uint64_t size_bytes,
                         struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	if (w->depth == INPUTS_DEPTH_MAX)
		return error_set(err, -EFBIG, "trees nest deeper than %d", INPUTS_DEPTH_MAX);
	int r = inputs_add_blob(w->in, w->near, d, size_bytes, err);
	if (r < 0)
		return r;
	r = store_get_bytes(w->near, d, MANIFEST_BYTES_MAX, &text, err);
	if (r == -ENOENT) {
		w->in->unread++;
		return 0;
	}
	if (r == -EBADMSG)
		*w->absent = *d;
	if (r < 0)
		return r;
	w->depth++;
	r = walk_entries(w, &text, d, err);
	w->depth--;
	return r;
}

int inputs_add_manifest(struct inputs *in, struct store *near, const struct digest *d,
                        uint64_t size_bytes, struct digest *absent, struct error *err)
{
	struct walk w = { .in = in, .near = near, .absent = absent };
	return walk_manifest(&w, d, size_bytes, err);
}

int inputs_add_ref(struct inputs *in, struct store *near, const struct ref *ref,
                   struct digest *absent, struct error *err)
{
	struct walk w = { .in = in, .near = near, .absent = absent };
	return walk_ref(&w, ref, err);
}
