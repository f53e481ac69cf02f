/* Makes tokens and keys for tests. What fails aborts; texts are the caller's to free. */
#ifndef GGFS_TESTS_UNIT_WORKER_JWT_MAKER_H
#define GGFS_TESTS_UNIT_WORKER_JWT_MAKER_H

#include <openssl/evp.h>

#include "common/buf.h"

void base64url_add(struct buf *b, const void *bytes, size_t len);
/* As RS256 or ES256 has it, by the key's kind; appended to out, which is empty for ES256. */
void sign_bytes(EVP_PKEY *key, const void *bytes, size_t len, struct buf *out);
char *make_unsigned(const char *header, const char *claims); /* HEADER.CLAIMS */
char *make_token(EVP_PKEY *key, const char *header, const char *claims);
/* more: further members, each with a leading comma. */
char *make_jwk(EVP_PKEY *key, const char *kid, const char *more);

#endif
