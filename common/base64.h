/*
 * Base64 (RFC 4648): padded, and as base64url without padding (RFC 7515, section 2). One spelling
 * for each run of bytes: bits that stand for nothing must be zero.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_BASE64_H
#define GGFS_COMMON_BASE64_H

#include "common/buf.h"

void base64_add(struct buf *b, const void *bytes, size_t len);
/* Append what the text stands for; false, and b is as it was: it is none, or not in that spelling.
 */
bool base64_decode(const char *text, size_t len, struct buf *b);
bool base64url_decode(const char *text, size_t len, struct buf *b);

#endif
