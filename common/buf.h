/*
 * A growable run of bytes, always followed by a NUL that is not counted, so that
 * text in it can be used as a C string. Allocation failure aborts: ggfs bounds what
 * comes from outside before it is put into a buffer.
 *
 * Threads: one owner at a time.
 */
#ifndef GGFS_COMMON_BUF_H
#define GGFS_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct buf {
	char *data; /* NULL until something was added */
	size_t len;
	size_t capacity;
};

#define BUF_INIT ((struct buf){ 0 })

void buf_release(struct buf *b);
void buf_reset(struct buf *b); /* empty, memory kept */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_str(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_number(struct buf *b, uint64_t value); /* in decimal */
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The contents as an allocated C string, the caller's to free; b is left empty. Never NULL. */
char *buf_steal(struct buf *b, size_t *len);

static inline void scoped_buf_(struct buf *b)
{
	buf_release(b);
}
#define scoped_buf scoped(scoped_buf_)

/* Allocation that aborts instead of failing. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
char *xformat(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A growable list of owned strings; items is NULL-terminated (an argv) once not empty. */
struct strv {
	char **items;
	size_t count;
	size_t capacity;
};

#define STRV_INIT ((struct strv){ 0 })

void strv_release(struct strv *v);
void strv_add(struct strv *v, const char *text);
void strv_add_take(struct strv *v, char *text); /* text becomes v's */
void strv_add_format(struct strv *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strv_copy(struct strv *to, const struct strv *from); /* appends */
bool strv_contains(const struct strv *v, const char *text);
void strv_sort(struct strv *v); /* by bytes */

static inline void scoped_strv_(struct strv *v)
{
	strv_release(v);
}
#define scoped_strv scoped(scoped_strv_)

/* Makes room for one more element in an array of count elements; doubles. */
#define array_grow(items, count, capacity)                                                         \
	do {                                                                                       \
		if ((count) == (capacity)) {                                                       \
			(capacity) = (capacity) ? 2 * (capacity) : 8;                              \
			(items) = xrealloc((items), (capacity) * sizeof(*(items)));                \
		}                                                                                  \
	} while (0)

#endif
