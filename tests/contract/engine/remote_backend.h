/*
 * Rows of the table of backends for the remote engines. Their workers are started by
 * test_remote.py, which says where they are: GGFS_TEST_HTTP_URL and _TOKEN,
 * GGFS_TEST_LAMBDA_ENDPOINT.
 */
#ifndef GGFS_TESTS_ENGINE_REMOTE_BACKEND_H
#define GGFS_TESTS_ENGINE_REMOTE_BACKEND_H

#include "engine/engine.h"

int http_backend_new(struct store *store, unsigned jobs, struct engine **out, struct error *err);
int lambda_backend_new(struct store *store, unsigned jobs, struct engine **out, struct error *err);

#endif
