/*
 * Whether a link may meet objects made by -flto. Only then does the linker's plugin run lto1, the
 * largest program of a toolchain: all other links do without it.
 *
 * Private to engine/model/. Threads: any; answers are kept in the memory.
 */
#ifndef GGFS_ENGINE_MODEL_LTO_H
#define GGFS_ENGINE_MODEL_LTO_H

#include "engine/model/inputs.h"
#include "engine/model/plan.h"

enum { LTO_DEPTH_MAX = 64, LTO_BYTES_MAX = 256 << 20 };

/* For a link whose inputs are all gathered. In doubt: true. */
bool lto_may_be_met(const struct inputs *in, const struct plan *p);

/* Remembers of a compile that was recorded whether it makes such objects, which spares reading its
 * thunk again. */
void lto_note(struct view *v, const struct digest *thunk, const struct plan *p);

#endif
