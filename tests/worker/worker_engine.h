/* An engine that is a worker in this process, with a fake far store: the store itself. For tests.
 */
#ifndef GGFS_TESTS_WORKER_ENGINE_H
#define GGFS_TESTS_WORKER_ENGINE_H

#include "engine/engine.h"

int worker_engine_new(struct store *store, const char *cache, struct engine **out,
                      struct error *err);

#endif
