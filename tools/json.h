/*
 * JSON for --json: objects are built with jansson and printed here, so that a byte that is not
 * UTF-8 (names of files need not be) neither loses the rest nor gives invalid JSON.
 */
#ifndef GGFS_TOOLS_JSON_H
#define GGFS_TOOLS_JSON_H

#include <jansson.h>

#include "objstore/ref.h"

/* A string; each byte that is not part of valid UTF-8 becomes U+FFFD. NULL gives null. */
json_t *json_text(const char *text);
json_t *json_text_n(const char *text, size_t len);
json_t *json_digest(const struct digest *d);
json_t *json_list(const struct strv *v);
/* {"kind": ..., "digest": ..., and "size", or "output" and perhaps "selection"} */
json_t *json_ref(const struct ref *ref);

/* Prints value, a newline after it, and drops it. */
void json_print(json_t *value);

#endif
