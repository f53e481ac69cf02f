#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "objstore/digest.h"
#include "tools/cmd.h"

static int hash_standard_input(struct digest *out, struct error *err)
{
	enum { STEP = 1 << 16 };
	scoped_free char *bytes = xmalloc(STEP);
	struct hasher *h = hasher_new();
	ssize_t n;
	while ((n = read(STDIN_FILENO, bytes, STEP)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		hasher_add(h, bytes, (size_t)n);
	}
	int r = n < 0 ? error_errno(err, "cannot read standard input") : 0;
	hasher_finish(h, out);
	hasher_free(h);
	return r;
}

static int hash_file(const char *path, struct digest *out, struct error *err)
{
	if (strcmp(path, "-") == 0)
		return hash_standard_input(out, err);
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	int r = digest_of_fd(fd, out, NULL, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

/* As coreutils' sums do: a name with a newline, return or backslash is escaped, the line marked. */
static void print_sum(const struct digest *d, const char *path)
{
	bool escaped = path[strcspn(path, "\\\n\r")] != '\0';
	printf("%s%s  ", escaped ? "\\" : "", digest_hex(d).text);
	for (const char *p = path; *p; p++) {
		if (*p == '\\')
			fputs("\\\\", stdout);
		else if (*p == '\n')
			fputs("\\n", stdout);
		else if (*p == '\r')
			fputs("\\r", stdout);
		else
			putchar(*p);
	}
	putchar('\n');
}

static int run(const void *options, int argc, char **argv)
{
	(void)options;
	int code = EXIT_OK;
	for (int i = 0; i < argc; i++) {
		struct error err = ERROR_INIT;
		struct digest d;
		if (hash_file(argv[i], &d, &err) < 0)
			code = cmd_fail(&err);
		else
			print_sum(&d, argv[i]);
	}
	return code;
}

const struct verb verb_hash = {
	.name = "hash",
	.synopsis = "FILE...",
	.summary = "print the digests of files",
	.description = "Prints the digest of each FILE, as 'b2sum -l 256' does: BLAKE2b-256, 64 "
	               "hexadecimal\n"
	               "digits, two spaces, the name. A FILE of - is standard input.\n\n"
	               "The digest is the name of the file's contents in every store of ggfs.",
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
