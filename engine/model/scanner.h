/*
 * The scanner: discovery without a process. It walks the directives of a source and of all that
 * they include, evaluates their conditions for just this compile, and so knows which files the
 * compiler would read and what its dependency file would list.
 *
 * It answers only where it is certain to say what the compiler would: whatever it has no rule for,
 * and whatever the compiler would complain about, is -ENODATA with the reason, and the compiler's
 * own scan is asked (discovery.h).
 *
 * Private to engine/model/. Threads: any, several at once; files as they were cut are shared
 * through the memory.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_H
#define GGFS_ENGINE_MODEL_SCANNER_H

#include "engine/model/discovery.h"
#include "engine/model/inputs.h"
#include "engine/model/toolchain.h"

enum { SCANNER_DEPTH_MAX = 190, SCANNER_ENTERED_MAX = 200000 };

/* One list for each source that is preprocessed, in order: out has as many elements as there are,
 * all empty. */
int scanner_scan(const struct toolchain *t, const struct inputs *in, const struct plan *p,
                 struct headers *out, struct error *err);

#endif
