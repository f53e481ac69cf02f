/*
 * Thunk: a function applied to exact inputs, not yet run. Its canonical text is a blob, and
 * that blob's digest is its name. The same facts give the same bytes on every machine.
 *
 * Text (docs/format-thunk.md): "ggfs-thunk 1", then one fact a line in this order, fields
 * separated by one space and escaped as common/escape.h says:
 *
 *     program PATH            what is executed, a path in the function's world
 *     arg STRING              the argument vector, argv[0] first, in order
 *     cwd PATH                working directory; left out: the root
 *     env NAME=VALUE          sorted by bytes, no name twice; the whole environment
 *     input ENTRY             single inputs, as manifest entries, sorted by path
 *     inputs DIGEST SIZE      input sets: manifests, sorted by digest
 *     toolchain DIGEST SIZE   likewise; named apart so that an engine can keep it unpacked
 *     output KIND PATH        KIND: file or tree; sorted by path; at least one
 *     timeout SECONDS         at least 1
 *     memory MIB              a hint; left out when there is none
 *     yields                  its outputs may be placeholders of further thunks
 *
 * The function's world: a root directory that holds the inputs, read-only (mode 0444 or 0555),
 * the parents of outputs, /tmp, /dev/null and its like, and nothing else. All paths are relative
 * to that root and normal (path_is_normal). What the function has as standard input (empty),
 * output (discarded) and error (kept, not hashed) is no part of its identity. A path that
 * is both input and output starts as a writable copy of the input.
 * Entries of several sets at one path must agree; a single input overrides a set's.
 *
 * Threads: a value; one owner at a time. Errors: -EINVAL malformed, -EFBIG over a limit.
 */
#ifndef GGFS_ENGINE_THUNK_H
#define GGFS_ENGINE_THUNK_H

#include "common/buf.h"
#include "objstore/manifest.h"

enum {
	THUNK_BYTES_MAX = 4 << 20,
	THUNK_OUTPUTS_MAX = 4096,
	THUNK_TIMEOUT_DEFAULT_S = 3600,
	THUNK_TIMEOUT_MAX_S = 7 * 24 * 3600,
};

enum output_kind { OUTPUT_FILE, OUTPUT_TREE };

struct thunk_output {
	enum output_kind kind;
	char *path;
};

struct sized_digest {
	struct digest digest;
	uint64_t size_bytes;
};

struct thunk {
	char *program;
	struct strv args;
	char *cwd; /* NULL: the root */
	struct strv env;
	struct manifest inputs;      /* the single inputs */
	struct sized_digest *sets;   /* input sets */
	size_t set_count, set_capacity;
	bool has_toolchain;
	struct sized_digest toolchain;
	struct thunk_output *outputs;
	size_t output_count, output_capacity;
	uint32_t timeout_s;
	uint32_t memory_mib; /* 0: no hint */
	bool yields;
};

#define THUNK_INIT ((struct thunk){ .timeout_s = THUNK_TIMEOUT_DEFAULT_S })

void thunk_release(struct thunk *t);

static inline void scoped_thunk_(struct thunk *t)
{
	thunk_release(t);
}
#define scoped_thunk scoped(scoped_thunk_)

void thunk_add_set(struct thunk *t, const struct digest *d, uint64_t size_bytes);
void thunk_add_output(struct thunk *t, enum output_kind kind, const char *path);
const struct thunk_output *thunk_output(const struct thunk *t, const char *path); /* or NULL */

void thunk_copy(struct thunk *to, const struct thunk *from); /* to must be THUNK_INIT */
/* Puts what the thunk called name gave in the place of the inputs that refer to it; t is to be
 * finished again. -EINVAL, and t half done: memo has no such output, or a thunk for it, or only a
 * part of the output is asked for, which takes its manifest to find. */
struct memo;
int thunk_substitute(struct thunk *t, const struct digest *name, const struct memo *memo,
                     struct error *err);

/* Sorts and checks every rule above; needed before thunk_encode. */
int thunk_finish(struct thunk *t, struct error *err);
void thunk_encode(const struct thunk *t, struct buf *b);
/* The digest of the canonical text. t must be finished. */
void thunk_digest(const struct thunk *t, struct digest *out);
/* Strict: anything but the canonical text is -EINVAL, naming the line. out must be THUNK_INIT,
 * and is so again on failure. */
int thunk_decode(const char *text, size_t len, struct thunk *out, struct error *err);

/* Reads and decodes the thunk named d. -ENOENT absent, -EBADMSG there but not a thunk. */
struct store;
int thunk_load(struct store *s, const struct digest *d, struct thunk *out, struct error *err);
/* Encodes and stores a finished thunk. */
int thunk_save(struct store *s, const struct thunk *t, struct digest *out, struct error *err);

#endif
