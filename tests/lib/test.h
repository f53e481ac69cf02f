/* What every cmocka test of ours includes; assert_ok shows the error's sentence. */
#ifndef GGFS_TESTS_TEST_H
#define GGFS_TESTS_TEST_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/io.h"

/* The call must return >= 0; otherwise fails with err's text. Needs `struct error err` in scope. */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		err = ERROR_INIT;                                                                  \
		int r_ = (call);                                                                   \
		if (r_ < 0)                                                                        \
			fail_msg("%s: %d: %s", #call, r_, err.text);                               \
	} while (0)

/* The call must return exactly code, and say why. */
#define assert_error(call, code)                                                                   \
	do {                                                                                       \
		err = ERROR_INIT;                                                                  \
		int r_ = (call);                                                                   \
		if (r_ != (code))                                                                  \
			fail_msg("%s: %d instead of %d: %s", #call, r_, (int)(code), err.text);   \
		assert_true(err.text[0] != '\0');                                                  \
	} while (0)

/* A fresh directory under $TMPDIR; its path is the caller's to free and to remove. */
static inline char *test_directory(void)
{
	const char *base = getenv("TMPDIR");
	char *path = xformat("%s/ggfs-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(path))
		abort();
	return path;
}

static inline void test_directory_remove(char *path)
{
	remove_tree_at(AT_FDCWD, path, NULL);
	free(path);
}

#endif
