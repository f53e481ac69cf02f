/*
 * What a compile reads, once its headers are known; and whether anything in them forbids being
 * lazy. Private to engine/model/. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_COMPILE_H
#define GGFS_ENGINE_MODEL_COMPILE_H

#include "engine/model/discovery.h"
#include "engine/model/inputs.h"
#include "engine/model/toolchain.h"

enum { SOURCE_BYTES_MAX = 64 << 20, ASSEMBLER_DEPTH_MAX = 32 };

/* Looks into the sources: whether some construct makes discovery ask for preprocessed text. */
int compile_choose_discovery(struct inputs *in, struct plan *p, struct error *err);

/* headers: one list for each source that is preprocessed, in the plan's order. -ENODATA, with the
 * reason, when the compile must run for real. */
int compile_follow(struct inputs *in, const struct toolchain *t, const struct plan *p,
                   const struct headers *headers, struct error *err);

#endif
