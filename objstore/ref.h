/*
 * Ref: what stands for the bytes of a file that may not have been made yet. The currency of
 * manifests, memos and placeholders, written the same way in all of them (docs/format-text.md):
 *
 *     blob DIGEST SIZE              a file's bytes
 *     tree DIGEST SIZE              a directory: the digest and size of its manifest
 *     thunk DIGEST OUTPUT           the output named OUTPUT of a thunk
 *     select DIGEST OUTPUT PATH     the file PATH inside a thunk's directory output
 *
 * This folder treats a thunk's digest as a name; what a thunk is stands in engine/thunk.h.
 */
#ifndef GGFS_OBJSTORE_REF_H
#define GGFS_OBJSTORE_REF_H

#include "common/buf.h"
#include "objstore/digest.h"

enum ref_kind { REF_BLOB, REF_TREE, REF_THUNK };

struct ref {
	enum ref_kind kind;
	struct digest digest;
	uint64_t size_bytes; /* REF_BLOB, REF_TREE; else 0 */
	char *output;        /* REF_THUNK: root-relative path of the output; else NULL */
	char *selection;     /* REF_THUNK: path inside a directory output, or NULL */
};

#define REF_INIT ((struct ref){ 0 })

void ref_release(struct ref *ref);
void ref_copy(struct ref *to, const struct ref *from); /* to must be empty or REF_INIT */
/* A copy of by in at's place; by may not be part of at. */
void ref_replace(struct ref *at, const struct ref *by);
bool ref_equal(const struct ref *a, const struct ref *b);

static inline void scoped_ref_(struct ref *ref)
{
	ref_release(ref);
}
#define scoped_ref scoped(scoped_ref_)

/* Appends the ref's fields, separated by single spaces, with no newline. */
void ref_encode(const struct ref *ref, struct buf *b);

/* Decodes the fields at the front of [*text, end), moves *text past them (to the space or the
 * end that follows). -EINVAL with a reason when malformed; *out untouched then. */
int ref_decode(const char **text, const char *end, struct ref *out, struct error *err);

#endif
