/* A compiler, archiver and linker that does nothing but leave an empty file where its output
 * belongs: what `make` itself costs, the programs left out. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *out = NULL;

	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "-o") == 0)
			out = argv[i + 1];
	/* `ar rc LIBRARY MEMBER...` */
	if (!out && argc > 2 && argv[1][0] != '-')
		out = argv[2];
	if (!out)
		return 0;
	int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0777);
	return fd < 0 || close(fd) != 0;
}
