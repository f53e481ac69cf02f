/*
 * Dependency files, byte for byte as gcc writes them (-MD, -MMD, -MP, -MT, -MQ).
 * Private to engine/model/. Threads: pure functions.
 */
#ifndef GGFS_ENGINE_MODEL_DEPFILE_H
#define GGFS_ENGINE_MODEL_DEPFILE_H

#include "engine/model/plan.h"

/* A name as it is written in dependency files: without leading "./". Borrowed from path. */
const char *depfile_name(const char *path);

/* Appends name as make wants it quoted: what -MQ does to a target. */
void depfile_quote(const char *name, struct buf *b);

void depfile_write(const struct plan_depfile *d, const struct strv *listed, struct buf *b);

#endif
