/*
 * The texts of named elements of an XML answer, by expat.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_AWS_XML_H
#define GGFS_COMMON_AWS_XML_H

#include "common/buf.h"

enum { XML_TEXT_MAX = 64 << 10 }; /* of one element */

/* values[i] becomes the text of the first element called names[i], whatever it is within; NULL when
 * there is none. The caller's to free, whatever is returned. Whether it was well-formed. */
bool xml_texts(const char *text, size_t len, const char *const *names, size_t count, char **values);

#endif
