#include "tools/infer_report.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"

static void print_real(char *line)
{
	char *tab = strchr(line, '\t');
	if (tab)
		*tab = '\0';
	fprintf(stderr, "ggfs: ran for real: %s: %s\n", tab ? tab + 1 : "?", line);
}

/* An ordinary file that cp or install copied: nothing that could have been lazy. */
static bool is_copy(const char *line)
{
	const char *tab = strchr(line, '\t');
	return tab && (strncmp(tab + 1, "cp ", 3) == 0 || strncmp(tab + 1, "install ", 8) == 0);
}

void infer_report_print(const char *path, bool verbose)
{
	scoped_file FILE *f = fopen(path, "re");
	if (!f)
		return;
	scoped_free char *line = NULL;
	size_t capacity = 0, recorded = 0, real = 0, copies = 0;
	ssize_t len;
	while ((len = getline(&line, &capacity, f)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (strcmp(line, "recorded") == 0) {
			recorded++;
		} else if (strncmp(line, "real ", 5) == 0) {
			*(is_copy(line) ? &copies : &real) += 1;
			if (verbose)
				print_real(line + 5);
		}
	}
	fprintf(stderr, "ggfs: %zu step%s recorded, %zu run for real", recorded,
	        recorded == 1 ? "" : "s", real);
	if (copies)
		fprintf(stderr, ", %zu ordinary file%s copied", copies, copies == 1 ? "" : "s");
	fputc('\n', stderr);
}
