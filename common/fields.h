/*
 * Reading the text formats of ggfs (docs/format-text.md): lines of fields that are separated by
 * single spaces. A cursor [*at, end) moves over the text; nothing is copied but what is returned.
 *
 * Each reader either takes what it names and moves *at past it, or returns false (NULL) and
 * leaves *at and its outputs alone.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_FIELDS_H
#define GGFS_COMMON_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next line, without the newline that must end it. Borrowed from the text. */
bool line_next(const char **at, const char *end, const char **line, const char **line_end);

/* This word, followed by a space or by the end of the line, neither of which is taken. */
bool field_word(const char **at, const char *end, const char *word);
/* Exactly one space, with something other than a space after it. */
bool field_space(const char **at, const char *end);
/* An escaped string, decoded; allocated. */
char *field_string(const char **at, const char *end);
/* As field_string; only a path that path_is_normal(). */
char *field_path(const char **at, const char *end);
/* A canonical decimal number (no sign, no leading zero) up to INT64_MAX. */
bool field_number(const char **at, const char *end, uint64_t *out);

#endif
