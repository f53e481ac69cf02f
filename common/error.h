/*
 * One error: a negative errno and a sentence that says what was wrong, where,
 * and what to do next. It is set once, where the fault was seen; callers pass it
 * up and may add a prefix. A NULL struct error * is allowed everywhere: the caller
 * does not want the sentence.
 *
 * Functions return 0 (or a count, or a descriptor) or the negative errno that
 * error_set() was given. -ENOENT means "absent" and nothing else.
 *
 * Threads: a struct error belongs to one thread at a time.
 */
#ifndef GGFS_COMMON_ERROR_H
#define GGFS_COMMON_ERROR_H

enum { ERROR_TEXT_MAX = 2048 };

struct error {
	int code;                  /* negative errno; 0 when unset */
	char text[ERROR_TEXT_MAX]; /* NUL-terminated; truncated, never overrun */
};

#define ERROR_INIT ((struct error){ 0 })

/* Stores code and the formatted sentence; returns code, so `return error_set(...)`. */
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set with code -errno as it was on entry; appends ": " and strerror. */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the text; returns err->code (or code_if_null when err is NULL). */
int error_prefix(struct error *err, int code_if_null, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The sentence, or strerror of the code when there is none. Borrowed from err. */
const char *error_text(const struct error *err);

#endif
