/* Runs a fuzz target once over each file of the directory given: what was found stays tested. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"

enum { INPUT_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(int dirfd, const char *name, int number)
{
	scoped_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;

	if (read_file_at(dirfd, name, &b, INPUT_MAX, &err) < 0) {
		printf("not ok %d - %s # %s\n", number, name, error_text(&err));
		return 1;
	}
	/* An exact allocation, so that a sanitizer sees one byte too many. */
	scoped_free uint8_t *exact = xmalloc(b.len ? b.len : 1);
	if (b.len)
		memcpy(exact, b.data, b.len);
	LLVMFuzzerTestOneInput(exact, b.len);
	printf("ok %d - %s\n", number, name);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	scoped_dir DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	int count = 0, failed = 0;

	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 2;
	}
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.')
			failed += replay(dirfd(dir), e->d_name, ++count);
	/* A corpus that lost its files would otherwise pass. */
	if (!count)
		printf("not ok 1 - the corpus has inputs\n");
	printf("1..%d\n", count ? count : 1);
	return failed || !count;
}
