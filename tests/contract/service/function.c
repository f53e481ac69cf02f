/* What functions do in the service's tests: slow MILLISECONDS PATH TEXT writes TEXT when that time has
 * passed; fail MESSAGE fails. Static, so that its world needs no other file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int slow(const char *ms, const char *path, const char *text)
{
	long wait = strtol(ms, NULL, 10);
	struct timespec t = { .tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000 };
	nanosleep(&t, NULL);
	FILE *f = fopen(path, "w");
	return !f || fputs(text, f) < 0 || fclose(f) != 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "slow") == 0)
		return slow(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "fail") == 0) {
		fputs(argv[2], stderr);
		return 3;
	}
	return 2;
}
