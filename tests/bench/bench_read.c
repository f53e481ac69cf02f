/* bench_read KIND PATH N: nanoseconds that reading takes, one number on standard output.
 *
 *   sequential  reads the file from end to end, N times, warm; ns per MiB
 *   random      N reads of 4 KiB at random places; ns per read
 *   mmap        touches each page of a mapping, N times; ns per MiB
 *   open        opens, reads and closes PATH/0 ... PATH/(N-1); ns per file
 *   stat        stats them; ns per file
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 128 << 10, PAGE = 4096, SEED = 1 };

static char bytes[CHUNK];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static double sequential(const char *path, long n, off_t size)
{
	double start = now_ns();

	for (long i = 0; i < n; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t got;

		must(fd >= 0, path);
		while ((got = read(fd, bytes, CHUNK)) > 0)
			;
		must(got == 0, path);
		close(fd);
	}
	return (now_ns() - start) / ((double)n * (double)size / (1 << 20));
}

static double randomly(const char *path, long n, off_t size)
{
	int fd = open(path, O_RDONLY);
	unsigned seed = SEED;

	must(fd >= 0 && size >= PAGE, path);
	double start = now_ns();
	for (long i = 0; i < n; i++) {
		off_t page = (off_t)rand_r(&seed) % (size / PAGE);
		must(pread(fd, bytes, PAGE, page * PAGE) == PAGE, path);
	}
	double took = now_ns() - start;
	close(fd);
	return took / (double)n;
}

static double mapped(const char *path, long n, off_t size)
{
	double start = now_ns();
	volatile unsigned sum = 0;

	for (long i = 0; i < n; i++) {
		int fd = open(path, O_RDONLY);
		must(fd >= 0, path);
		const char *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
		must(p != MAP_FAILED, path);
		for (off_t at = 0; at < size; at += PAGE)
			sum += (unsigned char)p[at];
		munmap((void *)(uintptr_t)p, (size_t)size);
		close(fd);
	}
	return (now_ns() - start) / ((double)n * (double)size / (1 << 20));
}

static double small_files(const char *path, long n, int only_stat)
{
	double start = now_ns();
	char name[4096];

	for (long i = 0; i < n; i++) {
		struct stat st;

		snprintf(name, sizeof(name), "%s/%ld", path, i);
		if (only_stat) {
			must(stat(name, &st) == 0, name);
			continue;
		}
		int fd = open(name, O_RDONLY);
		must(fd >= 0 && read(fd, bytes, CHUNK) >= 0, name);
		close(fd);
	}
	return (now_ns() - start) / (double)n;
}

int main(int argc, char **argv)
{
	struct stat st;

	must(argc == 4 && stat(argv[2], &st) == 0, "usage: bench_read KIND PATH N");
	const char *kind = argv[1], *path = argv[2];
	long n = atol(argv[3]);
	double ns = !strcmp(kind, "sequential") ? sequential(path, n, st.st_size) :
		    !strcmp(kind, "random")	? randomly(path, n, st.st_size) :
		    !strcmp(kind, "mmap")	? mapped(path, n, st.st_size) :
						  small_files(path, n, !strcmp(kind, "stat"));
	printf("%.1f\n", ns);
	return 0;
}
