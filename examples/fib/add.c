/*
 * add A B OUT: writes the sum of the numbers in the files A and B to OUT.
 *
 * An ordinary program that knows nothing of thunks. What makes it lazy is the thunk that fib.c
 * yields for it, whose inputs A and B are again thunks.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static bool read_number(const char *path, uint64_t *out)
{
	FILE *f = fopen(path, "r");
	if (!f) {
		perror(path);
		return false;
	}
	bool good = fscanf(f, "%" SCNu64, out) == 1;
	if (!good)
		fprintf(stderr, "add: there is no number in %s\n", path);
	fclose(f);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t a, b, sum;
	if (argc != 4) {
		fprintf(stderr, "usage: add A B OUT\n");
		return 2;
	}
	if (!read_number(argv[1], &a) || !read_number(argv[2], &b))
		return 1;
	if (__builtin_add_overflow(a, b, &sum)) {
		fprintf(stderr, "add: the sum does not fit in 64 bits\n");
		return 1;
	}
	FILE *f = fopen(argv[3], "w");
	if (!f || fprintf(f, "%" PRIu64 "\n", sum) < 0 || fclose(f) != 0) {
		perror(argv[3]);
		return 1;
	}
	return 0;
}
