/*
 * The escaping of all text formats of ggfs (docs/format-text.md): a field is one or more
 * bytes 0x21..0x7e. '%' and every other byte are written %XX, upper-case hexadecimal;
 * the empty string is written as a lone '%'. There is one spelling for each string: a
 * needless or lower-case escape, and %00, are refused.
 */
#ifndef GGFS_COMMON_ESCAPE_H
#define GGFS_COMMON_ESCAPE_H

#include <stdbool.h>

#include "common/buf.h"

void escape_add(struct buf *b, const char *text);

/* Decodes len bytes of a field; an allocated string, or NULL if it is not canonical. */
char *escape_decode(const char *field, size_t len);

/*
 * A path as all formats carry it: relative to its root, not empty, no leading or trailing or
 * double slash, no component "." or "..", each component at most 255 bytes, the whole at
 * most 4095 bytes.
 */
bool path_is_normal(const char *path);

#endif
