/*
 * Memo: what is known of a thunk that has run: thunk digest -> outputs. One text, the same in
 * the local store, the far store and the index (docs/format-memo.md):
 *
 *     ggfs-memo 1
 *     thunk DIGEST
 *     output REF PATH       one per output, sorted by path; a REF_THUNK is an output that
 *                           is again a thunk
 *     stderr DIGEST SIZE    what the function wrote there, a blob; left out when nothing
 *     engine NAME           which engine ran it
 *     micros N              wall time of the function, microseconds
 *     cost N                nanodollars
 *
 * Only success is memoised; failures are kept in the index (objstore/index.h).
 */
#ifndef GGFS_OBJSTORE_MEMO_H
#define GGFS_OBJSTORE_MEMO_H

#include "objstore/ref.h"

enum { MEMO_BYTES_MAX = 1 << 20, MEMO_OUTPUTS_MAX = 4096 };

struct memo_output {
	char *path;
	struct ref ref;
};

struct memo {
	struct digest thunk;
	struct memo_output *outputs;
	size_t count, capacity;
	bool has_stderr;
	struct digest stderr_digest;
	uint64_t stderr_size_bytes;
	char *engine;
	uint64_t micros;
	uint64_t cost_nanodollars;
};

#define MEMO_INIT ((struct memo){ 0 })

void memo_release(struct memo *memo);
void memo_copy(struct memo *to, const struct memo *from); /* to must be MEMO_INIT */
void memo_add_output(struct memo *memo, const char *path, const struct ref *ref); /* copies */
const struct ref *memo_output(const struct memo *memo, const char *path); /* NULL: none */

static inline void scoped_memo_(struct memo *memo)
{
	memo_release(memo);
}
#define scoped_memo scoped(scoped_memo_)

void memo_encode(const struct memo *memo, struct buf *b); /* sorts the outputs itself */
/* Strict; -EINVAL with a reason. out must be MEMO_INIT, and is so again on failure. */
int memo_decode(const char *text, size_t len, struct memo *out, struct error *err);

#endif
